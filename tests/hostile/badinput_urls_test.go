package hostile_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"belfry/tests/harness"
)

// The URLs that open a connection, and those of history. An error is reported in a way
// that the client understands: by a status, or over belfry.v1 by a close code. An
// EventSource is stopped.

// badTargets follow /ws and /sse. VICTIM is a client's id.
func badTargets() []struct {
	target string
	status int
	code   string
	close  int
} {
	long := strings.Repeat("x", 256)
	return []struct {
		target string
		status int
		code   string
		close  int
	}{
		{"/00000000000000000000000000000000", 404, "unknown_client", 4004},
		{"/zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz", 404, "unknown_client", 4004},
		{"/0", 404, "unknown_client", 4004},
		{"/VICTIM%2f", 404, "unknown_client", 4004},
		{"/%00", 404, "unknown_client", 4004},
		{"?topic=", 400, "invalid_topic", 1008},
		{"?topic=dogs&topic=", 400, "invalid_topic", 1008},
		{"?topic=dogs&topic", 400, "invalid_topic", 1008},
		{"?topic=a..b", 400, "invalid_topic", 1008},
		{"?topic=dogs.", 400, "invalid_topic", 1008},
		{"?topic=a.%3E.b", 400, "invalid_topic", 1008},
		{"?topic=dogs&topic=a%00", 400, "invalid_topic", 1008},
		{"?topic=a%0ab", 400, "invalid_topic", 1008},
		{"?topic=%c2%85", 400, "invalid_topic", 1008},
		{"?topic=%ff", 400, "invalid_topic", 1008},
		{"?topic=%ed%a0%80", 400, "invalid_topic", 1008},
		{"?topic=" + long, 400, "invalid_topic", 1008},
		{"?topic=" + strings.Repeat("%C3%A9", 127) + "..", 400, "invalid_topic", 1008},
		{"?topic=a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q", 400, "invalid_topic", 1008},
		{"?topic=$canary", 403, "topic_reserved", 4002},
		{"?topic=%24%3E", 403, "topic_reserved", 4002},
		{"?topic=dogs&topic=$" + strings.Repeat("x", 254), 403, "topic_reserved", 4002},
		{"?topic=a&topic=b&topic=c&topic=d&topic=e", 422, "too_many_topics", 1008},
		{"?topic=%zz", 400, "malformed_request", 1008},
		{"?topic=dogs;last=1", 400, "malformed_request", 1008},
		{"?topic=dogs&%", 400, "malformed_request", 1008},
		{"?topic=dogs&last=0", 400, "invalid_last", 1008},
		{"?topic=dogs&last=-1", 400, "invalid_last", 1008},
		{"?topic=dogs&last=1001", 400, "invalid_last", 1008},
		{"?topic=dogs&last=1.5", 400, "invalid_last", 1008},
		{"?topic=dogs&last=1e1", 400, "invalid_last", 1008},
		{"?topic=dogs&last=x", 400, "invalid_last", 1008},
		{"?topic=dogs&last=+1", 400, "invalid_last", 1008},
		{"?topic=dogs&last=%D9%A1", 400, "invalid_last", 1008},
		{"?topic=dogs&last=99999999999999999999", 400, "invalid_last", 1008},
		{"/VICTIM?last=0", 400, "invalid_last", 1008},
		{"/VICTIM?last=many", 400, "invalid_last", 1008},
		{"/VICTIM?%zz", 400, "malformed_request", 1008},
	}
}

func TestBadTargets(t *testing.T) {
	t.Parallel()
	b := harness.Start(t, strictLimits...)
	by := b.Bystander(t)
	defer by.Silent(t)
	v := newVictim(t, b)
	by.Before = b.Census(t)
	stream := []string{"Accept", "text/html, text/event-stream;q=0.9"}
	for _, test := range badTargets() {
		target := strings.Replace(test.target, "VICTIM", v.ClientID, 1)
		b.Socket(t, harness.Opening("/ws"+target)).Answer(t).Problem(t, test.status, test.code)
		b.Socket(t, harness.V1Opening("/ws"+target)).RefusedV1(t, test.close, "")
		b.Call(t, "GET", "/sse"+target, "").Problem(t, test.status, test.code)
		b.Call(t, "GET", "/sse"+target, "", "Accept", "*/*").Problem(t, test.status, test.code)
		got := b.Call(t, "GET", "/sse"+target, "", stream...)
		if h := got.Header; got.Status != 204 || got.Body != "" || h.Get("Content-Type") != "" || !strings.Contains(h.Get("Cache-Control"), "no-store") {
			t.Errorf("an EventSource gets %d %v %s", got.Status, h, got.Body)
		}
		if got := b.Call(t, "HEAD", "/sse"+target, ""); got.Status != test.status || got.Body != "" {
			t.Errorf("HEAD gets %d %s", got.Status, got.Body)
		}
		if got := b.Call(t, "HEAD", "/sse"+target, "", stream...); got.Status != 204 {
			t.Errorf("HEAD of an EventSource gets %d", got.Status)
		}
		by.Undisturbed(t)
		v.subscribed(t, 0)
		if t.Failed() {
			t.Fatalf("after %.200s", test.target)
		}
	}
}

// TestBadMethods: other methods, other paths, and the answers to HEAD.
func TestBadMethods(t *testing.T) {
	t.Parallel()
	b := harness.Start(t, strictLimits...)
	by := b.Bystander(t)
	defer by.Silent(t)
	v := newVictim(t, b)
	by.Before = b.Census(t)
	for _, test := range []struct {
		method, target string
		status         int
		code           string // "": the answer has no body
	}{
		{"POST", "/ws", 405, "method_not_allowed"},
		{"POST", "/ws/VICTIM", 405, "method_not_allowed"},
		{"PUT", "/ws?topic=dogs", 405, "method_not_allowed"},
		{"CONNECT", "/ws/VICTIM", 405, "method_not_allowed"},
		{"HEAD", "/ws?topic=dogs", 426, ""},
		{"HEAD", "/ws/VICTIM", 426, ""},
		{"GET", "/ws?topic=dogs", 426, "upgrade_required"},
		{"GET", "/ws/VICTIM?last=1", 426, "upgrade_required"},
		{"POST", "/sse", 405, "method_not_allowed"},
		{"POST", "/sse/VICTIM", 405, "method_not_allowed"},
		{"DELETE", "/sse/VICTIM", 405, "method_not_allowed"},
		{"PUT", "/sse?topic=dogs", 405, "method_not_allowed"},
		{"HEAD", "/sse?topic=dogs", 200, ""},
		{"HEAD", "/sse/VICTIM", 200, ""},
		{"GET", "/sse", 400, "invalid_topic"},
		{"GET", "/sse?last=1", 400, "invalid_topic"},
		{"GET", "/sse/", 404, "not_found"},
		{"GET", "/sse/VICTIM/", 404, "not_found"},
		{"GET", "/SSE/VICTIM", 404, "not_found"},
		{"POST", "/topics/dogs/events", 405, "method_not_allowed"},
		{"DELETE", "/topics/dogs/events", 405, "method_not_allowed"},
		{"HEAD", "/topics/dogs/events", 200, ""},
		{"HEAD", "/topics/a..b/events", 400, ""},
		{"GET", "/topicses", 404, "not_found"},
		{"GET", "/topics/dogs/", 404, "not_found"},
		{"POST", "/topics/dogs", 405, "method_not_allowed"},
		{"PUT", "/clients", 405, "method_not_allowed"},
		{"GET", "/topics/dogs/events/", 404, "not_found"},
		{"GET", "/topics/a/b/events", 404, "not_found"},
	} {
		target := strings.Replace(test.target, "VICTIM", v.ClientID, 1)
		for _, accept := range []string{"*/*", "text/event-stream"} {
			got := b.Call(t, test.method, target, "", "Accept", accept)
			if test.status == 400 && strings.HasPrefix(test.target, "/sse") && accept == "text/event-stream" {
				test.status, test.code = 204, ""
			}
			if test.code != "" {
				got.Problem(t, test.status, test.code)
			} else if got.Status != test.status || got.Body != "" {
				t.Errorf("got %d %s, want %d and no body", got.Status, got.Body, test.status)
			}
			if test.status == 405 && got.Header.Get("Allow") == "" || test.status == 426 && got.Header.Get("Upgrade") == "" {
				t.Errorf("the answer does not say what is allowed: %v", got.Header)
			}
		}
		by.Undisturbed(t)
		if t.Failed() {
			t.Fatalf("after %s %s", test.method, test.target)
		}
	}
}

func TestBadHistory(t *testing.T) {
	t.Parallel()
	b := harness.Start(t, append(strictLimits, "--max-wait=1m")...)
	by := b.Bystander(t)
	defer by.Silent(t)
	at := b.Publish(t, harness.Event("bystander", "the last")).Cursor
	by.Expect(t, "the last")
	const zeros = "000000000000000000000000"
	for _, test := range []struct {
		target string
		id     string // in the header Last-Event-ID
		status int
		code   string
	}{
		{"/topics//events", "", 400, "invalid_topic"},
		{"/topics/a..b/events", "", 400, "invalid_topic"},
		{"/topics/a./events", "", 400, "invalid_topic"},
		{"/topics/a.*/events", "", 400, "invalid_topic"},
		{"/topics/%3E/events", "", 400, "invalid_topic"},
		{"/topics/%00/events", "", 400, "invalid_topic"},
		{"/topics/%ff/events", "", 400, "invalid_topic"},
		{"/topics/" + strings.Repeat("x", 256) + "/events", "", 400, "invalid_topic"},
		{"/topics/a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q/events", "", 400, "invalid_topic"},
		{"/topics/$canary/events", "", 403, "topic_reserved"},
		{"/topics/%24canary/events?wait=1s", "", 403, "topic_reserved"},
		{"/topics/bystander/events?%zz", "", 400, "malformed_request"},
		{"/topics/bystander/events?after=1;last=1", "", 400, "malformed_request"},
		{"/topics/bystander/events?after=now", "", 400, "invalid_cursor"},
		{"/topics/bystander/events?after=0", "", 400, "invalid_cursor"},
		{"/topics/bystander/events?after=" + zeros + "0", "", 400, "invalid_cursor"},
		{"/topics/bystander/events?after=" + strings.ToUpper(at), "", 400, "invalid_cursor"},
		{"/topics/bystander/events?after=%20" + zeros[1:], "", 400, "invalid_cursor"},
		{"/topics/bystander/events?last_event_id=now", "", 400, "invalid_cursor"},
		{"/topics/bystander/events?after=" + at, "now", 400, "invalid_cursor"},
		{"/topics/bystander/events?after=" + zeros, "", 410, "gap"},
		{"/topics/bystander/events?after=" + zeros + "&wait=1m", "", 410, "gap"},
		{"/topics/bystander/events", zeros, 410, "gap"},
		{"/topics/bystander/events?after=" + at[:12] + "ffffffffffff", "", 410, "gap"},
		{"/topics/bystander/events?last=0", "", 400, "invalid_last"},
		{"/topics/bystander/events?last=-1", "", 400, "invalid_last"},
		{"/topics/bystander/events?last=1001", "", 400, "invalid_last"},
		{"/topics/bystander/events?last=1.5", "", 400, "invalid_last"},
		{"/topics/bystander/events?last=x", "", 400, "invalid_last"},
		{"/topics/bystander/events?last=x&after=" + at, "", 400, "invalid_last"},
		{"/topics/bystander/events?last=1&after=" + at, "", 400, "conflicting_input"},
		{"/topics/bystander/events?last=1", at, 400, "conflicting_input"},
		{"/topics/bystander/events?wait=1", "", 400, "invalid_wait"},
		{"/topics/bystander/events?wait=x", "", 400, "invalid_wait"},
		{"/topics/bystander/events?wait=-1s", "", 400, "invalid_wait"},
		{"/topics/bystander/events?wait=61s", "", 400, "invalid_wait"},
		{"/topics/bystander/events?wait=1m0.000001s", "", 400, "invalid_wait"},
		{"/topics/bystander/events?wait=99999999h", "", 400, "invalid_wait"},
		{"/topics/bystander/events?wait=NaN", "", 400, "invalid_wait"},
		{"/topics/bystander/events?wait=1m&after=now", "", 400, "invalid_cursor"},
	} {
		b.Call(t, "GET", test.target, "", "Last-Event-ID", test.id).Problem(t, test.status, test.code)
		by.Undisturbed(t)
		if t.Failed() {
			t.Fatalf("after %.200s", test.target)
		}
	}
}

// TestFullOfConnections: when no more connections are possible, each client is told in its
// own way to return later.
func TestFullOfConnections(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ flag, code string }{
		{"--max-connections=1", "too_many_connections"},
		{"--max-clients=1", "too_many_clients"},
	} {
		t.Run(test.code, func(t *testing.T) {
			t.Parallel()
			b := harness.Start(t, test.flag)
			by := b.Bystander(t)
			for _, path := range []string{"?topic=dogs", "?topic=dogs&after=000000000000000000000001", "?topic=dogs&last=1"} {
				b.Socket(t, harness.V1Opening("/ws"+path)).RefusedV1(t, 1013, "over_capacity")
				b.Socket(t, harness.Opening("/ws"+path)).Answer(t).Problem(t, 503, test.code)
				b.Call(t, "GET", "/sse"+path, "").Problem(t, 503, test.code)
				b.Stream(t, "/sse"+path).Refused()
				by.Undisturbed(t)
			}
			if test.code == "too_many_connections" {
				b.Call(t, "GET", "/topics/dogs/events?wait=1s", "").Problem(t, 503, test.code)
				r := b.Register(t, `{"user_id": "late"}`)
				b.Socket(t, harness.V1Opening(r.Path)).RefusedV1(t, 1013, "over_capacity")
				b.Stream(t, "/sse/"+r.ClientID).Refused()
				b.Unregister(t, r)
			}
			by.Undisturbed(t)
			by.Silent(t)
		})
	}
}

// TestOddTopics: topics that must be escaped in a URL.
func TestOddTopics(t *testing.T) {
	t.Parallel()
	b := harness.Start(t)
	for _, topic := range []string{
		"a,b", "a/b", "/", "100%", "100%25", "a b", " ", "a+b", "a&topic=b", "a=b", "a;b", "a?b#c", `a"b\c`, "<a>",
		"grüße", "日本.猫", "e\u0301", "\U0001F431", "\u200d", "a-b_c~d", "*a", "a>", "%2F", "null", "{}",
	} {
		query := "?topic=" + url.QueryEscape(topic)
		v1, bare := b.WireV1(t, "/ws"+query), b.Socket(t, harness.Opening("/ws"+query))
		bare.Accepted(t)
		sse := b.Stream(t, "/sse"+query)
		quoted, _ := json.Marshal(topic)
		b.Publish(t, `{"topic": `+string(quoted)+`, "message": "hello"}`)
		if m := v1.V1(t); m.Topic != topic || string(m.Data) != `"hello"` {
			t.Errorf("%q: belfry.v1 got %+v", topic, m)
		}
		bare.Expect(t, "hello")
		sse.Expect("message", "hello")
		got := b.Call(t, "GET", "/topics/"+url.PathEscape(topic)+"/events?last=1", "")
		var h harness.History
		if err := json.Unmarshal([]byte(got.Body), &h); err != nil || h.Topic != topic || len(h.Events) != 1 || h.Events[0].Topic != topic {
			t.Errorf("%q: history is %s", topic, got.Body)
		}
	}
}

// TestForgedFields: any message remains one event of a stream.
func TestForgedFields(t *testing.T) {
	t.Parallel()
	b := harness.Start(t)
	s := b.Stream(t, "/sse?topic=cats")
	v1 := b.WireV1(t, "/ws?topic=cats")
	for _, message := range []string{
		"", " ", "  two", "\n", "\r", "\r\n", "\n\n", "\r\r", "\r\n\r\n", "\n\r", "a\nb", "a\rb", "a\r\nb", "a\n", "a\r", "a\r\n", "\na", "\ra", "\r\n\r\r\n\na",
		":", ": comment", "a\n: comment", "\n:", "data: x", "a\ndata: x", "a\n\ndata: forged\n\n", "a\r\rdata: forged\r\r",
		"id: 1", "a\nid: forged", "a\rid: forged\r\r", "a\r\nid", "event: gap\ndata: {}", "a\n\nevent: closing\ndata: {\"reason\":\"draining\"}\n\n",
		"retry: 1", "a\nretry: 999999", "\ufeff", "\ufeffdata: x", "a\n\ufeffid: 1", "\x00", "a\x00b\nid: \x00", "\x00\r\x00", "\u0085\u2028\u2029", "\v\fid: 1",
		"\x1b]0;title\a", strings.Repeat("\n", 1000), strings.Repeat("\r\n", 1000) + "end", "\U0001F431\r", "data", "data:", "event", "grüße\rid: ü",
	} {
		quoted, _ := json.Marshal(message)
		r := b.Publish(t, `{"topic": "cats", "message": `+string(quoted)+`}`)
		want := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(message)
		ev, ok := s.Next()
		if !ok || ev != (harness.ParsedEvent{Kind: "message", Data: want, ID: r.Cursor}) {
			t.Fatalf("%.100q: got %.200s, %t", message, ev, ok)
		}
		var text string
		if err := json.Unmarshal(v1.V1(t).Data, &text); err != nil || text != message {
			t.Errorf("%.100q: belfry.v1 got %.100q, %v", message, text, err)
		}
	}
	retry := s.Parser.Retry
	b.Publish(t, `{"topic": "cats", "message": {"a": "\n\r", "b" : [1, "\u0000"]}}`)
	s.Expect("message", `{"a":"\n\r","b":[1,"\u0000"]}`)
	if retry == "" || s.Parser.Retry != retry {
		t.Errorf("retry was %s, and now is %s", retry, s.Parser.Retry)
	}
}

// TestNotListenedTo: the broker ignores what a client sends on a stream of server-sent
// events.
func TestNotListenedTo(t *testing.T) {
	t.Parallel()
	b := harness.Start(t, strictLimits...)
	by := b.Bystander(t)
	defer by.Silent(t)
	w := b.Socket(t, harness.EventRequest("/sse?topic=dogs")+harness.Say(`{"op":"subscribe","topics":["bystander"]}`))
	s := w.Stream(t)
	w.Send(t, "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n", strings.Repeat("\xff", 1<<16))
	b.Publish(t, harness.Event("dogs", "bark"))
	s.Expect("message", "bark")
	w.Reset(t)
	harness.Eventually(t, "the stream has ended", func() bool { return b.Census(t).Connected == 1 })
	by.Before.Topics = b.Census(t).Topics
	by.Undisturbed(t)
	if got := b.Call(t, http.MethodGet, "/health", ""); got.Status != 200 {
		t.Errorf("got %d", got.Status)
	}
}
