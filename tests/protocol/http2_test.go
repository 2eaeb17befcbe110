package protocol_test

import (
	"context"
	"strings"
	"testing"

	"belfry/tests/harness"
)

// TestEventStreamHTTP2: what ends a stream over HTTP/2 ends it in order, also
// for those that should not come back.
func TestEventStreamHTTP2(t *testing.T) {
	t.Parallel()
	b := harness.Start(t, "--protocols=http1+http2", "--history-events=2")
	client := b.H2(t)
	r := b.Register(t, `{"user_id": 1}`)
	first := b.StreamH2(t.Context(), t, client, "/sse/"+r.ClientID)
	at := b.Publish(t, harness.Event("cats", "one")).Cursor
	first.Expect("message", "one")
	second := b.StreamH2(t.Context(), t, client, "/sse/"+r.ClientID)
	first.Closing("replaced", false)
	for _, text := range []string{"two", "three", "four"} {
		b.Publish(t, harness.Event("cats", text))
		second.Expect("message", text)
	}
	third := b.StreamH2(t.Context(), t, client, "/sse/"+r.ClientID, "Last-Event-ID", at)
	second.Closing("replaced", false)
	if ev, ok := third.Next(); !ok || ev.Kind != "gap" || !strings.Contains(ev.Data, `"from":"`+at+`"`) {
		t.Errorf("got %s, want a gap", ev)
	}
	third.Expect("message", "three")
	third.Expect("message", "four")
	b.Unregister(t, r)
	third.Closing("unregistered", false)
	over2 := &harness.Broker{Addr: b.Addr, TLS: b.TLS, HTTP: *client}
	if got := over2.Call(t, "GET", "/sse/"+r.ClientID, "", "Accept", "text/event-stream"); got.Status != 204 || got.Header.Get("Content-Type") != "" {
		t.Errorf("an EventSource that should stop is answered %d %v", got.Status, got.Header)
	}

	ctx, hangUp := context.WithCancel(t.Context())
	b.StreamH2(ctx, t, client, "/sse?topic=cats")
	hangUp()
	b.Away(t)
}

// TestQuietHTTP2: a stream over HTTP/2 on which nothing is said stays open for
// longer than one write may take.
func TestQuietHTTP2(t *testing.T) {
	t.Parallel()
	b := harness.Start(t, "--protocols=http1+http2", "--ping-interval=10ms", "--pong-timeout="+harness.ShortTime.String())
	s := b.StreamH2(t.Context(), t, b.H2(t), "/sse?topic=cats")
	b.Publish(t, harness.Event("cats", "one"))
	s.Expect("message", "one")
	// A client that does not answer pings is the clock: it ends after that time.
	b.Wire(t, b.Register(t, `{"user_id": 1}`)).Closed(t, 4101, "pong_timeout")
	b.Publish(t, harness.Event("cats", "two"))
	s.Expect("message", "two")
}

// TestSlowHTTP2: a stream over HTTP/2 that is not read is cut, and what waits
// for it is bounded.
func TestSlowHTTP2(t *testing.T) {
	t.Parallel()
	b := harness.Start(t, append(harness.SlowFlags, "--protocols=http1+http2", "--close-timeout=50ms")...)
	b.StreamH2(t.Context(), t, b.H2(t), "/sse?topic=cats")
	published := b.Flood(t)
	harness.Eventually(t, "it is cut off", func() bool { return b.Metric(t, "belfry_connections") == 0 })
	if waits := b.Metric(t, "belfry_client_queue_bytes"); waits != 0 {
		t.Errorf("%v bytes wait", waits)
	}
	// Cut off, it is to be had again.
	s := b.StreamH2(t.Context(), t, b.H2(t), "/sse?topic=cats&last=1")
	s.Expect("message", harness.Padded(published))
}

// TestOverHTTP2: all but WebSocket works.
func TestOverHTTP2(t *testing.T) {
	t.Parallel()
	b := harness.Start(t, "--protocols=http1+http2")
	over2 := &harness.Broker{Addr: b.Addr, TLS: b.TLS, HTTP: *b.H2(t)}
	r := over2.Register(t, `{"user_id": 1}`)
	if got := over2.Publish(t, harness.Event("cats", "1")); got.Matched != 1 {
		t.Errorf("got %+v", got)
	}
	if _, h := over2.Page(t, "cats", "last=1000&wait=0s"); len(h.Events) != 1 {
		t.Errorf("history is %+v", h)
	}
	for _, target := range []string{"/ws", "/ws?topic=cats", r.Path, r.Path + "?last=0"} {
		for _, protocol := range []string{"", "belfry.v1"} {
			got := over2.Call(t, "GET", target, "", "Sec-WebSocket-Protocol", protocol)
			if target == r.Path+"?last=0" && protocol == "" {
				got.Problem(t, 400, "invalid_last")
			} else {
				got.Problem(t, 400, "bad_handshake")
			}
		}
	}
	over2.Call(t, "GET", "/sse", "").Problem(t, 400, "invalid_topic")
	over2.Call(t, "POST", "/sse", "").Problem(t, 405, "method_not_allowed")
	if !over2.Unregister(t, r) {
		t.Error("the client was gone")
	}
}
