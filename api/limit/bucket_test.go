package limit_test

import (
	"fmt"
	"testing"
	"time"

	"belfry/api/limit"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// A clock stands still unless it is moved.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time          { return c.now }
func (c *clock) pass(d time.Duration)    { c.now = c.now.Add(d) }
func newClock() *clock                   { return &clock{start} }
func after(d time.Duration) time.Time    { return start.Add(d) }
func perSecond(n float64) (r limit.Rate) { return limit.PerSecond(n) }

func buckets(r limit.Rate) *limit.Buckets[string] {
	b := new(limit.Buckets[string])
	b.SetRate(r, start)
	return b
}

func TestPerSecond(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		perSecond float64
		burst     int
		refill    time.Duration
	}{{1, 1, time.Second}, {50, 50, time.Second}, {2.5, 3, 1200 * time.Millisecond}, {0.5, 1, 2 * time.Second}} {
		if r := perSecond(c.perSecond); r.Burst != c.burst || r.Refill() != c.refill || r.None() {
			t.Errorf("%v: %+v, filled in %v", c.perSecond, r, r.Refill())
		}
	}
	for _, none := range []float64{0, -1} {
		if r := perSecond(none); !r.None() {
			t.Errorf("%v is a limit: %+v", none, r)
		}
	}
}

func TestTake(t *testing.T) {
	t.Parallel()
	b := buckets(perSecond(2))
	for _, c := range []struct {
		key  string
		n    int
		at   time.Duration
		ok   bool
		want limit.Level
	}{
		{"a", 1, 0, true, limit.Level{Left: 1, Full: time.Second / 2}},
		{"a", 1, 0, true, limit.Level{Left: 0, Full: time.Second}},
		{"a", 1, 0, false, limit.Level{Left: 0, Full: time.Second, Wait: time.Second / 2}},
		{"b", 2, 0, true, limit.Level{Left: 0, Full: time.Second}},
		{"a", 2, 0, false, limit.Level{Left: 0, Full: time.Second, Wait: time.Second}},
		{"a", 1, time.Second / 4, false, limit.Level{Left: 0, Full: 3 * time.Second / 4, Wait: time.Second / 4}},
		{"a", 1, time.Second / 2, true, limit.Level{Left: 0, Full: time.Second}},
		{"b", 3, time.Second, false, limit.Level{Left: 2, Wait: time.Second / 2}}, // more than it holds
		{"b", 2, time.Second, true, limit.Level{Left: 0, Full: time.Second}},
	} {
		if got, ok := b.Take(c.key, c.n, after(c.at)); ok != c.ok || got != c.want {
			t.Errorf("%s takes %d after %v: %+v %v, want %+v %v", c.key, c.n, c.at, got, ok, c.want, c.ok)
		}
	}
}

func TestNoRate(t *testing.T) {
	t.Parallel()
	b := buckets(limit.Rate{})
	for i := range 1000 {
		if _, ok := b.Take(fmt.Sprint(i), 1000, start); !ok {
			t.Fatal("refused without a limit")
		}
	}
	if n := b.Len(start); n != 0 {
		t.Errorf("%d are remembered without a need", n)
	}
}

// Only buckets that are not full are remembered, however many there were, and none is
// forgotten too early.
func TestForget(t *testing.T) {
	t.Parallel()
	b := buckets(limit.Rate{PerSecond: 10, Burst: 20}) // full after 2 s
	got := 0
	for i := range 100_000 { // 100 s
		now := after(time.Duration(i) * time.Millisecond)
		b.Take(fmt.Sprint(i), 1, now)
		if n := b.Len(now); n > 2*2000+2 {
			t.Fatalf("%d are remembered after %d", n, i)
		}
		if _, ok := b.Take("busy", 1, now); ok {
			got++
		}
	}
	if got < 20+990 || got > 20+1000 {
		t.Errorf("somebody took %d in 100 s, want 20 and 10 a second", got)
	}
	if n := b.Len(after(time.Hour)); n != 0 {
		t.Errorf("%d are remembered for ever", n)
	}
}

// A caller that returns just before, at and after the time that a bucket needs to be full
// is neither forgiven nor punished.
func TestForgetExactly(t *testing.T) {
	t.Parallel()
	for offset := range 40 {
		b := buckets(limit.Rate{PerSecond: 1, Burst: 4})
		began := time.Duration(offset) * 100 * time.Millisecond
		b.Take("a", 4, after(began))
		for _, wait := range []time.Duration{1, 2, 3, 4, 9} {
			b.Take("other", 1, after(began+time.Second/2))
			got, _ := b.Take("a", 0, after(began+wait*time.Second))
			if want := min(4, int(wait)); got.Left != want {
				t.Errorf("begun at %v, %d s later: %d left, want %d", began, wait, got.Left, want)
			}
		}
	}
}

func TestSetRate(t *testing.T) {
	t.Parallel()
	b := buckets(perSecond(10))
	b.Take("a", 10, start)
	b.SetRate(perSecond(10), after(time.Second/2))
	if got, _ := b.Take("a", 0, after(time.Second/2)); got.Left != 5 {
		t.Errorf("the same rate: %+v", got)
	}
	b.SetRate(perSecond(100), after(time.Second/2))
	if got, ok := b.Take("a", 6, after(time.Second/2)); ok || got.Left != 5 {
		t.Errorf("a higher rate gives what was not earned: %+v", got)
	}
	if got, _ := b.Take("a", 0, after(time.Second)); got.Left != 55 {
		t.Errorf("a higher rate: %+v", got)
	}
	b.SetRate(perSecond(1), after(time.Second))
	if _, ok := b.Take("a", 2, after(time.Second)); ok {
		t.Error("a lower rate leaves what there was")
	}
	b.SetRate(limit.Rate{}, after(time.Second))
	if _, ok := b.Take("a", 1000, after(time.Second)); !ok {
		t.Error("refused without a limit")
	}
	b.SetRate(perSecond(1), after(time.Second))
	if _, ok := b.Take("a", 1, after(time.Second)); !ok {
		t.Error("refused at the first")
	}
}
