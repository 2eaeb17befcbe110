package serve_test

import (
	"context"
	"io"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"belfry/api/auth"
	"belfry/cli/serve"
	"belfry/cli/serve/logging"
	"belfry/config"
	"belfry/hub"
	"belfry/tests/harness"
)

// idleBroker returns a broker by the defaults that does not run.
func idleBroker(t *testing.T) *serve.Broker {
	t.Helper()
	cfg, err := config.Parse(nil, nil, "", io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	log := logging.New(serve.LogOptionsOf(cfg), io.Discard)
	t.Cleanup(log.Close)
	b, err := serve.NewBroker(cfg, log, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestStartsAtOnce: what the program does before it listens waits for nothing.
// In the bubble time passes only when all wait.
func TestStartsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		idleBroker(t)
		if d := time.Since(begin); d > 0 {
			t.Errorf("making the broker has taken %v", d)
		}
	})
}

// TestRefusedWhileDraining: clients that reach the broker during its shutdown are told to
// return. The program closes the listener in the same moment, so here another server
// serves the actors.
func TestRefusedWhileDraining(t *testing.T) {
	t.Parallel()
	actors := idleBroker(t)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { actors.Hub().Run(ctx) })
	running.Go(func() { actors.Transport().Run(ctx) })
	server := httptest.NewServer(actors.Handler())
	defer running.Wait()
	defer cancel()
	defer server.Close()
	b := harness.NewBroker()
	b.Addr = server.Listener.Addr().String()
	defer b.HTTP.CloseIdleConnections()
	r := b.Register(t, `{"user_id": 1}`)
	if err := actors.Hub().Drain(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/" + r.ClientID, "?topic=cats", "?topic=cats&after=000000000000000000000001"} {
		b.Socket(t, harness.V1Opening("/ws"+path)).RefusedV1(t, 1012, "draining")
		b.Socket(t, harness.Opening("/ws"+path)).Answer(t).Problem(t, 503, "draining")
		b.Call(t, "GET", "/sse"+path, "").Problem(t, 503, "draining")
		b.Stream(t, "/sse"+path).Refused()
	}
	b.Call(t, "GET", "/topics/cats/events?wait=1m", "").Problem(t, 503, "draining")
}

// TestReady: /health/ready says no before the broker takes events and after.
// It is asked without a socket: the end closes the listener in the same moment.
func TestReady(t *testing.T) {
	t.Parallel()
	everybody, err := auth.New(auth.Options{Open: true})
	if err != nil {
		t.Fatal(err)
	}
	b := idleBroker(t)
	b.SetGuard(everybody)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { b.Hub().Run(ctx) })
	running.Go(func() { b.Transport().Run(ctx) })
	defer running.Wait()
	defer cancel()
	call := func(method, target, body string) harness.Answer {
		w := httptest.NewRecorder()
		b.Handler().ServeHTTP(w, httptest.NewRequest(method, target, strings.NewReader(body)))
		return harness.Answer{Status: w.Code, Header: w.Header(), Body: w.Body.String()}
	}

	call("GET", "/health/ready", "").Problem(t, 503, "not_ready")
	b.SetReady()
	if got := call("GET", "/health/ready", ""); got.Status != 200 {
		t.Errorf("a broker that serves answers %d %s", got.Status, got.Body)
	}
	b.ShutDown()
	call("GET", "/health/ready", "").Problem(t, 503, "not_ready")
	call("POST", "/publish", harness.Event("cats", "too late")).Problem(t, 503, "draining")
	call("POST", "/register", `{"user_id": 1}`).Problem(t, 503, "draining")
	if got := call("GET", "/health", ""); got.Status != 200 {
		t.Errorf("a broker that drains answers %d %s", got.Status, got.Body)
	}
}

// TestEpoch: the logs of two brokers have different epochs, even if both start at the same
// time. Neither is the epoch of an invalid cursor.
func TestEpoch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // the clock stands still
		seen := map[uint64]bool{0: true}
		for range 10 {
			at := idleBroker(t).Hub().Cursor(7)
			if read, ok := hub.ParseCursor(at.String()); !ok || read != at {
				t.Errorf("%+v is read as %+v", at, read)
			}
			if seen[at.Epoch] {
				t.Fatalf("a second log has the name %x", at.Epoch)
			}
			seen[at.Epoch] = true
		}
	})
}
