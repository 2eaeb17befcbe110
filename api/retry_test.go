package api_test

import (
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"belfry/api"
	"belfry/api/limit"
	"belfry/hub"
)

// A stopwatch is a clock that a test moves.
type stopwatch struct{ now time.Time }

func (c *stopwatch) setup(l limit.Limits, p limit.PublishLimits) setup {
	c.now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	clock := func() time.Time { return c.now }
	return func(_ *hub.Options, o *api.Options) {
		o.Clock, o.Gate, o.Publishers = clock, limit.NewGate(l, clock), limit.NewPublishers(p, clock)
		o.MaxBody = 1 << 20
	}
}

// after waits as long as a refusal says.
func (c *stopwatch) after(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	seconds, err := strconv.Atoi(w.Header().Get("Retry-After"))
	if err != nil || seconds < 1 {
		t.Fatalf("Retry-After %q", w.Header().Get("Retry-After"))
	}
	c.now = c.now.Add(time.Duration(seconds) * time.Second)
}

func list(n int) string {
	return "[" + strings.Repeat(catsBody+",", n-1) + catsBody + "]"
}

// A list above the burst is never admitted, and says so. One within it is admitted
// at once, or after the pause that its refusal asks for.
func TestListsAndRates(t *testing.T) {
	t.Parallel()
	for _, perSecond := range []float64{0.1, 0.3, 0.5, 1, 1.1, 1.5, 2, 2.9, 3, 7.3, 10} {
		t.Run(fmt.Sprint(perSecond), func(t *testing.T) {
			t.Parallel()
			var c stopwatch
			b := newBroker(t, c.setup(limit.Limits{}, limit.PublishLimits{Other: perSecond}))
			burst := limit.PerSecond(perSecond).Burst
			random := rand.New(rand.NewPCG(1, 2))
			for range 300 {
				n := 1 + random.IntN(burst+2)
				body := list(n)
				if n == 1 && random.IntN(2) == 0 {
					body = catsBody
				}
				w := b.call("POST", "/publish", body)
				if w.Code == 429 {
					c.after(t, w)
					w = b.call("POST", "/publish", body)
				}
				switch {
				case n <= burst && w.Code != 200:
					t.Fatalf("%d of %d after the pause: %d %s", n, burst, w.Code, w.Body)
				case n > burst:
					problem(t, w, 413, "list_too_long")
				}
				c.now = c.now.Add(time.Duration(random.Int64N(int64(time.Second))))
			}
		})
	}
}

// A list that took long to arrive is no longer than others may be.
func TestSlowListAboveBurst(t *testing.T) {
	t.Parallel()
	var c stopwatch
	b := newBroker(t, c.setup(limit.Limits{}, limit.PublishLimits{Other: 2}))
	body := &slowBody{strings.NewReader(list(3)), func() { c.now = c.now.Add(time.Minute) }}
	problem(t, serve(b, request("POST", "/publish", body)), 413, "list_too_long")
}

// A slowBody takes its time.
type slowBody struct {
	*strings.Reader
	wait func()
}

func (b *slowBody) Read(p []byte) (int, error) {
	b.wait()
	return b.Reader.Read(p)
}

// A caller that waits as long as the refusal says is admitted.
func TestHandshakesAfterPause(t *testing.T) {
	t.Parallel()
	for _, l := range []limit.Limits{
		{AddressHandshakes: 1}, {AddressHandshakes: 3}, {Handshakes: 1}, {AddressHandshakes: 1, Handshakes: 4}, {AddressHandshakes: 4, Handshakes: 1},
		{AddressHandshakes: 2, Handshakes: 3, AddressConnections: 5},
	} {
		t.Run(fmt.Sprintf("%+v", l), func(t *testing.T) {
			t.Parallel()
			var c stopwatch
			b := newBroker(t, c.setup(l, limit.PublishLimits{}))
			random := rand.New(rand.NewPCG(1, 2))
			connect := func() *httptest.ResponseRecorder {
				r := request("GET", "/sse?topic=cats", strings.NewReader(""))
				r.RemoteAddr = "198.51.100.1:1"
				return serve(b, r)
			}
			for range 200 {
				w := connect()
				if w.Code == 429 || w.Code == 503 {
					c.after(t, w)
					w = connect()
				}
				if w.Code != 200 {
					t.Fatalf("after the pause: %d %s", w.Code, w.Body)
				}
				c.now = c.now.Add(time.Duration(random.Int64N(int64(time.Second / 2))))
			}
		})
	}
}
