package api_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"belfry/api"
	"belfry/api/auth"
	"belfry/hub"
)

// countPanics has a broker count panics by where they come from.
func countPanics(counted chan<- string) setup {
	return func(_ *hub.Options, o *api.Options) {
		o.Panicked = func(_ any, where string, _ ...zap.Field) { counted <- where }
	}
}

// panicAt has the guard of a broker panic when it is asked for the n-th time.
func panicAt(n int32) setup {
	return func(_ *hub.Options, o *api.Options) {
		guard, asked := o.Guard, new(atomic.Int32)
		o.Guard = func() *auth.Guard {
			if asked.Add(1) == n {
				panic("of the guard")
			}
			return guard()
		}
	}
}

// A pausedBody is a stream whose next line does not come until its reading is ended.
type pausedBody struct {
	*httptest.ResponseRecorder
	first string
	panic bool          // the end of the reading does
	waits func()        // is called when the next line is waited for
	ended chan struct{} // closed when the reading is to end
	once  sync.Once
}

func (b *pausedBody) SetReadDeadline(at time.Time) error {
	if at.Before(time.Now()) {
		b.once.Do(func() {
			close(b.ended)
			if b.panic {
				panic("of the end of the reading")
			}
		})
	}
	return nil
}

func (b *pausedBody) Read(p []byte) (int, error) {
	if b.first != "" {
		n := copy(p, b.first)
		b.first = b.first[n:]
		return n, nil
	}
	b.waits()
	<-b.ended
	return 0, os.ErrDeadlineExceeded
}

func (b *pausedBody) Close() error { return nil }

type brokenCollector struct{}

func (brokenCollector) Describe(chan<- *prometheus.Desc) {}
func (brokenCollector) Collect(chan<- prometheus.Metric) { panic("of a collector") }

// A panic in a goroutine of a request ends only that request.
func TestPanicsBesideAHandler(t *testing.T) {
	t.Parallel()
	const line = `{"topic":"cats","message":1}` + "\n"
	publish := func(b *broker, panics bool, waits func()) *httptest.ResponseRecorder {
		body := &pausedBody{ResponseRecorder: httptest.NewRecorder(), first: line, panic: panics, waits: waits, ended: make(chan struct{})}
		r := httptest.NewRequest(http.MethodPost, "/publish", io.NopCloser(body))
		r.Header.Set("Content-Type", "application/x-ndjson")
		b.ServeHTTP(body, r)
		return body.ResponseRecorder
	}
	stopping := make(chan struct{})
	for what, test := range map[string]struct {
		set  setup
		do   func(*broker) *httptest.ResponseRecorder
		want string
	}{
		"a poll that waits": {panicAt(2), func(b *broker) *httptest.ResponseRecorder {
			return b.call("GET", "/topics/cats/events?wait=1m", "")
		}, `"status":500`},
		"a stream that waits for its next line": {panicAt(2), func(b *broker) *httptest.ResponseRecorder {
			return publish(b, false, func() {})
		}, `"code":"internal"`},
		"the end of a stream's reading": {func(_ *hub.Options, o *api.Options) { o.Stopping = stopping }, func(b *broker) *httptest.ResponseRecorder {
			return publish(b, true, func() { close(stopping) })
		}, `"code":"draining"`},
		"a collector of metrics": {func(_ *hub.Options, o *api.Options) {
			o.Metrics = []prometheus.Collector{brokenCollector{}}
		}, func(b *broker) *httptest.ResponseRecorder { return b.call("GET", "/metrics", "") }, "belfry_build_info"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			counted := make(chan string, 10)
			b := newBroker(t, test.set, func(_ *hub.Options, o *api.Options) { o.BodyTimeout, o.MaxWait = time.Hour, time.Hour }, countPanics(counted))
			if w := test.do(b); !strings.Contains(w.Body.String(), test.want) || len(counted) != 1 {
				t.Errorf("%d panics were counted: %d %s", len(counted), w.Code, w.Body)
			}
			if w := b.call("GET", "/health", ""); w.Code != 200 {
				t.Errorf("then: %d %s", w.Code, w.Body)
			}
		})
	}
}

// Figures that panic are left out; the next ones are there.
func TestStatsThatPanic(t *testing.T) {
	t.Parallel()
	counted, asked := make(chan string, 10), new(atomic.Int32)
	b := newBroker(t, countPanics(counted), func(_ *hub.Options, o *api.Options) {
		fake(o).figures = func(context.Context) api.Connections {
			if asked.Add(1) == 1 {
				panic("of the figures")
			}
			return api.Connections{}
		}
	})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); b.PublishStats(ctx) }()
	defer func() { stop(); <-done }()
	if err := b.hub.Connect(hub.Registration{ID: idOf(1), Topics: []string{hub.StatsTopic}}, &hub.Conn{}, hub.From{}); err != nil {
		t.Fatal(err)
	}
	<-b.frames
	if where := <-counted; where != "stats" || len(counted) > 0 {
		t.Errorf("counted one of %s, and %d others", where, len(counted))
	}
}

// A grant whose check panics is lost, and the hub continues.
func TestRecheckThatPanics(t *testing.T) {
	t.Parallel()
	counted := make(chan string, 10)
	b := newBroker(t, countPanics(counted))
	// The guard does not know the holder of this grant.
	for i := range 2 {
		if _, err := b.hub.Register(hub.Registration{ID: idOf(i + 1), Grant: &hub.Grant{Subscribe: []string{"cats"}, Holder: i}}); err != nil {
			t.Fatal(err)
		}
	}
	ended, err := b.Recheck()
	if err != nil || ended != 2 || len(counted) != 2 {
		t.Errorf("%d have ended, %v, %d panics", ended, err, len(counted))
	}
}
