package protocol_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"belfry/tests/harness"
)

// TestStreamInChunks: over HTTP/1.1 a stream that ends in order can be told from
// one that was cut; HTTP/1.0 has no chunks.
func TestStreamInChunks(t *testing.T) {
	t.Parallel()
	b := harness.Start(t)
	read := func(request string) (*http.Response, func() (string, error)) {
		res, err := http.ReadResponse(b.Socket(t, request).Reread(t), nil)
		if err != nil || res.StatusCode != 200 {
			t.Fatalf("%v, %v", res, err)
		}
		return res, func() (string, error) {
			text, err := io.ReadAll(res.Body)
			return string(text), err
		}
	}
	request := harness.EventRequest("/sse?topic=cats")
	res, rest := read(request)
	old, oldRest := read(strings.Replace(request, "HTTP/1.1", "HTTP/1.0", 1))
	if len(res.TransferEncoding) != 1 || res.TransferEncoding[0] != "chunked" || len(old.TransferEncoding) != 0 {
		t.Errorf("transfer encodings %v, %v", res.TransferEncoding, old.TransferEncoding)
	}
	at := b.Publish(t, harness.Event("cats", "one")).Cursor
	go b.Stop() // it waits for those who read
	for _, rest := range []func() (string, error){rest, oldRest} {
		text, err := rest()
		if err != nil || !strings.Contains(text, "\n\ndata: one\nid: "+at+"\n\nevent: closing\n") {
			t.Errorf("got %q, %v", text, err)
		}
	}
}
