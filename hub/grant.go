package hub

import (
	"container/heap"
	"math/bits"
	"slices"
	"time"
)

// A Grant is what a client may subscribe to, and for how long it may be
// connected.
type Grant struct {
	Subscribe []string  // patterns; each subscription must be covered by one of them
	Expires   time.Time // when its connection is closed; zero is never
	Holder    any       // whose it is, for [Changes]; nil: it is not taken back before it ends
}

// Admits reports whether a grant covers a subscription. No grant covers all.
func (g *Grant) Admits(pattern string) bool {
	is, _ := g.admits(pattern)
	return is
}

// admits also returns what it took to find out.
func (g *Grant) admits(pattern string) (is bool, work int) {
	if g == nil {
		return true, 0
	}
	for _, p := range g.Subscribe {
		is, levels := cover(p, pattern)
		if work += 1 + levels; is {
			return true, work
		}
	}
	return false, work
}

// admits reports whether a grant covers all of the patterns.
func (s *State) admits(g *Grant, patterns ...string) bool {
	covers := s.covering(g, len(patterns))
	return !slices.ContainsFunc(patterns, func(p string) bool { return !covers(p) })
}

// sievePairs is how many pairs of patterns, one granted and one asked for, are compared
// one by one.
const sievePairs = 1 << 10

// covering returns a function that reports whether a grant covers a pattern, to be
// asked about so many. The function counts what that takes.
func (s *State) covering(g *Grant, n int) func(pattern string) bool {
	admits := g.admits
	if g != nil && n*len(g.Subscribe) > sievePairs {
		sieve := newSieve(g.Subscribe)
		s.spend(sieve.size)
		admits = sieve.covers
	}
	return func(pattern string) bool {
		is, work := admits(pattern)
		s.spend(work)
		return is
	}
}

// expiryNotice is how long before its grant expires a client is told.
const expiryNotice = time.Minute

// A lease is a client's connection with an end: an entry of a heap by what
// happens next.
type lease struct {
	client  *client
	at      time.Time // of the notice, then of the end
	noticed bool
	index   int // in the heap
}

// leases is a heap (package container/heap), the first to end in front.
type leases []*lease

func (l leases) Len() int           { return len(l) }
func (l leases) Less(i, j int) bool { return l[i].at.Before(l[j].at) }

func (l leases) Swap(i, j int) {
	l[i], l[j] = l[j], l[i]
	l[i].index, l[j].index = i, j
}

// Push implements [heap.Interface].
func (l *leases) Push(x any) {
	entry := x.(*lease)
	entry.index = len(*l)
	*l = append(*l, entry)
}

// Pop implements [heap.Interface].
func (l *leases) Pop() any {
	last := len(*l) - 1
	entry := (*l)[last]
	(*l)[last] = nil
	*l = (*l)[:last]
	return entry
}

// depth is how many leases are looked at to move one.
func (l leases) depth() int { return bits.Len(uint(len(l))) }

// setGrant begins or moves the end of a client's grant.
func (s *State) setGrant(c *client, g *Grant) {
	s.clearGrant(c)
	c.grant = g
	s.weigh(c)
	if g == nil || g.Expires.IsZero() {
		return
	}
	c.lease = &lease{client: c, at: g.Expires.Add(-expiryNotice)}
	s.spend(s.leases.depth())
	heap.Push(&s.leases, c.lease)
}

func (s *State) clearGrant(c *client) {
	if c.lease != nil {
		s.spend(s.leases.depth())
		heap.Remove(&s.leases, c.lease.index)
		c.lease = nil
	}
}

// expire gives notice to clients whose grants are about to end, and ends those
// whose have.
func (s *State) expire(end uint64) {
	for len(s.leases) > 0 && !s.leases[0].at.After(s.now) && s.work < end {
		s.spend(s.leases.depth())
		l := s.leases[0]
		c := l.client
		if !l.noticed && s.now.Before(c.grant.Expires) {
			l.noticed, l.at = true, c.grant.Expires
			heap.Fix(&s.leases, 0)
			if c.conn != nil && activeClient(c.conn) != nil { // else it hears it after the welcome
				s.tellDropped(c)
				s.notify(c.conn, Expiring{c.grant.Expires}, s.upTo(c))
			}
			continue
		}
		if c.conn != nil {
			s.close(c.conn, TokenExpired)
		}
		s.forget(c, TokenExpired)
	}
}

// Changes say what a grant has become for its holder: the same, another one, or nil
// if it was taken back. They are asked in the hub's loop, and must not wait.
type Changes func(*Grant) *Grant

// of returns what has become of a grant.
func (ch Changes) of(g *Grant) (next *Grant, revoked bool) {
	if ch == nil || g == nil || g.Holder == nil {
		return g, false
	}
	next = ch(g)
	return next, next == nil
}

// regrantRows bounds the clients that one step of [Hub.Regrant] looks at.
const regrantRows = 256

// Regrant looks again at the grants of some clients after a number, as [State.Find]
// does at handles, and returns how many clients have ended: those whose grant was taken
// back, or does not cover their subscriptions any more. From now on the changes also
// count for what is on its way.
func (s *State) Regrant(changes Changes, after uint64) (ended int, next uint64, more bool) {
	s.changes = changes
	next, more = after, true
	for n, end := 0, s.allowance(); more && n < regrantRows && s.work < end; n++ {
		var c *client // one at a time: the list must not change while it is read
		next, more = s.clientList.after(next, inspectRows, func(one *client) bool { c = one; return false })
		if s.spend(1); c != nil && s.regrant(c) {
			ended++
		}
	}
	return ended, next, more
}

// regrant brings a client's grant up to date, and reports whether that has ended it.
func (s *State) regrant(c *client) (ended bool) {
	next, revoked := s.changes.of(c.grant)
	if next == c.grant {
		return false
	}
	if revoked || !s.same(next, c.grant) && !s.admits(next, s.topicsOf(c)...) {
		if c.conn != nil {
			s.close(c.conn, Revoked)
		}
		s.forget(c, Revoked)
		return true
	}
	s.setGrant(c, next)
	return false
}

// same reports whether two grants are of the same patterns.
func (s *State) same(a, b *Grant) bool {
	s.spend(min(len(a.Subscribe), len(b.Subscribe)))
	return slices.Equal(a.Subscribe, b.Subscribe)
}

// Renew gives the client of a connection another grant for the one that it
// has, and ends the subscriptions that this does not cover. It fails with
// [ErrForbidden] for a client whose first had no end, or with
// [ErrUnknownClient] for a connection that has ended or was taken over.
func (s *State) Renew(conn *Conn, user string, g *Grant, ref []byte) error {
	c := activeClient(conn)
	switch {
	case c == nil:
		return ErrUnknownClient
	case c.lease == nil || c.user.name != user:
		return ErrForbidden
	}
	g, revoked := s.changes.of(g)
	if revoked {
		return ErrForbidden
	}
	s.tellDropped(c)
	s.setGrant(c, g)
	covers := s.covering(g, len(c.subs))
	s.leaveAll(c, func(name string) bool { return !covers(name) })
	at := s.upTo(c)
	s.notify(conn, Ack{ref, s.cursor(at)}, at)
	return nil
}
