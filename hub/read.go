package hub

// Bounds of one step of reading, so that a long replay shares the hub.
const (
	chunkEvents = 256      // events handed to a connection at once
	chunkBytes  = 64 << 10 // bytes of messages handed to a connection at once
	chunkScan   = 4096     // entries looked at for a reader with patterns
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

// covers reports whether an event at that position and of that topic is for
// one of the subscriptions.
func covers(subs []subscription, t *topic, at Position) bool {
	for i := range subs {
		sub := &subs[i]
		if at <= sub.since {
			continue
		}
		if sub.subject == &t.subject || sub.pattern && Match(sub.name, t.name) {
			return true
		}
	}
	return false
}

func (v *view) visible(e *entry) bool {
	return !e.evicted() && (e.User == "" || e.User == v.user) && covers(v.subs, e.stream.topic, e.position) && v.last.wants(e)
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

// A source is a stream that a reader merges, at its next entry.
type source struct {
	entries *deque[*entry]
	i       int
}

// next finds what a reader may see in (p, limit], oldest first, up to the
// bounds of a chunk, and the position up to which that is everything. The
// slice is valid until the next call.
//
// A reader of exact topics reads their streams side by side; one with a
// pattern looks at all of the log.
func (s *State) next(v view, p, limit Position) (found []*entry, upTo Position) {
	s.found = s.found[:0]
	if v.patterns() {
		return s.scan(v, p, limit)
	}
	return s.merge(v, p, limit)
}

func (s *State) merge(v view, p, limit Position) ([]*entry, Position) {
	sources := s.sources[:0]
	for i := range v.subs {
		sub := &v.subs[i]
		v.streams(s.topics[sub.name], func(st *stream) {
			behind := max(p, sub.since, v.last.before(sub.name, p))
			sources = append(sources, source{&st.entries, firstAfter(&st.entries, behind)})
		})
	}
	s.sources = sources
	for bytes, looked := 0, 1; ; looked++ {
		var first *entry
		var from *source
		for i := range sources {
			src := &sources[i]
			if src.i < src.entries.len() {
				if e := src.entries.at(src.i); first == nil || e.position < first.position {
					first, from = e, src
				}
			}
		}
		if first == nil || first.position > limit {
			return s.found, limit
		}
		from.i++
		if !first.expired(s.now) {
			s.found = append(s.found, first)
			bytes += len(first.Message)
		}
		if bytes >= chunkBytes || len(s.found) == chunkEvents || looked == chunkScan {
			return s.found, first.position
		}
	}
}

func (s *State) scan(v view, p, limit Position) ([]*entry, Position) {
	entries := &s.log.entries
	first := s.log.after(p)
	bytes := 0
	for i := first; i < entries.len(); i++ {
		e := entries.at(i)
		if e.position > limit {
			break
		}
		if v.visible(e) && !e.expired(s.now) {
			s.found = append(s.found, e)
			bytes += len(e.Message)
		}
		if bytes >= chunkBytes || len(s.found) == chunkEvents || i-first == chunkScan {
			return s.found, e.position
		}
	}
	return s.found, limit
}

// unconfirmed returns the position from which a client must read on so that
// what its released connection wrote but could not confirm is repeated, and
// nothing from before that connection.
func (s *State) unconfirmed(c *client, r Release) Position {
	p, start := max(r.UpTo, r.Conn.start), r.Conn.start
	switch {
	case r.Unconfirmed == 0:
		return p
	case r.Last == 0:
		return start // it was told of a gap
	}
	v := view{subs: c.subs, user: c.user.name}
	entries := &s.log.entries
	for i := s.log.after(r.Last) - 1; i >= 0 && r.Unconfirmed > 0; i-- {
		e := entries.at(i)
		if e.position <= max(start, r.Conn.sparse) {
			return start
		}
		if v.visible(e) && !e.expired(s.now) { // of one that has, nobody knows whether it was written
			r.Unconfirmed -= len(s.frame(e, r.Conn.Encoding).Bytes)
			p = e.position - 1
		}
	}
	if r.Unconfirmed > 0 {
		return start // what there was before is no longer retained
	}
	return p
}
