package api_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"belfry/api"
	"belfry/hub"
)

func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("k", 255)
	for _, c := range []struct {
		name            string
		first, again    string // headers
		body, otherwise string // "" is the same body
		status          int    // of the second; 200: it is a repeat
		code            string
	}{
		{"as it is", "Idempotency-Key: k", "Idempotency-Key: k", catsBody, "", 200, ""},
		{"quotes do not matter", `Idempotency-Key: "k"`, "Idempotency-Key: k", catsBody, "", 200, ""},
		{"the longest", "Idempotency-Key: " + long, "Idempotency-Key: " + long, catsBody, "", 200, ""},
		{"of a list", "Idempotency-Key: k", "Idempotency-Key: k", "[" + catsBody + "]", "", 200, ""},
		{"another body", "Idempotency-Key: k", "Idempotency-Key: k", catsBody, `{"topic":"cats","message":2}`, 422, "idempotency_key_reused"},
		{"another form", "Idempotency-Key: k", "Idempotency-Key: k", catsBody, "[" + catsBody + "]", 422, "idempotency_key_reused"},
		{"another attribute", inBinary + "Idempotency-Key: k", strings.Replace(inBinary, "Ce-Id: 7", "Ce-Id: 8", 1) + "Idempotency-Key: k", `1`, "", 422, "idempotency_key_reused"},
		{"source and id", asCloudEvent, asCloudEvent, cloud(`,"data":{"a":1}`), cloud(`,"data": {"a" : 1}`), 200, ""},
		{"source and id, another time", asCloudEvent, asCloudEvent, cloud(`,"data":1`), cloud(`,"data":1,"time":"2026-01-02T03:04:05Z"`), 200, ""},
		{"source and id, other data", asCloudEvent, asCloudEvent, cloud(`,"data":1`), cloud(`,"data":2`), 422, "idempotency_key_reused"},
		{"source and id, a text", asCloudEvent, asCloudEvent, cloud(`,"data":1`), cloud(`,"data":"1"`), 422, "idempotency_key_reused"},
		{"source and id, bytes", asCloudEvent, asCloudEvent, cloud(`,"data":"AA=="`), cloud(`,"data_base64":"AA=="`), 422, "idempotency_key_reused"},
		{"source and id, another user", asCloudEvent, asCloudEvent, cloud(``), cloud(`,"belfryuser":"7"`), 422, "idempotency_key_reused"},
		{"source and id, another attribute", asCloudEvent, asCloudEvent, cloud(``), cloud(`,"x":1`), 422, "idempotency_key_reused"},
		{"source and id in both modes", inBinary, asCloudEvent, `x`, cloud(`,"data":"x"`), 200, ""},
		{"empty", "", "Idempotency-Key: ", catsBody, "", 400, "invalid_idempotency_key"},
		{"quotes only", "", `Idempotency-Key: ""`, catsBody, "", 400, "invalid_idempotency_key"},
		{"too long", "", "Idempotency-Key: x" + long, catsBody, "", 400, "invalid_idempotency_key"},
		{"twice", "", "Idempotency-Key: k\nIdempotency-Key: k", catsBody, "", 400, "invalid_idempotency_key"},
		{"not ASCII", "", "Idempotency-Key: ä", catsBody, "", 400, "invalid_idempotency_key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := watched(t)
			first := b.call("POST", "/publish", c.body, headers(c.first)...)
			if first.Code != 200 {
				t.Fatal(first.Body)
			}
			body := c.otherwise
			if body == "" {
				body = c.body
			}
			again := b.call("POST", "/publish", body, headers(c.again)...)
			if c.status != 200 {
				problem(t, again, c.status, c.code)
			} else if want := strings.Replace(first.Body.String(), `"duplicate":false`, `"duplicate":true`, 1); again.Code != 200 || again.Body.String() != want {
				t.Errorf("got %d %s, want %s", again.Code, again.Body, want)
			}
			if n := b.stats().Published; n != 1 {
				t.Errorf("%d events were published", n)
			}
		})
	}
}

// A key is its publisher's own.
func TestKeysOfPublishers(t *testing.T) {
	t.Parallel()
	b := newBroker(t, func(_ *hub.Options, o *api.Options) { o.Guard = testGuard(t) })
	token := func() string { return testToken(t, time.Now().Add(time.Hour), nil, []string{">"}) }
	for i, bearer := range []string{"bk_publisher", "bk_everything", token(), token()} {
		w := b.call("POST", "/publish", `{"topic":"orders.1","message":1}`, "Authorization", "Bearer "+bearer, "Idempotency-Key", "k")
		if w.Code != 200 || strings.Contains(w.Body.String(), `"duplicate":true`) != (i == 3) {
			t.Errorf("%d: %d %s", i, w.Code, w.Body)
		}
	}
}

// A store that is full refuses keys, and forgets none before its time.
func TestKeyStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, func(h *hub.Options, o *api.Options) {
			h.DedupeBytes, h.DedupeWindow, o.Clock = 1000, 10*time.Second, nil
		})
		publish := func(key string) (status int, duplicate bool) {
			w := b.call("POST", "/publish", catsBody, "Idempotency-Key", key)
			if w.Code != 200 {
				problem(t, w, 503, "too_many_keys")
			}
			return w.Code, strings.Contains(w.Body.String(), `"duplicate":true`)
		}
		for _, key := range []string{"a", "b"} {
			if status, duplicate := publish(key); status != 200 || duplicate {
				t.Errorf("%s: %d %t", key, status, duplicate)
			}
		}
		if status, _ := publish("c"); status != 503 {
			t.Errorf("one too many: %d", status)
		}
		if w := b.call("POST", "/publish", catsBody); w.Code != 200 {
			t.Errorf("without a key: %d %s", w.Code, w.Body)
		}
		time.Sleep(9 * time.Second)
		if status, duplicate := publish("a"); status != 200 || !duplicate {
			t.Errorf("a repeat in the window: %d %t", status, duplicate)
		}
		time.Sleep(2 * time.Second)
		for _, key := range []string{"a", "c"} {
			if status, duplicate := publish(key); status != 200 || duplicate {
				t.Errorf("%s behind the window: %d %t", key, status, duplicate)
			}
		}
		b.stop()
	})
}
