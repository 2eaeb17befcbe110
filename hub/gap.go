package hub

// gaps returns what a reader has not been told yet of events after its position
// that were for it and are gone, and reports whether that is all. If not, it has to
// be asked again before the reader goes on. A gap may be told where nothing was
// lost if the evidence itself is gone, never the reverse.
//
// Of an exact topic it looks at the streams, of a pattern at the losses that
// it matches and that the reader was not asked about before.
func (s *State) gaps(subs []subscription, user string, rd *reading) (found []Gap, all bool) {
	p := rd.pos
	if rd.last != nil {
		// Of what is older only the newest that can be had is wanted.
		p = max(p, rd.last.bound)
	}
	if p >= s.window.dropped {
		rd.search, rd.checked = nil, s.window.losses
		return nil, true
	}
	f := rd.search
	if f == nil || f.pos != p {
		f = &s.losses
		*f = lossSearch{pos: p, since: rd.checked, upTo: s.window.losses, places: f.places}
	}
	for end := s.allowance(); ; f.sub++ {
		if f.sub == len(subs) {
			if len(subs) == 0 || f.upTo == s.window.losses {
				break
			}
			f.sub, f.since, f.upTo = 0, f.upTo, s.window.losses // what was lost since it began
		}
		sub := &subs[f.sub]
		known := max(p, sub.since, sub.told)
		floor, is := s.floor(f, sub.subject, user, known, end)
		if !is {
			rd.search = f.keep()
			return found, false
		}
		floor = min(floor, s.window.gone) // what only the window has dropped can still be read
		if floor > known {
			s.spend(1 + len(found))
			sub.told = floor
			found = addGap(found, sub.name, Gap{From: s.cursor(rd.pos), To: s.cursor(floor), Reason: GapExpired})
		}
	}
	rd.search, rd.checked = nil, s.window.losses
	return found, true
}

// addGap adds a topic to the gap that is like g, or makes it one.
func addGap(gaps []Gap, topic string, g Gap) []Gap {
	for i := range gaps {
		if gaps[i].To == g.To {
			gaps[i].Topics = append(gaps[i].Topics, topic)
			return gaps
		}
	}
	g.Topics = []string{topic}
	return append(gaps, g)
}

// floor returns the highest position up to which events of a subject, for
// everybody or for the user, may be gone, if it is above one that is known. It
// reports whether that was found out within the step.
func (s *State) floor(f *lossSearch, sub *subject, user string, known Position, end uint64) (Position, bool) {
	s.spend(1)
	if !sub.pattern {
		return s.topicFloor(s.topics[sub.name], user), true
	}
	if !f.begun {
		f.begin(&s.window, sub.name, user, known)
	}
	if !s.search(f, end) {
		return 0, false
	}
	f.begun = false
	return max(f.floor, s.window.floor), true
}

func (s *State) topicFloor(t *topic, user string) (floor Position) {
	if t == nil {
		return s.window.floor
	}
	for _, name := range [2]string{"", user} {
		if st := t.stream(name); st != nil {
			floor = max(floor, st.floor)
		} else {
			floor = max(floor, s.window.floor)
		}
	}
	return floor
}

// gapOfNewest returns what a reader of the newest events only has not been told
// yet: where there is a newer event of a topic, nothing is lost to it.
func (s *State) gapOfNewest(c *client) []Gap {
	if c.pos >= s.window.floor {
		return nil
	}
	var found []Gap
	s.spend(len(c.subs))
	for i := range c.subs {
		if sub := &c.subs[i]; s.window.floor > max(c.pos, sub.since, sub.told) {
			sub.told = s.window.floor
			found = addGap(found, sub.name, Gap{From: s.cursor(c.pos), To: s.cursor(s.window.floor), Reason: GapExpired})
		}
	}
	return found
}

// tellGaps tells a client at a position what it has lost in a reading. A
// connection whose protocol can't tell of it ends, and with it the
// registration; then the result is false.
func (s *State) tellGaps(c *client, gaps []Gap, at Position) bool {
	if len(gaps) == 0 {
		return true
	}
	if !c.conn.Notes {
		s.close(c.conn, EventsLost)
		s.forget(c, EventsLost)
		return false
	}
	for _, g := range gaps {
		s.notify(c.conn, g, at)
		s.stats.Gaps++
	}
	return true
}
