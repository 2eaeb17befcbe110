package api_test

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"belfry/api"
	"belfry/api/auth"
	"belfry/api/limit"
	"belfry/hub"
)

// TestKeyOfNothing: a list of no events is a request like others.
func TestKeyOfNothing(t *testing.T) {
	t.Parallel()
	b := watched(t)
	for range 2 {
		if got := b.call("POST", "/publish", "[]", headers("Idempotency-Key: k")...); got.Code != 200 || strings.TrimSpace(got.Body.String()) != "[]" {
			t.Errorf("%d %s", got.Code, got.Body)
		}
	}
	problem(t, b.call("POST", "/publish", catsBody, headers("Idempotency-Key: k")...), 422, "idempotency_key_reused")
	if n := b.stats().Published; n != 0 {
		t.Errorf("%d events were published", n)
	}
}

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

// A request is the same if its method, path, topic and body are the same. Its transport
// and other credentials of the same publisher do not matter.
func TestSameRequest(t *testing.T) {
	t.Parallel()
	none := strings.Replace(cloud(`,"data":1`), `,"subject":"cats"`, ``, 1)
	binary := strings.Replace(inBinary, "Ce-Subject: cats\n", "", 1)
	const plain = "Content-Type: application/json"
	for _, c := range []struct {
		name          string
		first, again  string // the query and, below it, headers
		body          string
		status        int
		differentBody string
	}{
		{"another token in the query", "?access_token=T1", "?access_token=T2", catsBody, 200, ""},
		{"a token in the query and in the header", "?access_token=T1", "\nAuthorization: Bearer T1", catsBody, 200, ""},
		{"no token and one that is not needed", "", "?access_token=T2", catsBody, 200, ""},
		{"a parameter that nobody reads", "?trace=1", "?trace=2", catsBody, 200, ""},
		{"the order of parameters", "?topic=cats&access_token=T1\n" + asCloudEvent, "?access_token=T1&topic=cats\n" + asCloudEvent, none, 200, ""},
		{"the topic, encoded otherwise", "?topic=c%61ts\n" + asCloudEvent, "?topic=cats\n" + asCloudEvent, none, 200, ""},
		{"another topic", "?topic=cats\n" + asCloudEvent, "?topic=dogs\n" + asCloudEvent, none, 422, ""},
		{"another form of its type", "\n" + plain, "\n" + plain + "; charset=utf-8", catsBody, 200, ""},
		{"of no type", "\n" + plain, "", catsBody, 200, ""},
		{"a space", "", "", catsBody, 422, `{"topic":"cats", "message":1}`},
		{"the order of members", "", "", catsBody, 422, `{"message":1,"topic":"cats"}`},
		{"attributes that are not looked at", "\nCe-Id: 1", "\nCe-Id: 2", catsBody, 200, ""},
		{"another type of the data", "?topic=cats\nContent-Type: text/plain\n" + binary, "?topic=cats\nContent-Type: text/html\n" + binary, `1`, 422, ""},
		{"another attribute", "?topic=cats\n" + binary + "Ce-X: 1", "?topic=cats\n" + binary + "Ce-X: 2", `1`, 422, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := watched(t)
			call := func(where, body string) *httptest.ResponseRecorder {
				query, header, _ := strings.Cut(where, "\n")
				return b.call("POST", "/publish"+query, body, append(headers(header), "Idempotency-Key", "k")...)
			}
			if w := call(c.first, c.body); w.Code != 200 {
				t.Fatal(w.Body)
			}
			w := call(c.again, cmp.Or(c.differentBody, c.body))
			if w.Code != c.status || w.Code == 200 && !strings.Contains(w.Body.String(), `"duplicate":true`) {
				t.Errorf("got %d %s, want %d", w.Code, w.Body, c.status)
			}
			if n := b.stats().Published; n != 1 {
				t.Errorf("%d events were published", n)
			}
		})
	}
}

// publishers are some of all kinds, by what they send as credentials. Those of one
// number are one publisher.
func publishers(t *testing.T) (guard *auth.Guard, numbers map[string]int) {
	t.Helper()
	tokens, err := auth.NewTokens(auth.TokenOptions{Secret: tokenSecret, MaxTopics: 8})
	if err != nil {
		t.Fatal(err)
	}
	var keys []auth.Key
	numbers = make(map[string]int)
	for i, name := range []string{"token", "open", "key", "user", "7"} {
		text := "bk_" + name
		keys = append(keys, auth.Key{Name: name, SHA256: sha256.Sum256([]byte(text)), Rights: auth.Publish, Topics: []string{">"}})
		numbers[text] = i
	}
	if guard, err = auth.New(auth.Options{Keys: keys, Tokens: tokens}); err != nil {
		t.Fatal(err)
	}
	expires := time.Now().Add(time.Hour).Unix()
	for i, claims := range [][]jwt.MapClaims{
		{{"sub": "7"}, {"sub": "7", "jti": "another"}, {"sub": "7", "iss": nil}},
		{{"sub": "7", "iss": "a"}, {"sub": "7", "iss": "a", "jti": "another"}},
		{{"sub": "7", "iss": "b"}}, {{"sub": "8"}}, {{"sub": "token"}}, {{"sub": "open"}}, {{"sub": "key"}}, {{"sub": " 7", "iss": "a"}}, {{"sub": "7", "iss": "a "}},
		{{}}, {{"jti": "another"}}, {{"iss": "7"}},
	} {
		for _, c := range claims {
			c["exp"], c["belfry"] = expires, map[string]any{"publish": []string{">"}}
			text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, c).SignedString(tokenSecret)
			if err != nil {
				t.Fatal(err)
			}
			numbers[text] = 100 + i
		}
	}
	return guard, numbers
}

// A key belongs to its publisher: API keys by their name, users by issuer and subject, and
// tokens without a user each by itself.
func TestKeysOfPublishers(t *testing.T) {
	t.Parallel()
	guard, numbers := publishers(t)
	operators, err := auth.New(auth.Options{Open: true, Ours: true})
	if err != nil {
		t.Fatal(err)
	}
	b := newBroker(t, func(_ *hub.Options, o *api.Options) {
		o.Guard, o.AdminGuard = func() *auth.Guard { return guard }, func() *auth.Guard { return operators }
	})
	seen := make(map[int]bool)
	check := func(number int, w *httptest.ResponseRecorder) {
		t.Helper()
		if w.Code != 200 || strings.Contains(w.Body.String(), `"duplicate":true`) != seen[number] {
			t.Errorf("publisher %d: %d %s", number, w.Code, w.Body)
		}
		seen[number] = true
	}
	for bearer, number := range numbers {
		check(number, b.call("POST", "/publish", catsBody, "Authorization", "Bearer "+bearer, "Idempotency-Key", "k"))
	}
	for range 2 { // of everybody, at the operators' address
		w := httptest.NewRecorder()
		b.Admin().ServeHTTP(w, request("POST", "/publish", strings.NewReader(catsBody), "Idempotency-Key", "k"))
		check(-1, w)
	}
}

// A rate is its publisher's own likewise.
func TestRatesOfPublishers(t *testing.T) {
	t.Parallel()
	guard, numbers := publishers(t)
	b := newBroker(t, limited(limit.Limits{}, limit.PublishLimits{User: 1, Keys: map[string]float64{"token": 1, "open": 1, "key": 1, "user": 1, "7": 1}}),
		func(_ *hub.Options, o *api.Options) { o.Guard = func() *auth.Guard { return guard } })
	seen := make(map[int]bool)
	for bearer, number := range numbers {
		if w := b.call("POST", "/publish", catsBody, "Authorization", "Bearer "+bearer); (w.Code == 429) != seen[number] {
			t.Errorf("publisher %d: %d %s", number, w.Code, w.Body)
		}
		seen[number] = true
	}
}

// belfry.v1 and HTTP share a publisher's keys.
func TestKeysOfBothWays(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	guard, err := auth.New(auth.Options{Open: true})
	if err != nil {
		t.Fatal(err)
	}
	operation := b.Publisher(guard.Everybody())
	publish := func(way, key string) string {
		if way == "HTTP" {
			w := b.call("POST", "/publish", catsBody, "Idempotency-Key", key)
			return fmt.Sprint(w.Code, strings.Contains(w.Body.String(), `"duplicate":true`))
		}
		receipt, err := receiptOf(operation, hub.PublishRequest{Topic: "cats", Message: []byte("1"), Key: &key})
		if refused, ok := err.(interface{ Refusal() (code, detail string) }); ok {
			code, _ := refused.Refusal()
			return map[string]string{"idempotency_key_reused": "422 false"}[code]
		}
		return fmt.Sprint(200, receipt.Duplicate)
	}
	for _, way := range []string{"HTTP", "belfry.v1"} {
		for _, other := range []string{"HTTP", "belfry.v1"} {
			want := "422 false"
			if way == other {
				want = "200 true"
			}
			key := way + other
			if first, second := publish(way, key), publish(other, key); first != "200 false" || second != want {
				t.Errorf("%s and %s: %s and %s, want %s", way, other, first, second, want)
			}
		}
	}
}

// A full store refuses new keys, and forgets none too early.
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
				t.Errorf("%s after the window: %d %t", key, status, duplicate)
			}
		}
		b.stop()
	})
}
