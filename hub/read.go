package hub

// Bounds of one step of reading, so that a long replay shares the hub.
const (
	chunkEvents = 256      // events handed to a connection at once
	chunkBytes  = 64 << 10 // bytes of frames handed to a connection at once
	chunkScan   = 4096     // entries looked at for a client with patterns
)

// A source is a stream that a reader merges, at its next entry.
type source struct {
	entries *deque[*entry]
	i       int
}

// next finds what c may see behind p, oldest first, up to the bounds of a
// chunk, and the position up to which that is everything. The slice is valid
// until the next call.
//
// A client of exact topics reads their streams side by side; one with a
// pattern looks at all of the log.
func (s *State) next(c *client, p Position) (found []*entry, upTo Position) {
	s.found = s.found[:0]
	for i := range c.subs {
		if c.subs[i].pattern {
			return s.scan(c, p)
		}
	}
	return s.merge(c, p)
}

func (s *State) merge(c *client, p Position) ([]*entry, Position) {
	sources := s.sources[:0]
	for i := range c.subs {
		t := s.topics[c.subs[i].name]
		for _, user := range [2]string{"", c.user.name} {
			if st := t.stream(user); st != nil {
				sources = append(sources, source{&st.entries, firstAfter(&st.entries, max(p, c.subs[i].since))})
			}
		}
	}
	s.sources = sources
	for bytes := 0; ; {
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
		if first == nil {
			return s.found, s.log.head
		}
		s.found = append(s.found, first)
		from.i++
		if bytes += len(first.Message); bytes >= chunkBytes || len(s.found) == chunkEvents {
			return s.found, first.position
		}
	}
}

func (s *State) scan(c *client, p Position) ([]*entry, Position) {
	entries := &s.log.entries
	first := s.log.after(p)
	bytes := 0
	for i := first; i < entries.len(); i++ {
		e := entries.at(i)
		if c.visible(e) {
			s.found = append(s.found, e)
			bytes += len(e.Message)
		}
		if bytes >= chunkBytes || len(s.found) == chunkEvents || i-first == chunkScan {
			return s.found, e.position
		}
	}
	return s.found, s.log.head
}

// unconfirmed returns the position from which a client must read on so that
// what its released connection wrote but could not confirm is repeated, and
// nothing from before that connection.
func (s *State) unconfirmed(c *client, r Release) Position {
	p, start := max(r.UpTo, r.Conn.start), r.Conn.start
	if r.Unconfirmed == 0 || r.Last == 0 {
		return p
	}
	entries := &s.log.entries
	for i := s.log.after(r.Last) - 1; i >= 0 && r.Unconfirmed > 0; i-- {
		e := entries.at(i)
		if e.position <= start {
			return start
		}
		if c.visible(e) {
			r.Unconfirmed -= len(s.frame(e, r.Conn.Encoding).Bytes)
			p = e.position - 1
		}
	}
	if r.Unconfirmed > 0 {
		return start // what there was before is no longer retained
	}
	return p
}
