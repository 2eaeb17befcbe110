package api_test

import (
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"belfry/api"
	"belfry/hub"
)

type receipt struct {
	ID        string `json:"id"`
	Cursor    string `json:"cursor"`
	Topic     string `json:"topic"`
	Matched   int    `json:"matched"`
	Queued    int    `json:"queued"`
	Scope     string `json:"scope"`
	Duplicate *bool  `json:"duplicate"`
}

func TestPublish(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	b.connect(b.register(`{"user_id":1}`))
	b.register(`{"user_id":"1"}`)
	b.connect(b.register(`{"user_id":2}`))
	b.register(`{"user_id":1,"topic":"dogs"}`)
	isV7 := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	var last receipt
	for _, c := range []struct {
		user            string
		matched, queued int
	}{{``, 3, 2}, {`"user_id":null,`, 3, 2}, {`"user_id":1,`, 2, 1}, {`"user_id":"3",`, 0, 0}} {
		var got receipt
		b.answer(b.call("POST", "/publish", `{"topic":"cats",`+c.user+`"message":"are awesome"}`), &got)
		if got.Matched != c.matched || got.Queued != c.queued || got.Topic != "cats" || got.Scope != "node" || got.Duplicate == nil || *got.Duplicate {
			t.Errorf("%s: got %+v", c.user, got)
		}
		if !isV7.MatchString(got.ID) || got.ID <= last.ID || len(got.Cursor) != hub.CursorLen || got.Cursor <= last.Cursor {
			t.Errorf("id %s after %s, cursor %s after %s", got.ID, last.ID, got.Cursor, last.Cursor)
		}
		last = got
	}
	for range 5 {
		if got := <-b.frames; got != "are awesome" {
			t.Errorf("delivered %q", got)
		}
	}
}

func TestMessage(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	b.connect(b.register(`{"user_id":1}`))
	for _, c := range [][2]string{
		{`"are awesome"`, `are awesome`},
		{`""`, ``},
		{`"a\"\\\/\n\u0000\u00e9\ud83d\ude00"`, "a\"\\/\n\x00é😀"},
		{`"\u0061\u0061\u0061\u0061\u0061\u0061\u0061\u0061\u0061\u0061\u0061\u0061\u0061\u0061\u0061\u0061\u0061\u0061\u0061\u0061"`, strings.Repeat("a", 20)},
		{`null`, `null`},
		{`true`, `true`},
		{`1.10`, `1.10`},
		{`-0`, `-0`},
		{`1E+400`, `1E+400`},
		{`123456789012345678901234567890`, `123456789012345678901234567890`},
		{" { \"b\" : [ 1 , 2.0 ,\r\n\t{ } ] , \"a\" : \"x\\u0020 y\" } ", `{"b":[1,2.0,{}],"a":"x\u0020 y"}`},
		{`[` + strings.Repeat(" ", 500) + `"é<&>"]`, `["é<&>"]`},
		{`"` + strings.Repeat("x", testMaxMessage) + `"`, strings.Repeat("x", testMaxMessage)},
		{`[[[[[[[]]]]]]]`, `[[[[[[[]]]]]]]`},
		{`[[],[],[],{},{},{},[],[],[]]`, `[[],[],[],{},{},{},[],[],[]]`},
		{`"[[[[[[[[[[[[[[\"[[[[[[[["`, `[[[[[[[[[[[[[["[[[[[[[[`},
	} {
		for _, body := range []string{`{"topic":"cats","message":` + c[0] + `}`, `{"message":` + c[0] + ` ,"topic" : "cats"}`} {
			var got receipt
			b.answer(b.call("POST", "/publish", body), &got)
			if got := <-b.frames; got != c[1] {
				t.Errorf("%s: delivered %q, want %q", body, got, c[1])
			}
		}
	}
}

func TestContentTypes(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	for _, given := range []string{
		"", "application/json", "Application/JSON", "application/json; charset=utf-8", `application/json;charset="UTF-8"`,
		"application/x-www-form-urlencoded", "application/x-www-form-urlencoded; charset=UTF-8", "application/json; odata=x",
	} {
		if w := b.call("POST", "/publish", `{"topic":"cats","message":1}`, "Content-Type", given); w.Code != 200 {
			t.Errorf("%s: %d %s", given, w.Code, w.Body)
		}
	}
	if w := b.call("POST", "/publish", `{"topic":"cats","message":1}`, "Content-Encoding", "Identity"); w.Code != 200 {
		t.Errorf("identity: %d %s", w.Code, w.Body)
	}
}

// While couriers are too slow a publish waits, and is then refused without
// having had an effect.
func TestPublishBusy(t *testing.T) {
	t.Parallel()
	for _, timeout := range []time.Duration{5 * time.Second, 10 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			b := newBroker(t, func(h *hub.Options, _ *api.Options) { h.Backlog, h.PublishTimeout = 1, timeout })
			b.frames = nil // the courier blocks at its first event
			b.connect(b.register(`{"user_id":1}`))
			var w *httptest.ResponseRecorder
			var start time.Time
			for range 3 {
				start = time.Now()
				w = b.call("POST", "/publish", `{"topic":"cats","message":1}`)
				synctest.Wait()
			}
			problem(t, w, 503, "busy")
			if waited := time.Since(start); waited != timeout {
				t.Errorf("refused after %v, want %v", waited, timeout)
			}
			if got := b.stats(); got.Published != 2 || !got.Behind {
				t.Errorf("%d published, publishes wait: %v", got.Published, got.Behind)
			}
			problem(t, b.call("GET", "/health/ready", ""), 503, "busy")
			if w := b.call("GET", "/health/live", ""); w.Code != 200 {
				t.Errorf("not live: %s", w.Body)
			}
		})
	}
}
