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
	waiting    amount      // was published for it since and was not handed over; retention may have evicted some of it
	tail       *tail       // a search under way; else nil
	dropped    *Position   // events after it were dropped, and it was not told yet; or nil
	conflation *conflation // of SlowLatest
}

// An amount is of events and of their messages.
type amount struct{ events, bytes int }

func (a *amount) add(e *entry) {
	a.events++
	a.bytes += len(e.Message)
}

// A tail is a search for the newest events of a reader that may wait for it, from the head
// backwards.
type tail struct {
	before amount   // that waited when the search began
	from   Position // entries after it were looked at
	found  amount   // may wait: the newest one, and others that fit
	end    Position // of the newest event that may not; 0: none is known
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
	s.enqueue(conn, Op{Kind: OpReportWhenWritten})
	s.stats.Lags++
}

// missed counts an event for a connection that reads from the log.
func (c *client) missed(e *entry) {
	if c.slow != nil {
		c.slow.waiting.add(e)
	}
}

// dropOldest has a client pass over events while too many wait for it. It
// reports whether that goes on.
func (s *State) dropOldest(c *client) bool {
	w := c.slow
	if w == nil || c.conn.Slow != SlowDropOldest {
		return false
	}
	if w.waiting.bytes <= s.opts.MaxLagBytes || c.pos >= s.window.head {
		s.tellDropped(c)
		return false
	}
	if w.tail == nil {
		w.tail = &tail{before: w.waiting, from: s.window.head}
	}
	t := w.tail
	if !s.findTail(filter{c.subs, c.user.name, nil}, c.pos, t) {
		s.queue(c)
		return true
	}
	w.tail = nil
	w.waiting.events += t.found.events - t.before.events
	w.waiting.bytes += t.found.bytes - t.before.bytes
	if t.end <= c.pos {
		s.tellDropped(c) // all that is retained may wait
		return false
	}
	s.stats.Dropped += uint64(max(0, t.before.events-t.found.events))
	if from := c.pos; w.dropped == nil { // also of what retention took
		w.dropped = &from
	}
	c.pos = t.end // invariant 3: it will be told of a gap
	s.queue(c)
	return true
}

// findTail goes on with a search for the newest events after a position that may wait, as
// far as a step may, and reports whether it is done.
func (s *State) findTail(v filter, after Position, t *tail) (done bool) {
	s.spend(len(v.subs))
	if v.patterns() {
		i, end := s.window.after(t.from)-1, s.window.after(after)-1
		if i <= end {
			return true
		}
		i = s.walk(&s.window.entries, i, end, s.allowance(), func(e *entry) (more bool) {
			t.from = e.position - 1
			return !s.sees(&v, e) || s.mayWait(e, t)
		})
		return t.end > 0 || i == end
	}
	sources := s.sources[:0]
	for i := range v.subs {
		sub := &v.subs[i]
		v.streams(s.topics[sub.name], func(st *stream) {
			sources = append(sources, newSource(&st.entries, firstAfter(&st.entries, t.from)-1))
		})
	}
	s.sources = sources
	w := s.walkTogether(sources, backward)
	for e := w.next(); e != nil; e = w.next() {
		if t.from = e.position - 1; e.position <= after {
			return true
		}
		if s.sees(&v, e) && !s.mayWait(e, t) {
			return true
		}
	}
	return w.all
}

// mayWait takes an event into a tail, and reports whether it may wait with those after it.
func (s *State) mayWait(e *entry, t *tail) bool {
	if e.expired(s.now) {
		return true
	}
	if t.found.events > 0 && t.found.bytes+len(e.Message) > s.opts.MaxLagBytes {
		t.end = e.position
		return false
	}
	t.found.add(e)
	return true
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
