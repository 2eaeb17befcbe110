package main

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Server-sent events over HTTP/2.

// stream2 asks for events over HTTP/2 as an EventSource does. What the test has
// not read ends with it.
func (b *testBroker) stream2(t *testing.T, path string) *http.Response {
	t.Helper()
	transport := b.http2Transport()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	req, err := http.NewRequestWithContext(ctx, "GET", b.url("http", path), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); res.Body.Close(); transport.CloseIdleConnections() })
	return res
}

// TestStreamsTakeOver: a stream that is taken over comes to an orderly end, and
// one takeover too many is answered in the only way that stops an EventSource.
func TestStreamsTakeOver(t *testing.T) {
	t.Parallel()
	b := start(t, "--protocols=http1+http2")
	path := strings.Replace(b.register(t, `{"user_id": 1}`).Path, "/ws/", "/sse/", 1)
	last := b.stream2(t, path)
	for range 5 {
		next := b.stream2(t, path)
		text, err := io.ReadAll(last.Body)
		if err != nil || !strings.HasSuffix(string(text), "event: closing\ndata: {\"reason\":\"replaced\"}\n\n") {
			t.Errorf("the stream that was taken over has ended with %q, %v", text, err)
		}
		last = next
	}
	if res := b.stream2(t, path); res.StatusCode != http.StatusNoContent {
		t.Errorf("one takeover too many is answered %s", res.Status)
	}
}

// TestAQuietStreamGoesOn: how long a write may take does not matter to a stream
// that has nothing to write.
func TestAQuietStreamGoesOn(t *testing.T) {
	t.Parallel()
	b := start(t, "--protocols=http1+http2", "--ping-interval=50ms", "--pong-timeout=50ms")
	res := b.stream2(t, "/sse?topic=cats")
	read := make(chan error, 1)
	go func() {
		for text := ""; !strings.Contains(text, "data: purr\n"); {
			p := make([]byte, 1000)
			n, err := res.Body.Read(p)
			if text += string(p[:n]); err != nil {
				read <- err
				return
			}
		}
		read <- nil
	}()
	select {
	case err := <-read:
		t.Fatalf("the stream has ended: %v", err)
	case <-time.After(500 * time.Millisecond):
	}
	b.publish(t, event("cats", "purr"))
	select {
	case err := <-read:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Error("the event has not come")
	}
}
