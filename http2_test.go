package main

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"
)

// The interface over HTTP/2: without TLS, as proxies speak it, and in TestOverTLS
// as browsers do.

// http2Transport speaks HTTP/2 alone: agreed on by TLS, or without TLS by prior
// knowledge.
func (b *testBroker) http2Transport() *http.Transport {
	transport := &http.Transport{Protocols: new(http.Protocols), TLSClientConfig: b.tls.Clone()}
	transport.Protocols.SetHTTP2(b.tls != nil)
	transport.Protocols.SetUnencryptedHTTP2(b.tls == nil)
	return transport
}

// h2 returns a client that speaks HTTP/2. It has room for little that is not
// read.
func (b *testBroker) h2(t *testing.T) *http.Client {
	t.Helper()
	const room = 64 << 10
	transport := b.http2Transport()
	transport.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: room, MaxReceiveBufferPerConnection: room}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// streamH2 opens a stream of server-sent events over HTTP/2.
func (b *testBroker) streamH2(ctx context.Context, t *testing.T, client *http.Client, target string, header ...string) *stream {
	t.Helper()
	ctx, giveUp := context.WithCancel(ctx)
	limit := time.AfterFunc(patience, giveUp)
	t.Cleanup(giveUp)
	req, err := http.NewRequestWithContext(ctx, "GET", b.url("http", target), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := client.Do(req)
	limit.Stop()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	if res.ProtoMajor != 2 || res.StatusCode != 200 || res.Header.Get("Content-Type") != eventStream {
		t.Fatalf("the request was answered %s %s %v", res.Proto, res.Status, res.Header)
	}
	return &stream{t: t, reader: bufio.NewReader(res.Body), bound: func() func() { limit.Reset(patience); return func() { limit.Stop() } }}
}

// TestEventStreamHTTP2: what ends a stream over HTTP/2 ends it in order, also
// for those that should not come back.
func TestEventStreamHTTP2(t *testing.T) {
	t.Parallel()
	b := start(t, "--protocols=http1+http2", "--history-events=2")
	client := b.h2(t)
	r := b.register(t, `{"user_id": 1}`)
	first := b.streamH2(t.Context(), t, client, "/sse/"+r.ClientID)
	at := b.publish(t, event("cats", "one")).Cursor
	first.expect("message", "one")
	second := b.streamH2(t.Context(), t, client, "/sse/"+r.ClientID)
	first.closing("replaced", false)
	for _, text := range []string{"two", "three", "four"} {
		b.publish(t, event("cats", text))
		second.expect("message", text)
	}
	third := b.streamH2(t.Context(), t, client, "/sse/"+r.ClientID, "Last-Event-ID", at)
	second.closing("replaced", false)
	if ev, ok := third.next(); !ok || ev.kind != "gap" || !strings.Contains(ev.data, `"from":"`+at+`"`) {
		t.Errorf("got %s, want a gap", ev)
	}
	third.expect("message", "three")
	third.expect("message", "four")
	b.unregister(t, r)
	third.closing("unregistered", false)
	over2 := &testBroker{addr: b.addr, tls: b.tls, http: *client}
	if got := over2.call(t, "GET", "/sse/"+r.ClientID, "", "Accept", "text/event-stream"); got.status != 204 || got.header.Get("Content-Type") != "" {
		t.Errorf("an EventSource that should stop is answered %d %v", got.status, got.header)
	}

	ctx, hangUp := context.WithCancel(t.Context())
	b.streamH2(ctx, t, client, "/sse?topic=cats")
	hangUp()
	b.away(t)
}

// TestQuietHTTP2: a stream over HTTP/2 on which nothing is said stays open for
// longer than one write may take.
func TestQuietHTTP2(t *testing.T) {
	t.Parallel()
	b := start(t, "--protocols=http1+http2", "--ping-interval=10ms", "--pong-timeout="+shortTime.String())
	s := b.streamH2(t.Context(), t, b.h2(t), "/sse?topic=cats")
	b.publish(t, event("cats", "one"))
	s.expect("message", "one")
	// A client that does not answer pings is the clock: it ends after that time.
	b.wire(t, b.register(t, `{"user_id": 1}`)).closed(t, 4101, "pong_timeout")
	b.publish(t, event("cats", "two"))
	s.expect("message", "two")
}

// TestSlowHTTP2: a stream over HTTP/2 that is not read is cut, and what waits
// for it is bounded.
func TestSlowHTTP2(t *testing.T) {
	t.Parallel()
	b := start(t, append(slowFlags, "--protocols=http1+http2", "--close-timeout=50ms")...)
	b.streamH2(t.Context(), t, b.h2(t), "/sse?topic=cats")
	published := b.flood(t)
	eventually(t, "it is cut off", func() bool { return b.metric(t, "belfry_connections") == 0 })
	if waits := b.metric(t, "belfry_client_queue_bytes"); waits != 0 {
		t.Errorf("%v bytes wait", waits)
	}
	// Cut off, it is to be had again.
	s := b.streamH2(t.Context(), t, b.h2(t), "/sse?topic=cats&last=1")
	s.expect("message", padded(published))
}

// TestOverHTTP2: all but WebSocket works.
func TestOverHTTP2(t *testing.T) {
	t.Parallel()
	b := start(t, "--protocols=http1+http2")
	over2 := &testBroker{addr: b.addr, tls: b.tls, http: *b.h2(t)}
	r := over2.register(t, `{"user_id": 1}`)
	if got := over2.publish(t, event("cats", "1")); got.Matched != 1 {
		t.Errorf("got %+v", got)
	}
	if _, h := over2.page(t, "cats", "last=1000&wait=0s"); len(h.Events) != 1 {
		t.Errorf("history is %+v", h)
	}
	for _, target := range []string{"/ws", "/ws?topic=cats", r.Path, r.Path + "?last=0"} {
		for _, protocol := range []string{"", "belfry.v1"} {
			got := over2.call(t, "GET", target, "", "Sec-WebSocket-Protocol", protocol)
			if target == r.Path+"?last=0" && protocol == "" {
				got.problem(t, 400, "invalid_last")
			} else {
				got.problem(t, 400, "bad_handshake")
			}
		}
	}
	over2.call(t, "GET", "/sse", "").problem(t, 400, "invalid_topic")
	over2.call(t, "POST", "/sse", "").problem(t, 405, "method_not_allowed")
	if !over2.unregister(t, r) {
		t.Error("the client was gone")
	}
}
