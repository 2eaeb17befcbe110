package limit

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// PublishLimits bound the events of a second. Zero is no limit.
type PublishLimits struct {
	Other float64            // of a key that Keys does not have, and of all together who need none
	Keys  map[string]float64 // of a key, by its name
	User  float64            // of one user's tokens together
}

// Publishers bound how fast each of those publishes who may.
type Publishers struct {
	clock    func() time.Time
	changing sync.Mutex
	inForce  atomic.Pointer[allowances]
}

// allowances are not changed any more, but for what their buckets hold.
type allowances struct {
	other, users *allowance
	keys         map[string]*allowance
}

// NewPublishers returns bounds. Nil is the clock of the system.
func NewPublishers(l PublishLimits, clock func() time.Time) *Publishers {
	if clock == nil {
		clock = time.Now
	}
	p := &Publishers{clock: clock}
	p.inForce.Store(new(allowances))
	p.SetLimits(l)
	return p
}

// SetLimits changes the limits. What has been published counts on where a limit
// is what it was.
func (p *Publishers) SetLimits(l PublishLimits) {
	p.changing.Lock()
	defer p.changing.Unlock()
	now, was := p.clock(), p.inForce.Load()
	is := &allowances{
		other: was.other.change(PublishRate, l.Other, now),
		users: was.users.change(UserPublishRate, l.User, now),
		keys:  make(map[string]*allowance, len(l.Keys)),
	}
	for name, perSecond := range l.Keys {
		is.keys[name] = was.keys[name].change(PublishRate, perSecond, now)
	}
	p.inForce.Store(is)
}

// An allowance is what each of some publishers may.
type allowance struct {
	limit   Limit
	rate    Rate
	policy  []string
	buckets Buckets[string]
}

// change returns an allowance of another rate, or the same one. It may be nil.
func (a *allowance) change(l Limit, perSecond float64, now time.Time) *allowance {
	r := PerSecond(perSecond)
	if a != nil && a.rate == r {
		return a
	}
	a = &allowance{limit: l, rate: r, policy: policyOf(r)}
	a.buckets.SetRate(r, now)
	return a
}

// A Standing is what a publisher is told of the limit.
type Standing struct {
	Level
	Limit  Limit
	Burst  int      // no more are ever taken at once; 0: there is no limit
	Policy []string // the header RateLimit-Policy; nil: there is no limit
}

// Key takes n events of a key, or none and reports false.
func (p *Publishers) Key(name string, n int) (Standing, bool) {
	all := p.inForce.Load()
	if a := all.keys[name]; a != nil {
		return a.take(name, n, p.clock)
	}
	return all.other.take("", n, p.clock)
}

// Everybody takes n events of all together who need no key, or none and reports
// false.
func (p *Publishers) Everybody(n int) (Standing, bool) {
	return p.inForce.Load().other.take("", n, p.clock)
}

// User takes n events of a user, or none and reports false. The name tells apart all
// who have tokens.
func (p *Publishers) User(name string, n int) (Standing, bool) {
	return p.inForce.Load().users.take(name, n, p.clock)
}

func (a *allowance) take(who string, n int, clock func() time.Time) (Standing, bool) {
	if a.rate.None() {
		return Standing{}, true
	}
	level, ok := a.buckets.Take(who, n, clock())
	return Standing{level, a.limit, a.rate.Burst, a.policy}, ok
}

// What follows is of draft-ietf-httpapi-ratelimit-headers-11, sections 3 and 4: a
// bucket is a quota of what it holds in the time that it takes to be filled.

func policyOf(r Rate) []string {
	if r.None() {
		return nil
	}
	return []string{fmt.Sprintf(`"publish";q=%d;w=%d`, r.Burst, Seconds(r.Refill()))}
}

// Header is the header RateLimit.
func (s Standing) Header() string { return fmt.Sprintf(`"publish";r=%d;t=%d`, s.Left, Seconds(s.Full)) }
