package hub

// Bounds of one step of reading, so that a long replay shares the hub.
const (
	chunkEvents = 256      // events handed to a connection at once
	chunkBytes  = 64 << 10 // bytes of messages handed to a connection at once
	chunkScan   = 4096     // entries looked at for topics with news
)

// A reading is a position in the log, and what is known about reading on from
// there.
type reading struct {
	pos     Position // everything up to here was handed over
	checked uint64   // of the log's losses, those up to this one were looked at
	last    *newest  // nil: all that is retained is wanted

	search *lossSearch // for losses, under way; else nil
}

// A view is what a reader may see of the log.
type view struct {
	subs []subscription
	user string
	last *newest
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

// look reports whether a reader may see an entry, and what it took to find out.
func (v *view) look(e *entry) (visible bool, work int) {
	if e.evicted() || e.User != "" && e.User != v.user {
		return false, 1
	}
	is, work := coverage(v.subs, e.stream.topic, e.position)
	return is && v.last.wants(e), work + 1
}

// sees reports whether a reader may see an entry.
func (s *State) sees(v *view, e *entry) bool {
	is, work := v.look(e)
	s.spend(work)
	return is
}

// streams calls yield with the streams of a topic that the reader may see.
func (v *view) streams(t *topic, yield func(*stream)) {
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
func (v *view) patterns() bool {
	for i := range v.subs {
		if v.subs[i].pattern {
			return true
		}
	}
	return false
}

// next finds what a reader may see in (p, limit], oldest first, up to the
// bounds of a chunk, and the position up to which that is everything. The
// slice is valid until the next call.
//
// A reader of exact topics reads their streams side by side; one with a
// pattern looks at all of the log.
func (s *State) next(v view, p, limit Position) (found []*entry, upTo Position) {
	s.found = s.found[:0]
	s.spend(len(v.subs))
	if v.patterns() {
		return s.scan(v, p, limit)
	}
	return s.merge(v, p, limit)
}

// merge reads the streams of exact topics side by side.
func (s *State) merge(v view, p, limit Position) ([]*entry, Position) {
	sources := s.sources[:0]
	for i := range v.subs {
		sub := &v.subs[i]
		v.streams(s.topics[sub.name], func(st *stream) {
			after := max(p, sub.since, v.last.before(sub.name, p))
			sources = append(sources, source{&st.entries, firstAfter(&st.entries, after)})
		})
	}
	s.sources = sources
	s.spend(len(v.subs))
	bytes, upTo := 0, p
	all := s.walkTogether(sources, forward, func(_ *source, e *entry) (more bool) {
		if e.position > limit {
			upTo = limit
			return false
		}
		upTo = e.position
		bytes += s.find(e)
		return bytes < chunkBytes && len(s.found) < chunkEvents
	})
	if all {
		upTo = limit
	}
	return s.found, upTo
}

// scan reads the log.
func (s *State) scan(v view, p, limit Position) ([]*entry, Position) {
	bytes := 0
	i, end := s.log.after(p), s.log.after(limit)
	i = s.walk(&s.log.entries, i, end, s.allowance(), func(e *entry) (more bool) {
		if s.sees(&v, e) {
			bytes += s.find(e)
		}
		return bytes < chunkBytes && len(s.found) < chunkEvents
	})
	if i < end {
		limit = s.log.entries.at(i - 1).position
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

// unconfirmed returns the position from which a client must read on so that
// what its released connection wrote but could not confirm is repeated, and
// nothing from before that connection. If that takes more than a step, the result
// is false, and the report says how far it came.
func (s *State) unconfirmed(c *client, r *Release) (Position, bool) {
	p, start := max(r.UpTo, r.Conn.start), r.Conn.start
	switch {
	case r.Unconfirmed == 0:
		return p, true
	case r.Last == 0:
		return start, true // it was told of a gap
	}
	v := view{subs: c.subs, user: c.user.name}
	i, end := s.log.after(r.Last)-1, s.log.after(max(start, r.Conn.filtered))-1
	if i <= end {
		return start, true
	}
	i = s.walk(&s.log.entries, i, end, s.allowance(), func(e *entry) bool {
		if s.sees(&v, e) && !e.expired(s.now) { // of one that has, nobody knows whether it was written
			r.Unconfirmed -= len(s.frame(e, r.Conn.Encoding).Bytes)
			p = e.position - 1
		}
		return r.Unconfirmed > 0
	})
	switch {
	case r.Unconfirmed <= 0:
		return p, true
	case i == end:
		return start, true // what there was before is no longer retained
	}
	r.UpTo, r.Last = p, s.log.entries.at(i).position
	return 0, false
}

// covers is coverage for those who don't count.
func covers(subs []subscription, t *topic, at Position) bool {
	is, _ := coverage(subs, t, at)
	return is
}
