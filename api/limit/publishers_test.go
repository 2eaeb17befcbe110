package limit_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"belfry/api/limit"
)

// publishes counts how many of n events a publisher may publish now.
func publishes(take func(string, int) (limit.QuotaStatus, bool), name string, n int) (may int) {
	for range n {
		if _, ok := take(name, 1); ok {
			may++
		}
	}
	return may
}

func TestPublishers(t *testing.T) {
	t.Parallel()
	c := newClock()
	p := limit.NewPublishers(limit.PublishLimits{Other: 5, Keys: map[string]float64{"slow": 0.5, "fast": 10, "free": 0}, User: 3}, c.Now)
	for range 2 {
		for _, w := range []struct {
			take func(string, int) (limit.QuotaStatus, bool)
			name string
			want int
		}{
			{p.Key, "slow", 1}, {p.Key, "fast", 10}, {p.Key, "free", 100}, {p.Key, "unknown", 5}, {p.Key, "as unknown", 0},
			{p.User, "1", 3}, {p.User, "2", 3}, {p.User, "slow", 3}, {p.User, "", 3},
		} {
			if got := publishes(w.take, w.name, 100); got != w.want {
				t.Errorf("%s may publish %d, want %d", w.name, got, w.want)
			}
		}
		c.pass(2 * time.Second)
	}
}

func TestStanding(t *testing.T) {
	t.Parallel()
	c := newClock()
	p := limit.NewPublishers(limit.PublishLimits{Keys: map[string]float64{"k": 2.5}, User: 50}, c.Now)
	for _, w := range []struct {
		n      int
		ok     bool
		header string
		wait   time.Duration
	}{
		{1, true, `"publish";r=2;t=1`, 0},
		{2, true, `"publish";r=0;t=2`, 0},
		{1, false, `"publish";r=0;t=2`, 400 * time.Millisecond},
	} {
		s, ok := p.Key("k", w.n)
		if ok != w.ok || s.Header() != w.header || s.Wait != w.wait || s.Limit != limit.PublishRate || s.Policy[0] != `"publish";q=3;w=2` {
			t.Errorf("%d: %v %s %+v", w.n, ok, s.Header(), s)
		}
	}
	if s, ok := p.User("u", 10); !ok || s.Limit != limit.UserPublishRate || s.Policy[0] != `"publish";q=50;w=1` || s.Header() != `"publish";r=40;t=1` {
		t.Errorf("a user: %v %+v", ok, s)
	}
	if s, ok := p.Key("free", 1e6); !ok || s.Policy != nil {
		t.Errorf("without a limit: %+v", s)
	}
}

// A limit that stays what it is goes on; one that changes begins anew.
func TestSetPublishLimits(t *testing.T) {
	t.Parallel()
	c := newClock()
	limits := func(a, b, user float64) limit.PublishLimits {
		return limit.PublishLimits{Keys: map[string]float64{"a": a, "b": b}, User: user}
	}
	p := limit.NewPublishers(limits(4, 4, 4), c.Now)
	for _, name := range []string{"a", "b"} {
		publishes(p.Key, name, 4)
	}
	publishes(p.User, "u", 4)
	p.SetLimits(limits(4, 6, 4))
	if a, b, u := publishes(p.Key, "a", 9), publishes(p.Key, "b", 9), publishes(p.User, "u", 9); a != 0 || b != 6 || u != 0 {
		t.Errorf("got %d, %d and %d", a, b, u)
	}
	p.SetLimits(limit.PublishLimits{})
	if a, u := publishes(p.Key, "a", 100), publishes(p.User, "u", 100); a != 100 || u != 100 {
		t.Errorf("without limits: %d and %d", a, u)
	}
}

func TestPublishersConcurrently(t *testing.T) {
	t.Parallel()
	p := limit.NewPublishers(limit.PublishLimits{}, nil)
	var running sync.WaitGroup
	for i := range 4 {
		running.Go(func() {
			for n := range 1000 {
				p.Key(fmt.Sprint(n%3), 1)
				p.User(fmt.Sprint(i, n), 1)
			}
		})
	}
	for n := range 100 {
		p.SetLimits(limit.PublishLimits{Other: float64(n), User: float64(n % 3), Keys: map[string]float64{"1": float64(n % 2)}})
	}
	running.Wait()
}
