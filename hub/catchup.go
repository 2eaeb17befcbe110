package hub

// Bounds of one step of reading, so that a long replay shares the hub.
const (
	chunkEvents = 256      // events handed to a connection at once
	chunkBytes  = 64 << 10 // bytes of messages handed to a connection at once
)

// A reading is a position in the log, and what is known about reading on from
// there.
type reading struct {
	pos     Position // everything up to here was handed over
	checked uint64   // of the log's losses, those up to this one were looked at
	last    *lastN   // nil: all that is retained is wanted

	search *lossSearch // for losses, under way; else nil
}

// place returns the reading that from asks for. If the cursor is not of this log, the
// result is a gap as well: a reader with a cursor of another log is given everything
// that is retained, and one with a cursor after the head what is published from now on.
func (s *State) place(from From, head Position) (rd reading, gap *Gap) {
	if from.After == nil {
		rd = reading{pos: head}
		if from.Last > 0 {
			rd.last = newLastN(from.Last, head)
		}
		return rd, nil
	}
	after := *from.After
	switch {
	case after.Epoch != s.opts.Epoch:
		return reading{}, &Gap{From: after, To: s.cursor(0), Reason: GapRestarted}
	case after.Position > s.window.head:
		return reading{pos: s.window.head}, &Gap{From: after, To: s.cursor(s.window.head), Reason: GapRestarted}
	}
	return reading{pos: after.Position}, nil
}

// readOne lets a client read a chunk. At the head it goes live, in the same step, so
// that there is neither a hole nor a repeat between the two.
func (s *State) readOne(c *client) {
	if !c.mode.reads() {
		return // it went away after it had asked for a turn
	}
	if len(c.replays) > 0 {
		s.replay(c, c.replays[0])
	} else {
		s.read(c)
	}
	s.weigh(c)
	s.trim()
}

// read lets a client read on from its position.
func (s *State) read(c *client) {
	if !s.locateNewest(filter{subs: c.subs, user: c.user.name}, &c.reading) {
		s.queue(c)
		return
	}
	if c.mode == modeLocatingNewest {
		s.newestLocated(c)
	}
	if s.dropOldest(c) {
		return
	}
	if c.conn.Slow == SlowLatest && c.last == nil {
		s.readLatest(c)
		return
	}
	gaps, all := s.gaps(c.subs, c.user.name, &c.reading)
	if !s.tellGaps(c, gaps, c.pos) {
		return
	}
	if !all {
		s.queue(c)
		return
	}
	found, upTo := s.next(filter{c.subs, c.user.name, c.last}, c.pos, s.window.head)
	c.pos = upTo // invariant 3: what is up to there is handed over below
	live := upTo == s.window.head
	s.sendChunk(c, found, !live, func(e *entry) *Frame { return s.frame(e, c.conn.Encoding) })
	switch {
	case live:
		s.toLive(c)
	case len(found) > 0:
		s.toWriting(c)
	default:
		s.queue(c)
	}
}

// sendChunk gives events read from the log to a client's connection. If there is more,
// the courier reports when it has written them.
func (s *State) sendChunk(c *client, found []*entry, more bool, frame func(*entry) *Frame) {
	s.spend(len(found))
	for i, e := range found {
		op := Op{Kind: OpDeliver, Frame: frame(e)}
		if more && i == len(found)-1 {
			op.Kind = OpChunk
		}
		s.enqueue(c.conn, op)
	}
	s.stats.Replayed += uint64(len(found))
}

// ChunkWritten takes a courier's report that a chunk is written.
func (s *State) ChunkWritten(conn *Conn) {
	if c := conn.client; c != nil && c.conn == conn && c.mode == modeWriting {
		s.written(c)
	}
}

// A filter is what a reader may see of the log.
type filter struct {
	subs []subscription
	user string
	last *lastN
}

// look reports whether a reader may see an entry, and what it took to find out.
func (v *filter) look(e *entry) (visible bool, work int) {
	if e.evicted() || e.User != "" && e.User != v.user {
		return false, 1
	}
	is, work := coverage(v.subs, e.stream.topic, e.position)
	return is && v.last.wants(e), work + 1
}

// streams calls yield with the streams of a topic that the reader may see.
func (v *filter) streams(t *topic, yield func(*stream)) {
	if t == nil {
		return
	}
	if t.all != nil {
		yield(t.all)
	}
	if st := t.users[v.user]; st != nil {
		yield(st)
	}
}

// patterns reports whether the reader has a pattern among its subscriptions.
func (v *filter) patterns() bool {
	for i := range v.subs {
		if v.subs[i].pattern {
			return true
		}
	}
	return false
}

// coverage reports whether an event at that position and of that topic is for
// one of the subscriptions, and what it took to find out.
func coverage(subs []subscription, t *topic, at Position) (is bool, work int) {
	for i := range subs {
		sub := &subs[i]
		if work++; at <= sub.since {
			continue
		}
		if sub.subject == &t.subject {
			return true, work
		}
		if sub.pattern {
			is, levels := match(sub.name, t.name)
			if work += levels; is {
				return true, work
			}
		}
	}
	return false, work
}

// covers is coverage for callers that don't count its work.
func covers(subs []subscription, t *topic, at Position) bool {
	is, _ := coverage(subs, t, at)
	return is
}

// sees reports whether a reader may see an entry.
func (s *State) sees(v *filter, e *entry) bool {
	is, work := v.look(e)
	s.spend(work)
	return is
}

// next finds what a reader may see in (p, limit], oldest first, up to the
// bounds of a chunk, and the position up to which that is everything. The
// slice is valid until the next call.
//
// A reader of exact topics reads their streams side by side; one with a
// pattern looks at all of the log.
func (s *State) next(v filter, p, limit Position) (found []*entry, upTo Position) {
	s.found = s.found[:0]
	s.spend(len(v.subs))
	if v.patterns() {
		return s.scan(v, p, limit)
	}
	return s.merge(v, p, limit)
}

// merge reads the streams of exact topics side by side.
func (s *State) merge(v filter, p, limit Position) ([]*entry, Position) {
	sources := s.sources[:0]
	for i := range v.subs {
		sub := &v.subs[i]
		v.streams(s.topics[sub.name], func(st *stream) {
			after := max(p, sub.since, v.last.before(sub.name, p))
			sources = append(sources, newSource(&st.entries, firstAfter(&st.entries, after)))
		})
	}
	s.sources = sources
	s.spend(len(v.subs))
	bytes, upTo := 0, p
	w := s.walkTogether(sources, forward)
	for e := w.next(); e != nil; e = w.next() {
		if e.position > limit {
			return s.found, limit
		}
		upTo = e.position
		if bytes += s.find(e); bytes >= chunkBytes || len(s.found) == chunkEvents {
			break
		}
	}
	if w.all {
		upTo = limit
	}
	return s.found, upTo
}

// scan reads the log.
func (s *State) scan(v filter, p, limit Position) ([]*entry, Position) {
	bytes := 0
	i, end := s.window.after(p), s.window.after(limit)
	i = s.walk(&s.window.entries, i, end, s.allowance(), func(e *entry) (more bool) {
		if s.sees(&v, e) {
			bytes += s.find(e)
		}
		return bytes < chunkBytes && len(s.found) < chunkEvents
	})
	if i < end {
		limit = s.window.entries.at(i - 1).position
	}
	return s.found, limit
}

// find takes an entry into a chunk unless it has expired, and returns the bytes of its
// message.
func (s *State) find(e *entry) (bytes int) {
	if e.expired(s.now) {
		return 0
	}
	s.found = append(s.found, e)
	return len(e.Message)
}
