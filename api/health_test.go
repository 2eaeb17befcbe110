package api_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"belfry/api"
	"belfry/hub"
)

func TestHealth(t *testing.T) {
	t.Parallel()
	start := time.Now()
	b := newBroker(t, func(_ *hub.Options, o *api.Options) {
		o.Started = start
		o.Clock = func() time.Time { return start.Add(90*time.Second + time.Millisecond) }
	})
	b.connect(b.register(`{"user_id":1,"topics":["a","b","c.*"]}`))
	b.register(`{"user_id":1,"topic":"a"}`)
	w := b.call("GET", "/health", "")
	const want = `{"status":"ok","version":"1.2.3","uptime_s":90,"clients":2,"connected":1,"topics":2}` + "\n"
	if w.Code != 200 || w.Body.String() != want || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("got %d %s %v", w.Code, w.Body, w.Header())
	}
}

func TestReady(t *testing.T) {
	t.Parallel()
	var ready atomic.Bool
	b := newBroker(t, func(_ *hub.Options, o *api.Options) { o.Ready = ready.Load })
	problem(t, b.call("GET", "/health/ready", ""), 503, "not_ready")
	if w := b.call("GET", "/health/live", ""); w.Code != 200 {
		t.Errorf("not live: %d %s", w.Code, w.Body)
	}
	ready.Store(true)
	if w := b.call("GET", "/health/ready", ""); w.Code != 200 || w.Body.String() != `{"status":"ready"}`+"\n" {
		t.Errorf("not ready: %d %s", w.Code, w.Body)
	}
}

// A hub that does not answer is told of, in bounded time and by one goroutine.
func TestUnresponsive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		b := newBroker(t, func(h *hub.Options, _ *api.Options) {
			h.Encoders[0] = func(*hub.Event, hub.Cursor) []byte { <-release; return nil }
		})
		b.connect(b.register(`{"user_id":1}`))
		published := make(chan int)
		go func() { published <- b.call("POST", "/publish", `{"topic":"cats","message":1}`).Code }()
		synctest.Wait() // the hub now hangs
		for _, path := range []string{"/health", "/health/live", "/health/ready"} {
			start := time.Now()
			problem(t, b.call("GET", path, ""), 503, "unresponsive")
			if waited := time.Since(start); waited != 2*time.Second {
				t.Errorf("%s: after %v", path, waited)
			}
		}
		if w := b.call("GET", "/metrics", ""); w.Code != 200 {
			t.Errorf("metrics: %d %s", w.Code, w.Body)
		}
		close(release)
		if code := <-published; code != 200 {
			t.Errorf("the publish was answered %d", code)
		}
		<-b.frames
		if w := b.call("GET", "/health/ready", ""); w.Code != 200 {
			t.Errorf("not ready again: %d %s", w.Code, w.Body)
		}
	})
}
