package limit

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// PublishLimits bound the events in a second. Zero is no limit.
type PublishLimits struct {
	Other float64            // for a key that is not in Keys, and for all callers without credentials together
	Keys  map[string]float64 // by the key's name
	User  float64            // for all tokens of one user together
}

// Publishers limit how fast each publisher publishes.
type Publishers struct {
	clock    func() time.Time
	changing sync.Mutex
	inForce  atomic.Pointer[quotas]
}

// quotas are immutable, except for the content of their buckets.
type quotas struct {
	other, users *quota
	keys         map[string]*quota
}

// NewPublishers returns publishers without limits. A nil clock is the system's.
func NewPublishers(l PublishLimits, clock func() time.Time) *Publishers {
	if clock == nil {
		clock = time.Now
	}
	p := &Publishers{clock: clock}
	p.inForce.Store(new(quotas))
	p.SetLimits(l)
	return p
}

// SetLimits changes the limits. Buckets whose limit is unchanged keep their content.
func (p *Publishers) SetLimits(l PublishLimits) {
	p.changing.Lock()
	defer p.changing.Unlock()
	now, was := p.clock(), p.inForce.Load()
	is := &quotas{
		other: was.other.change(PublishRate, l.Other, now),
		users: was.users.change(UserPublishRate, l.User, now),
		keys:  make(map[string]*quota, len(l.Keys)),
	}
	for name, perSecond := range l.Keys {
		is.keys[name] = was.keys[name].change(PublishRate, perSecond, now)
	}
	p.inForce.Store(is)
}

// A quota is the limit for each of some publishers.
type quota struct {
	limit   Limit
	rate    Rate
	policy  []string
	buckets Buckets[string]
}

// change returns a quota with another rate, or the same one if nothing changes. The
// receiver may be nil.
func (q *quota) change(l Limit, perSecond float64, now time.Time) *quota {
	r := PerSecond(perSecond)
	if q != nil && q.rate == r {
		return q
	}
	q = &quota{limit: l, rate: r, policy: policyOf(r)}
	q.buckets.SetRate(r, now)
	return q
}

// A QuotaStatus is what a publisher is told about its limit.
type QuotaStatus struct {
	Level
	Limit  Limit
	Burst  int      // the most events at once; 0: no limit
	Policy []string // the header RateLimit-Policy; nil: no limit
}

// Key takes n events from a key's quota, or none and reports false.
func (p *Publishers) Key(name string, n int) (QuotaStatus, bool) {
	all := p.inForce.Load()
	if q := all.keys[name]; q != nil {
		return q.take(name, n, p.clock)
	}
	return all.other.take("", n, p.clock)
}

// Everybody takes n events from the quota of callers without credentials, or none and
// reports false.
func (p *Publishers) Everybody(n int) (QuotaStatus, bool) {
	return p.inForce.Load().other.take("", n, p.clock)
}

// User takes n events from a user's quota, or none and reports false. The name is the
// scope of the user's tokens.
func (p *Publishers) User(name string, n int) (QuotaStatus, bool) {
	return p.inForce.Load().users.take(name, n, p.clock)
}

func (q *quota) take(who string, n int, clock func() time.Time) (QuotaStatus, bool) {
	if q.rate.None() {
		return QuotaStatus{}, true
	}
	level, ok := q.buckets.Take(who, n, clock())
	return QuotaStatus{level, q.limit, q.rate.Burst, q.policy}, ok
}

// The rest of this file implements draft-ietf-httpapi-ratelimit-headers-11, sections 3 and
// 4. A bucket is a quota of its size, in the time that it takes to fill.

func policyOf(r Rate) []string {
	if r.None() {
		return nil
	}
	return []string{fmt.Sprintf(`"publish";q=%d;w=%d`, r.Burst, Seconds(r.Refill()))}
}

// Header returns the header RateLimit.
func (s QuotaStatus) Header() string {
	return fmt.Sprintf(`"publish";r=%d;t=%d`, s.Left, Seconds(s.Full))
}
