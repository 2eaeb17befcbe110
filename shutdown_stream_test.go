package main

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// h2 returns a client that speaks HTTP/2 without TLS, by prior knowledge. It has
// room for little that is not read.
func h2(t *testing.T) *http.Client {
	t.Helper()
	const room = 64 << 10
	transport := &http.Transport{
		Protocols: new(http.Protocols),
		HTTP2:     &http.HTTP2Config{MaxReceiveBufferPerStream: room, MaxReceiveBufferPerConnection: room},
	}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// streamH2 opens a stream of server-sent events over HTTP/2.
func (b *testBroker) streamH2(t *testing.T, client *http.Client, target string, header ...string) *stream {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+b.addr+target, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	if res.ProtoMajor != 2 || res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("the request was answered %s %s %v", res.Proto, res.Status, res.Header)
	}
	return &stream{t: t, reader: bufio.NewReader(res.Body)}
}

// closing checks that the stream says farewell, for that reason, and ends.
func (s *stream) closing(reason string, again bool) {
	s.t.Helper()
	ev, ok := s.next()
	if !ok || ev.kind != "closing" || !strings.HasPrefix(ev.data, `{"reason":"`+reason+`"`) ||
		strings.Contains(ev.data, `"reconnect_after_ms":`) != again {
		s.t.Errorf("got %s, %t, want the farewell %s", ev, ok, reason)
	}
	if ev, ok := s.next(); ok {
		s.t.Errorf("behind the farewell comes %s", ev)
	}
}

// testShutdownOfAllKinds: each is told in its own way, and gets what was
// published before.
func testShutdownOfAllKinds(t *testing.T, binary string) {
	b, process := startBinary(t, binary, "--protocols=http1+http2")
	v1 := b.wireV1(t, "/ws?topic=cats")
	registered := b.wireV1(t, b.register(t, `{"user_id": 1}`).Path)
	sse, over2 := b.stream(t, "/sse?topic=cats"), b.streamH2(t, h2(t), "/sse?topic=cats")
	poll := b.socket(t, "GET /topics/dogs/events?wait=60s HTTP/1.1\r\nHost: localhost\r\n\r\n")
	eventually(t, "the poll waits", func() bool { return b.metric(t, "belfry_polls") == 1 })
	publish := b.slowPublish(t, event("cats", "in flight"))
	before := b.publish(t, event("cats", "before"))

	begin := time.Now()
	process.signal(t, syscall.SIGTERM)
	b.deaf(t)
	got := poll.answer(t)
	if got.status != 200 || !strings.HasPrefix(got.body, `{"topic":"dogs","events":[],"cursor":"`) {
		t.Errorf("the poll is answered %d %s", got.status, got.body)
	}
	in := publish.finish(t)
	if in.Queued != 4 {
		t.Errorf("the publish in flight: %+v", in)
	}
	for _, w := range []*wire{v1, registered} {
		for _, want := range []string{before.Cursor, in.Cursor} {
			if m := w.v1(t); m.Type != "event" || m.Cursor != want {
				t.Errorf("got %+v, want the event %s", m, want)
			}
		}
		if m := w.v1(t); m.Type != "closing" || m.Reason != "draining" || m.ReconnectAfterMS < 1000 || m.ReconnectAfterMS > 2000 || m.Cursor != in.Cursor {
			t.Errorf("the farewell is %+v", m)
		}
		w.closed(t, 1012, "draining")
	}
	for _, s := range []*stream{sse, over2} {
		s.expect("message", "before")
		s.expect("message", "in flight")
		s.closing("draining", true)
		if s.parser.lastID != in.Cursor {
			t.Errorf("it would come back with %s, want %s", s.parser.lastID, in.Cursor)
		}
	}
	state := process.wait(t)
	if d := time.Since(begin); state.ExitCode() != 0 || d > 10*time.Second {
		t.Errorf("the program ended with %v after %v", state, d)
	}
}

// TestShutdownDespiteDeafStreams: streams that nobody reads do not hold up the
// end for long.
func TestShutdownDespiteDeafStreams(t *testing.T) {
	t.Parallel()
	b := start(t, "--close-timeout=50ms", "--drain=10s", "--protocols=http1+http2", "--history-events=1000")
	deaf := b.socketFrom(t, smallBuffer, eventRequest("/sse?topic=cats"))
	over2 := b.streamH2(t, h2(t), "/sse?topic=cats")
	quick := b.streamH2(t, h2(t), "/sse?topic=cats")
	const published = 200
	for i := range published {
		b.publish(t, event("cats", padded(i+1)))
	}
	for i := range published {
		quick.expect("message", padded(i+1))
	}
	begin := time.Now()
	status := b.stop()
	if d := time.Since(begin); status != 0 || d > 5*time.Second {
		t.Errorf("the program ended with status %d after %v", status, d)
	}
	quick.closing("draining", true)
	if _, err := io.Copy(io.Discard, deaf.reader(t)); err == nil {
		t.Error("the client that read nothing was closed in order")
	}
	if _, err := io.Copy(io.Discard, over2.reader); err == nil {
		t.Error("the stream that nobody read was ended in order")
	}
}

// TestEventStreamHTTP2: what ends a stream over HTTP/2 ends it in order, also
// for those that should not come back.
func TestEventStreamHTTP2(t *testing.T) {
	t.Parallel()
	b := start(t, "--protocols=http1+http2", "--history-events=2")
	client := h2(t)
	r := b.register(t, `{"user_id": 1}`)
	first := b.streamH2(t, client, "/sse/"+r.ClientID)
	at := b.publish(t, event("cats", "one")).Cursor
	first.expect("message", "one")
	second := b.streamH2(t, client, "/sse/"+r.ClientID)
	first.closing("replaced", false)
	for _, text := range []string{"two", "three", "four"} {
		b.publish(t, event("cats", text))
		second.expect("message", text)
	}
	third := b.streamH2(t, client, "/sse/"+r.ClientID, "Last-Event-ID", at)
	second.closing("replaced", false)
	if ev, ok := third.next(); !ok || ev.kind != "gap" || !strings.Contains(ev.data, `"from":"`+at+`"`) {
		t.Errorf("got %s, want a gap", ev)
	}
	third.expect("message", "three")
	third.expect("message", "four")
	b.unregister(t, r)
	third.closing("unregistered", false)
	req, err := http.NewRequest("GET", "http://"+b.addr+"/sse/"+r.ClientID, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 204 || res.Header.Get("Content-Type") != "" {
		t.Errorf("an EventSource that should stop is answered %s %v", res.Status, res.Header)
	}
}

// TestQuietHTTP2: a stream over HTTP/2 on which nothing is said stays open for
// longer than one write may take.
func TestQuietHTTP2(t *testing.T) {
	t.Parallel()
	b := start(t, "--protocols=http1+http2", "--ping-interval=20ms", "--pong-timeout=20ms", "--heartbeat=1h")
	s := b.streamH2(t, h2(t), "/sse?topic=cats")
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
	b.streamH2(t, h2(t), "/sse?topic=cats")
	published := b.flood(t)
	eventually(t, "it is cut off", func() bool { return b.metric(t, "belfry_connections") == 0 })
	if waits := b.metric(t, "belfry_client_queue_bytes"); waits != 0 {
		t.Errorf("%v bytes wait", waits)
	}
	// Cut off, it is to be had again.
	s := b.streamH2(t, h2(t), "/sse?topic=cats&last=1")
	s.expect("message", padded(published))
}
