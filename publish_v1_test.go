package main

import (
	"fmt"
	"strings"
	"testing"
)

// v1Publish has a connection publish, and returns the code of the error, or "".
func (w *wire) v1Publish(t *testing.T, topic string) string {
	t.Helper()
	w.send(t, say(`{"op":"publish","topic":"`+topic+`","data":1}`))
	for {
		switch m := w.v1(t); m.Type {
		case "ack":
			return ""
		case "error":
			return m.Code
		}
	}
}

// TestPublishV1Rights: over a connection publishes who may by HTTP, as long as
// that is so, and nobody by a ticket when there are keys.
func TestPublishV1Rights(t *testing.T) {
	t.Parallel()
	both, reads := entry("both", "publish, subscribe", "news.>"), entry("reads", "subscribe", "news.>")
	backend := entry("backend", "register", "news.>")
	b := startKeyed(t, "keys:\n"+both+reads+backend)
	publisher, reader := b.subscriber(t, "both", "news.a"), b.subscriber(t, "reads", "news.a")
	r := b.as(t, "backend", "POST", "/register", `{"user_id":1,"topic":"news.a"}`)
	_, path, _ := strings.Cut(r.body, `"path":"`)
	path, _, _ = strings.Cut(path, `"`)
	ticket := b.wireV1(t, path)
	for _, c := range []struct {
		wire        *wire
		topic, code string
	}{
		{publisher, "news.a", ""}, {publisher, "sport", "forbidden"}, {reader, "news.a", "forbidden"}, {ticket, "news.a", "forbidden"},
	} {
		if code := c.wire.v1Publish(t, c.topic); code != c.code {
			t.Errorf("publishing to %s: %q, want %q", c.topic, code, c.code)
		}
	}
	b.reload(t, "keys:\n"+entry("both", "subscribe", "news.>")+reads+backend)
	if code := publisher.v1Publish(t, "news.a"); code != "forbidden" {
		t.Errorf("a right that is no more: %q", code)
	}
}

// TestOpenNoMore: who came when everybody might publish may not when there are
// keys.
func TestOpenNoMore(t *testing.T) {
	t.Parallel()
	b := startKeyed(t, "{}")
	w := b.wireV1(t, "/ws?topic=cats")
	if code := w.v1Publish(t, "cats"); code != "" {
		t.Fatal(code)
	}
	stream := b.socket(t, "POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"+
		"20\r\n"+`{"topic":"cats","message":"one"}`+"\r\n1\r\n\n\r\n")
	if m := w.v1(t); string(m.Data) != `"one"` {
		t.Fatalf("%+v", m)
	}
	b.reload(t, "keys:\n"+entry("backend", "publish", ">"))
	w.send(t, say(`{"op":"publish","topic":"cats","data":1}`))
	for refused := false; !refused; { // or it has been asked to leave before
		op, message := w.frame(t)
		refused = op == closing && strings.HasSuffix(message, "revoked") || strings.Contains(message, `"credentials_missing"`)
		if !refused && (op != text || !strings.Contains(message, `"closing"`)) {
			t.Fatalf("over its connection: %#x %q", op, message)
		}
	}
	stream.send(t, "20\r\n"+`{"topic":"cats","message":"two"}`+"\r\n1\r\n\n\r\n0\r\n\r\n")
	if got := stream.answer(t); !strings.HasPrefix(got.body, `{"accepted":1,`) || !strings.Contains(got.body, `{"line":2,"code":"credentials_missing"`) {
		t.Errorf("by its stream: %s", got.body)
	}
}

// TestPublishV1User: a user is named by a string or an integer, and is the same.
func TestPublishV1User(t *testing.T) {
	t.Parallel()
	b := start(t)
	p := b.connect(t, b.register(t, `{"user_id": 12345678901234567890, "topic": "cats"}`))
	w := b.wireV1(t, "/ws?topic=dogs")
	for i, user := range []string{`12345678901234567890`, `"12345678901234567890"`} {
		w.send(t, say(fmt.Sprintf(`{"op":"publish","topic":"cats","data":%d,"user_id":%s}`, i, user)))
		if m := w.v1(t); m.Type != "ack" {
			t.Errorf("%+v", m)
		}
		p.expect(t, fmt.Sprint(i))
	}
}
