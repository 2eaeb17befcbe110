package main

import (
	"io"
	"strings"
	"syscall"
	"testing"
)

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
	source := b.socket(t, eventRequest("/sse?topic=cats"))
	sse, over2 := source.stream(t), b.streamH2(t.Context(), t, b.h2(t), "/sse?topic=cats")
	poll := b.socket(t, "GET /topics/dogs/events?wait=60s HTTP/1.1\r\nHost: localhost\r\n\r\n")
	eventually(t, "the poll waits", func() bool { return b.metric(t, "belfry_polls") == 1 })
	publish := b.slowPublish(t, event("cats", "in flight"))
	before := b.publish(t, event("cats", "before"))

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
	source.Close()
	if state := process.wait(t); state.ExitCode() != 0 {
		t.Errorf("the program ended with %v", state)
	}
}

// TestShutdownDespiteDeafStreams: streams that nobody reads do not hold up the
// end for longer than close_timeout: all others are an hour.
func TestShutdownDespiteDeafStreams(t *testing.T) {
	t.Parallel()
	b := start(t, "--close-timeout=50ms", "--protocols=http1+http2", "--history-events=1000")
	deaf := b.socketFrom(t, smallBuffer, eventRequest("/sse?topic=cats"))
	over2 := b.streamH2(t.Context(), t, b.h2(t), "/sse?topic=cats")
	quick := b.streamH2(t.Context(), t, b.h2(t), "/sse?topic=cats")
	const published = 200
	for i := range published {
		b.publish(t, event("cats", padded(i+1)))
	}
	for i := range published {
		quick.expect("message", padded(i+1))
	}
	b.ends(t)
	quick.closing("draining", true)
	if _, err := io.Copy(io.Discard, deaf.reader(t)); err == nil {
		t.Error("the client that read nothing was closed in order")
	}
	if _, err := io.Copy(io.Discard, over2.reader); err == nil {
		t.Error("the stream that nobody read was ended in order")
	}
}
