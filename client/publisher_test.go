package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"belfry/client"
)

// A script answers calls one after the other, and keeps what it was asked.
type script struct {
	answers []func() (*http.Response, error)
	keys    []string
	bodies  []string
	times   []time.Time
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	s.keys, s.bodies, s.times = append(s.keys, r.Header.Get("Idempotency-Key")), append(s.bodies, string(body)), append(s.times, time.Now())
	next := s.answers[min(len(s.keys), len(s.answers))-1]
	if next == nil {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	return next()
}

// answerOf is one with a body, and pairs of a header's names and values.
func answerOf(status int, body string, header ...string) func() (*http.Response, error) {
	return func() (*http.Response, error) {
		res := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
		for i := 0; i < len(header); i += 2 {
			res.Header.Set(header[i], header[i+1])
		}
		return res, nil
	}
}

func failure(err error) func() (*http.Response, error) {
	return func() (*http.Response, error) { return nil, err }
}

var (
	taken   = answerOf(200, `{"id":"1","cursor":"c","topic":"t","matched":2,"queued":1,"duplicate":true}`)
	busy    = answerOf(503, `{"code":"busy","detail":"wait"}`, "Retry-After", "3")
	refused = answerOf(400, `{"code":"invalid_topic","detail":"no","index":1}`)
	noRoute = failure(&net.OpError{Op: "dial", Err: errors.New("no route")})
	cut     = failure(io.ErrUnexpectedEOF)
	silence func() (*http.Response, error)
)

// TestPublisherRetries: what is tried again, how long, and what is said in the end.
func TestPublisherRetries(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answers []func() (*http.Response, error)
		calls   int // 0: any number
		want    string
		doubt   bool
	}{
		"at once":              {[]func() (*http.Response, error){taken}, 1, "", false},
		"after failures":       {[]func() (*http.Response, error){noRoute, cut, busy, silence, answerOf(502, "<html>"), taken}, 6, "", false},
		"refused":              {[]func() (*http.Response, error){refused}, 1, "invalid_topic (400): no", false},
		"refused after a loss": {[]func() (*http.Response, error){cut, refused}, 2, "invalid_topic (400): no", true},
		"never reached":        {[]func() (*http.Response, error){noRoute}, 0, "no route", false},
		"always busy":          {[]func() (*http.Response, error){busy}, 0, "busy (503): wait", false},
		"never answered":       {[]func() (*http.Response, error){cut, noRoute}, 0, "no route", true},
		"no broker":            {[]func() (*http.Response, error){answerOf(404, "<html>")}, 1, "HTTP status 404 Not Found", false},
		"nonsense":             {[]func() (*http.Response, error){answerOf(200, "<html>"), taken}, 2, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &script{answers: test.answers}
				told := 0
				p := client.NewPublisher("http://b/", &client.PublisherOptions{
					HTTPClient: &http.Client{Transport: s}, OnRetry: func(error, time.Duration) { told++ },
				})
				receipt, err := p.Publish(t.Context(), client.Publication{Topic: "t", Data: []byte(`{"a": "<"}`), ExpiresIn: 1500 * time.Millisecond}, "")
				if test.want == "" && (err != nil || receipt.Cursor != "c" || !receipt.Duplicate) {
					t.Errorf("%+v %v", receipt, err)
				}
				if test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
					t.Error(err)
				}
				doubt, ok := errors.AsType[*client.UnansweredError](err)
				if ok != test.doubt || ok && `"`+doubt.Key+`"` != s.keys[0] {
					t.Errorf("%v: doubt: %v", err, ok)
				}
				if test.calls != 0 && len(s.keys) != test.calls || told != len(s.keys)-1 {
					t.Errorf("%d calls, told of %d", len(s.keys), told)
				}
				if s.times[len(s.times)-1].Sub(s.times[0]) > 30*time.Second {
					t.Error("it is tried for too long")
				}
				if len(slices.Compact(slices.Clone(s.keys))) != 1 || len(slices.Compact(slices.Clone(s.bodies))) != 1 {
					t.Error("it is not the same each time", s.keys, s.bodies)
				}
				if want := `{"topic":"t","message":{"a":"<"},"expires_in":1.5}` + "\n"; s.bodies[0] != want {
					t.Errorf("sent %s", s.bodies[0])
				}
			})
		})
	}
}

// TestPublisherPauses: the broker is not asked again sooner than it has said.
func TestPublisherPauses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: []func() (*http.Response, error){busy, busy, taken}}
		p := client.NewPublisher("http://b", &client.PublisherOptions{HTTPClient: &http.Client{Transport: s}})
		if _, err := p.Publish(t.Context(), client.Publication{Topic: "t", Data: []byte("1")}, "mine"); err != nil {
			t.Fatal(err)
		}
		for i := range 2 {
			if d := s.times[i+1].Sub(s.times[i]); d < 3*time.Second || d > 5*time.Second {
				t.Error(d)
			}
		}
		if s.keys[0] != `"mine"` {
			t.Error(s.keys)
		}
	})
}

// TestPublisherGivesUp: a caller that stops waiting is told what is known.
func TestPublisherGivesUp(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]func() (*http.Response, error){"silence": silence, "pause": cut} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
				defer cancel()
				p := client.NewPublisher("http://b", &client.PublisherOptions{
					HTTPClient: &http.Client{Transport: &script{answers: []func() (*http.Response, error){first}}}, MinBackoff: time.Hour,
					RetryFor: 2 * time.Hour,
				})
				_, err := p.Publish(ctx, client.Publication{Topic: "t", Data: []byte("1")}, "")
				if _, doubt := errors.AsType[*client.UnansweredError](err); !doubt || !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
			})
		})
	}
}

// TestPublisherInput: what can't be published is not sent.
func TestPublisherInput(t *testing.T) {
	t.Parallel()
	s := &script{answers: []func() (*http.Response, error){taken}}
	p := client.NewPublisher("http://b", &client.PublisherOptions{HTTPClient: &http.Client{Transport: s}})
	for _, e := range []client.Publication{{Topic: "\xff", Data: []byte("1")}, {Topic: "t", Data: []byte("{")}} {
		if _, err := p.Publish(t.Context(), e, ""); err == nil {
			t.Errorf("%+v", e)
		}
		if _, err := p.PublishAll(t.Context(), []client.Publication{e}, ""); err == nil {
			t.Errorf("%+v", e)
		}
	}
	if _, err := client.NewPublisher("http://%", nil).Publish(t.Context(), client.Publication{Topic: "t", Data: []byte("1")}, ""); err == nil {
		t.Error("what URL is that")
	}
	if len(s.keys) != 0 {
		t.Error(s.bodies)
	}
}

// TestPublisherKeys: a key is sent unchanged, so that it is the same key by any other
// means. The broker removes quotes, and nothing else.
func TestPublisherKeys(t *testing.T) {
	t.Parallel()
	s := &script{answers: []func() (*http.Response, error){taken}}
	p := client.NewPublisher("http://b", &client.PublisherOptions{HTTPClient: &http.Client{Transport: s}})
	e := client.Publication{Topic: "t", Data: []byte("1")}
	good := []string{`a"b`, `a\b`, `"quoted"`, " ", strings.Repeat(`"`, 255)}
	for _, key := range good {
		if _, err := p.Publish(t.Context(), e, key); err != nil {
			t.Errorf("%q: %v", key, err)
		}
	}
	for i, key := range good {
		if s.keys[i] != `"`+key+`"` {
			t.Errorf("%q was sent as %s", key, s.keys[i])
		}
	}
	for _, key := range []string{"a\nb", "\x00", "é", "\x7f", strings.Repeat("k", 256)} {
		if _, err := p.Publish(t.Context(), e, key); err == nil || !strings.Contains(err.Error(), "printable ASCII") {
			t.Errorf("%q: %v", key, err)
		}
		if _, err := p.PublishAll(t.Context(), []client.Publication{e}, key); err == nil || !strings.Contains(err.Error(), "printable ASCII") {
			t.Errorf("%q: %v", key, err)
		}
	}
	if len(s.keys) != len(good) {
		t.Errorf("%d calls", len(s.keys))
	}
}

// TestPublisherStream: a stream is sent once, as it is.
func TestPublisherStream(t *testing.T) {
	t.Parallel()
	s := &script{answers: []func() (*http.Response, error){answerOf(200, `{"accepted":1,"rejected":1,"errors":[{"line":2,"code":"c","detail":"d"}]}`), cut}}
	p := client.NewPublisher("http://b", &client.PublisherOptions{HTTPClient: &http.Client{Transport: s}})
	got, err := p.Stream(t.Context(), strings.NewReader("one\ntwo\n"))
	if want := "&{1 1   [{2 c d}]} <nil>"; fmt.Sprint(got, " ", err) != want {
		t.Error(got, err)
	}
	if _, err := p.Stream(t.Context(), strings.NewReader("")); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
	if len(s.bodies) != 2 || s.bodies[0] != "one\ntwo\n" || s.keys[0] != "" {
		t.Error(s.bodies, s.keys)
	}
}
