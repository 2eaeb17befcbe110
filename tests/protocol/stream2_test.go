package protocol_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"belfry/tests/harness"
)

// Server-sent events over HTTP/2.

// stream2 asks for events over HTTP/2 as an EventSource does. What the test has
// not read ends with it.
func stream2(b *harness.Broker, t *testing.T, path string) *http.Response {
	t.Helper()
	transport := b.HTTP2Transport()
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	req, err := http.NewRequestWithContext(ctx, "GET", b.URL("http", path), nil)
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
	b := harness.Start(t, "--protocols=http1+http2")
	path := strings.Replace(b.Register(t, `{"user_id": 1}`).Path, "/ws/", "/sse/", 1)
	last := stream2(b, t, path)
	for range 5 {
		next := stream2(b, t, path)
		text, err := io.ReadAll(last.Body)
		if err != nil || !strings.HasSuffix(string(text), "event: closing\ndata: {\"reason\":\"replaced\"}\n\n") {
			t.Errorf("the stream that was taken over has ended with %q, %v", text, err)
		}
		last = next
	}
	if res := stream2(b, t, path); res.StatusCode != http.StatusNoContent {
		t.Errorf("one takeover too many is answered %s", res.Status)
	}
}
