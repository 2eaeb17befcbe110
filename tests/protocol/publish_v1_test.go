package protocol_test

import (
	"fmt"
	"strings"
	"testing"

	"belfry/tests/harness"
)

// v1Publish has a connection publish, and returns the code of the error, or "".
func v1Publish(w *harness.Wire, t *testing.T, topic string) string {
	t.Helper()
	w.Send(t, harness.Say(`{"op":"publish","topic":"`+topic+`","data":1}`))
	for {
		switch m := w.V1(t); m.Type {
		case "ack":
			return ""
		case "error":
			return m.Code
		}
	}
}

// TestPublishV1Rights: clients that may publish over HTTP may publish over a connection,
// as long as they have the right. With keys, a client id alone is not enough.
func TestPublishV1Rights(t *testing.T) {
	t.Parallel()
	both, reads := harness.Entry("both", "publish, subscribe", "news.>"), harness.Entry("reads", "subscribe", "news.>")
	backend := harness.Entry("backend", "register", "news.>")
	b := harness.StartKeyed(t, "keys:\n"+both+reads+backend)
	publisher, reader := b.Subscriber(t, "both", "news.a"), b.Subscriber(t, "reads", "news.a")
	r := b.As(t, "backend", "POST", "/register", `{"user_id":1,"topic":"news.a"}`)
	_, path, _ := strings.Cut(r.Body, `"path":"`)
	path, _, _ = strings.Cut(path, `"`)
	ticket := b.WireV1(t, path)
	for _, c := range []struct {
		wire        *harness.Wire
		topic, code string
	}{
		{publisher, "news.a", ""}, {publisher, "sport", "forbidden"}, {reader, "news.a", "forbidden"}, {ticket, "news.a", "forbidden"},
	} {
		if code := v1Publish(c.wire, t, c.topic); code != c.code {
			t.Errorf("publishing to %s: %q, want %q", c.topic, code, c.code)
		}
	}
	b.Reload(t, "keys:\n"+harness.Entry("both", "subscribe", "news.>")+reads+backend)
	if code := v1Publish(publisher, t, "news.a"); code != "forbidden" {
		t.Errorf("a right that is no more: %q", code)
	}
}

// TestOpenNoMore: clients that came to an open broker may not publish once there are keys.
func TestOpenNoMore(t *testing.T) {
	t.Parallel()
	b := harness.StartKeyed(t, "{}")
	w := b.WireV1(t, "/ws?topic=cats")
	if code := v1Publish(w, t, "cats"); code != "" {
		t.Fatal(code)
	}
	stream := b.Socket(t, "POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"+
		"20\r\n"+`{"topic":"cats","message":"one"}`+"\r\n1\r\n\n\r\n")
	if m := w.V1(t); string(m.Data) != `"one"` {
		t.Fatalf("%+v", m)
	}
	b.Reload(t, "keys:\n"+harness.Entry("backend", "publish", ">"))
	w.Send(t, harness.Say(`{"op":"publish","topic":"cats","data":1}`))
	for refused := false; !refused; { // or it has been asked to leave before
		op, message := w.Frame(t)
		refused = op == harness.Closing && strings.HasSuffix(message, "revoked") || strings.Contains(message, `"credentials_missing"`)
		if !refused && (op != harness.Text || !strings.Contains(message, `"closing"`)) {
			t.Fatalf("over its connection: %#x %q", op, message)
		}
	}
	stream.Send(t, "20\r\n"+`{"topic":"cats","message":"two"}`+"\r\n1\r\n\n\r\n0\r\n\r\n")
	if got := stream.Answer(t); !strings.HasPrefix(got.Body, `{"accepted":1,`) || !strings.Contains(got.Body, `{"line":2,"code":"credentials_missing"`) {
		t.Errorf("by its stream: %s", got.Body)
	}
}

// TestPublishV1User: a user is named by a string or an integer, and is the same.
func TestPublishV1User(t *testing.T) {
	t.Parallel()
	b := harness.Start(t)
	p := b.Connect(t, b.Register(t, `{"user_id": 12345678901234567890, "topic": "cats"}`))
	w := b.WireV1(t, "/ws?topic=dogs")
	for i, user := range []string{`12345678901234567890`, `"12345678901234567890"`} {
		w.Send(t, harness.Say(fmt.Sprintf(`{"op":"publish","topic":"cats","data":%d,"user_id":%s}`, i, user)))
		if m := w.V1(t); m.Type != "ack" {
			t.Errorf("%+v", m)
		}
		p.Expect(t, fmt.Sprint(i))
	}
}

// TestPublishesUnderWay: a client need not wait for an answer before it asks for more. All
// are answered in the order in which they came, whatever they are.
func TestPublishesUnderWay(t *testing.T) {
	t.Parallel()
	b := harness.Start(t)
	w := b.WireV1(t, "/ws?topic=other")
	var sent strings.Builder
	for i := range 300 {
		switch ref := fmt.Sprint(i); {
		case i%50 == 7:
			sent.WriteString(harness.Say(`{"op":"ping","ref":` + ref + `}`))
		case i%50 == 21:
			sent.WriteString(harness.Say(`{"op":"publish","ref":` + ref + `,"topic":"a..b","data":1}`))
		default:
			sent.WriteString(harness.Say(`{"op":"publish","ref":` + ref + `,"topic":"cats","data":` + ref + `}`))
		}
	}
	w.Send(t, sent.String())
	last := ""
	for i := range 300 {
		m := w.V1(t)
		if string(m.Ref) != fmt.Sprint(i) {
			t.Fatalf("answer %d is to %s: %+v", i, m.Ref, m)
		}
		if m.Type == "ack" {
			if m.Receipt.Cursor <= last {
				t.Errorf("publish %d has the cursor %s, after %s", i, m.Receipt.Cursor, last)
			}
			last = m.Receipt.Cursor
		}
	}
	if n := b.Metric(t, "belfry_events_published_total"); n != 288 {
		t.Errorf("%v were published", n)
	}
}
