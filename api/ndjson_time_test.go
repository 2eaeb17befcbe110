package api_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"belfry/api"
	"belfry/hub"
)

// A timedBody is a body whose reads each need the time that a read may take.
type timedBody struct {
	*httptest.ResponseRecorder
	t       *testing.T
	parts   []string
	granted bool // since the last read
}

func (b *timedBody) SetReadDeadline(at time.Time) error {
	b.granted = b.granted || at.After(time.Now())
	return nil
}

func (b *timedBody) Read(p []byte) (int, error) {
	if !b.granted {
		b.t.Error("a read has what time the one before has left")
	}
	b.granted = false
	if len(b.parts) == 0 {
		return 0, io.EOF
	}
	n := copy(p, b.parts[0])
	b.parts = b.parts[1:]
	return n, nil
}

func (b *timedBody) Close() error { return nil }

// However a stream arrives, each part of it may take body_timeout: a long one must
// not end when that is over.
func TestStreamTime(t *testing.T) {
	t.Parallel()
	b := newBroker(t, func(_ *hub.Options, o *api.Options) { o.BodyTimeout = time.Minute })
	const line = `{"topic":"cats","message":1}` + "\n"
	body := &timedBody{ResponseRecorder: httptest.NewRecorder(), t: t, parts: []string{
		line + line[:5], line[5:] + line + line[:9], line[9:20], line[20:], line[:3], line[3:] + line[:1], line[1:],
	}}
	r := httptest.NewRequest(http.MethodPost, "/publish", nil)
	r.Body = body
	r.Header.Set("Content-Type", "application/x-ndjson")
	b.ServeHTTP(body, r)
	if !strings.Contains(body.Body.String(), `"accepted":6,"rejected":0`) {
		t.Errorf("%d %s", body.Code, body.Body)
	}
}
