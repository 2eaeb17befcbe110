package hub

import "slices"

// A SlowPolicy says what becomes of a connection that takes its events more
// slowly than they come.
type SlowPolicy uint8

// The policies.
const (
	SlowClose      SlowPolicy = iota // its courier ends it when too much waits
	SlowDropOldest                   // the oldest events are dropped, and it is told of a gap
	SlowLatest                       // it is given the newest event of each topic only
)

// SlowPolicies are the names of the policies.
var SlowPolicies = []string{"close", "drop_oldest", "latest"}

// ParseSlowPolicy reads a policy's name.
func ParseSlowPolicy(name string) (p SlowPolicy, ok bool) {
	i := slices.Index(SlowPolicies, name)
	return SlowPolicy(max(i, 0)), i >= 0
}

// A slowness is what there is of a connection that reads on from the log
// because it is slow.
type slowness struct {
	waiting    int         // bytes of messages for it that were published since and were not handed over
	dropped    *Position   // events after it were dropped, and it was not told yet; or nil
	conflation *conflation // of SlowLatest
}

// Lag takes a courier's report that a connection is slow, unless its policy is
// to close it: from now on events are not queued for it. When all that waits is
// written it reads on from the log, as if it had come back.
func (s *State) Lag(conn *Conn) {
	c := conn.client
	if c == nil || c.conn != conn || c.mode != modeLive {
		return
	}
	c.slow = &slowness{}
	s.toWriting(c)
	s.enqueue(conn, Op{Kind: OpAckWhenWritten})
	s.stats.Lags++
}

// missed counts an event for a connection that reads from the log.
func (c *client) missed(e *entry) {
	if c.slow != nil {
		c.slow.waiting += len(e.Message)
	}
}

// dropOldest has a client pass over events while too many wait for it. It
// reports whether that goes on.
func (s *State) dropOldest(c *client) bool {
	if c.slow == nil || c.conn.Slow != SlowDropOldest {
		return false
	}
	from := c.pos
	if c.slow.waiting > s.opts.MaxLagBytes && from < s.window.head {
		found, upTo := s.next(filter{c.subs, c.user.name, nil}, from, s.window.head)
		s.spend(len(found))
		for _, e := range found {
			c.slow.waiting -= len(e.Message)
		}
		if upTo == s.window.head {
			c.slow.waiting = 0 // what retention took is not among them
		}
		s.stats.Dropped += uint64(len(found))
		if c.slow.dropped == nil { // also of what retention took
			c.slow.dropped = &from
		}
		c.pos = upTo // invariant 3: it will be told of a gap
		s.queue(c)
		return true
	}
	s.tellDropped(c)
	return false
}

// tellDropped tells a client of the events that it was not given, before it is
// told anything else.
func (s *State) tellDropped(c *client) {
	if c.slow == nil || c.slow.dropped == nil {
		return
	}
	from := *c.slow.dropped
	c.slow.dropped = nil
	if len(c.subs) == 0 {
		return // it has left what it was for
	}
	s.notify(c.conn, Gap{Topics: s.topicsOf(c), From: s.cursor(from), To: s.cursor(c.pos), Reason: GapDropped}, from)
	s.stats.Gaps++
}
