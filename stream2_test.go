package main

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
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
