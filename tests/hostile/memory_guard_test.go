package hostile_test

import (
	"fmt"
	"strings"
	"testing"

	"belfry/tests/harness"
)

// Memory held by strangers does not stop publishers with a key.
func TestPublishFromReserve(t *testing.T) {
	t.Setenv("GOMEMLIMIT", "off")
	b := harness.StartKeyed(t, "keys:\n"+harness.Entry("backend", "publish, register, admin", ">"), "--max-memory=1", "--memory-reserve=1099511627776")
	harness.Eventually(t, "the guard has looked", func() bool {
		return strings.Contains(b.Call(t, "GET", "/health/ready", "").Body, "over_capacity")
	})
	for target, want := range map[string]int{"/register": 503, "/publish": 200} {
		body := map[string]string{"/register": `{"user_id": 1}`, "/publish": harness.Event("cats", "x")}[target]
		if status, answer := b.Ask(t, "backend", "POST", target, body); status != want {
			t.Errorf("%s: %d %s", target, status, answer)
		}
	}
	if status, page := b.Ask(t, "backend", "GET", "/metrics", ""); !strings.Contains(page, "belfry_memory_reserve_bytes 1.099511627776e+12\n") {
		t.Errorf("the metrics say something else: %d", status)
	}
}

// The queue of a slow client shrinks while memory is short: a client that had room before
// is closed at its next event.
func TestQueuesUnderPressure(t *testing.T) {
	t.Setenv("GOMEMLIMIT", "off")
	const file = "keys: []\nmemory_reserve: 1099511627776\nmax_memory: %d\n"
	b := harness.StartKeyed(t, fmt.Sprintf(file, 1<<40), "--client-queue-bytes=1048576")
	harness.SlowReader(t, b.Broker)
	n := 0
	harness.Eventually(t, "more than half of what may wait does", func() bool {
		n++
		b.Publish(t, harness.Event("cats", harness.Padded(n)))
		return b.Metric(t, "belfry_client_queue_bytes") > 700_000
	})
	b.Reload(t, fmt.Sprintf(file, 1))
	harness.Eventually(t, "the guard has looked", func() bool {
		return strings.Contains(b.Call(t, "GET", "/health/ready", "").Body, "over_capacity")
	})
	harness.Eventually(t, "the client is closed", func() bool {
		n++
		b.Publish(t, harness.Event("cats", harness.Padded(n)))
		return b.Metric(t, `belfry_disconnects_total{reason="slow_consumer"}`) == 1
	})
	if n > 240 { // of 4 KB: even without pressure it would be
		t.Errorf("it is closed after %d events", n)
	}
}

// When memory is short nothing new begins. Everybody is told so in a way that they
// understand, and metrics still work.
func TestOutOfMemory(t *testing.T) {
	t.Setenv("GOMEMLIMIT", "off")
	b := harness.Start(t, "--max-memory=1", "--close-timeout=100ms")
	harness.Eventually(t, "the guard has looked", func() bool {
		return strings.Contains(b.Call(t, "GET", "/health/ready", "").Body, "over_capacity") // before, it says that it starts
	})
	b.Call(t, "GET", "/health/ready", "").Problem(t, 503, "over_capacity")
	b.Call(t, "POST", "/publish", harness.Event("cats", "x")).Problem(t, 503, "over_capacity")
	b.Call(t, "POST", "/register", `{"user_id": 1}`).Problem(t, 503, "over_capacity")
	b.Socket(t, harness.Opening("/ws?topic=cats")).Answer(t).Problem(t, 503, "over_capacity")
	w := b.Socket(t, harness.V1Opening("/ws?topic=cats"))
	w.AcceptedV1(t)
	if m := w.V1(t); m.Type != "closing" || m.Reason != "over_capacity" {
		t.Errorf("got %+v", m)
	}
	w.Closed(t, 1013, "over_capacity")
	if ev, ok := b.Stream(t, "/sse?topic=cats").Next(); ok {
		t.Errorf("an EventSource gets %v", ev)
	}
	if got := b.Call(t, "GET", "/health", ""); got.Status != 200 {
		t.Errorf("got %+v", got)
	}
	if b.Metric(t, "belfry_memory_limit_bytes") != 1 || b.Metric(t, "belfry_memory_bytes") < 1<<20 || b.Metric(t, `belfry_refused_total{limit="max_memory"}`) != 5 {
		t.Error("the metrics say something else")
	}
}
