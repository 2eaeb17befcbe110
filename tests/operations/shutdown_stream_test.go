package operations_test

import (
	"io"
	"strings"
	"syscall"
	"testing"

	"belfry/tests/harness"
)

// testShutdownOfAllKinds: each transport is told in its own way, and receives what was
// published before.
func testShutdownOfAllKinds(t *testing.T, binary string) {
	b, process := startBinary(t, binary, "--protocols=http1+http2")
	v1 := b.WireV1(t, "/ws?topic=cats")
	registered := b.WireV1(t, b.Register(t, `{"user_id": 1}`).Path)
	source := b.Socket(t, harness.EventRequest("/sse?topic=cats"))
	sse, over2 := source.Stream(t), b.StreamH2(t.Context(), t, b.H2(t), "/sse?topic=cats")
	poll := b.Socket(t, "GET /topics/dogs/events?wait=60s HTTP/1.1\r\nHost: localhost\r\n\r\n")
	harness.Eventually(t, "the poll waits", func() bool { return b.Metric(t, "belfry_polls") == 1 })
	publish := b.SlowPublish(t, harness.Event("cats", "in flight"))
	before := b.Publish(t, harness.Event("cats", "before"))

	process.signal(t, syscall.SIGTERM)
	deaf(b, t)
	got := poll.Answer(t)
	if got.Status != 200 || !strings.HasPrefix(got.Body, `{"topic":"dogs","events":[],"cursor":"`) {
		t.Errorf("the poll is answered %d %s", got.Status, got.Body)
	}
	in := publish.Finish(t)
	if in.Queued != 4 {
		t.Errorf("the publish in flight: %+v", in)
	}
	for _, w := range []*harness.Wire{v1, registered} {
		for _, want := range []string{before.Cursor, in.Cursor} {
			if m := w.V1(t); m.Type != "event" || m.Cursor != want {
				t.Errorf("got %+v, want the event %s", m, want)
			}
		}
		if m := w.V1(t); m.Type != "closing" || m.Reason != "draining" || m.ReconnectAfterMS < 1000 || m.ReconnectAfterMS > 2000 || m.Cursor != in.Cursor {
			t.Errorf("the farewell is %+v", m)
		}
		w.Closed(t, 1012, "draining")
	}
	for _, s := range []*harness.Stream{sse, over2} {
		s.Expect("message", "before")
		s.Expect("message", "in flight")
		s.Closing("draining", true)
		if s.Parser.LastID != in.Cursor {
			t.Errorf("it would come back with %s, want %s", s.Parser.LastID, in.Cursor)
		}
	}
	source.Close()
	if state := process.wait(t); state.ExitCode() != 0 {
		t.Errorf("the program ended with %v", state)
	}
}

// TestShutdownDespiteDeafStreams: streams without a reader delay the shutdown for at most
// close_timeout; all other time-outs are an hour.
func TestShutdownDespiteDeafStreams(t *testing.T) {
	t.Parallel()
	b := harness.Start(t, "--close-timeout=50ms", "--protocols=http1+http2", "--history-events=1000")
	deaf := b.SocketFrom(t, harness.SmallBuffer, harness.EventRequest("/sse?topic=cats"))
	over2 := b.StreamH2(t.Context(), t, b.H2(t), "/sse?topic=cats")
	quick := b.StreamH2(t.Context(), t, b.H2(t), "/sse?topic=cats")
	const published = 200
	for i := range published {
		b.Publish(t, harness.Event("cats", harness.Padded(i+1)))
	}
	for i := range published {
		quick.Expect("message", harness.Padded(i+1))
	}
	ends(b, t)
	quick.Closing("draining", true)
	if _, err := io.Copy(io.Discard, deaf.Reread(t)); err == nil {
		t.Error("the client that read nothing was closed in order")
	}
	if _, err := io.Copy(io.Discard, over2.Reread); err == nil {
		t.Error("the stream that nobody read was ended in order")
	}
}
