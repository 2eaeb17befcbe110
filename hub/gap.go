package hub

// gaps returns what a reader has not been told yet of events behind its
// position that were for it and are gone. A gap may be told where nothing was
// lost if the evidence itself is gone, never the reverse.
//
// It costs an exact topic a look at its streams, and a pattern one at each
// stream that has lost something since the reader last asked.
func (s *State) gaps(subs []subscription, user string, rd *reading) []Gap {
	p := rd.pos
	if rd.last != nil {
		// Of what is older only the newest that can be had is wanted.
		p = max(p, rd.last.bound)
	}
	checked := rd.checked
	rd.checked = s.log.losses
	if p >= s.log.evicted {
		return nil
	}
	var found []Gap
	for i := range subs {
		sub := &subs[i]
		floor := s.floor(sub.subject, user, checked)
		if floor <= max(p, sub.since, sub.told) {
			continue
		}
		sub.told = floor
		found = addGap(found, sub.name, Gap{From: s.cursor(rd.pos), To: s.cursor(floor), Reason: GapExpired})
	}
	return found
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
// everybody or for the user, may be gone. Of a pattern's streams it looks at
// those that have lost something since the log's loss number checked.
func (s *State) floor(sub *subject, user string, checked uint64) Position {
	if !sub.pattern {
		return s.topicFloor(s.topics[sub.name], user)
	}
	floor := s.log.floor
	for st := s.log.lossy; st != nil && st.lostAt > checked; st = st.prev {
		if st.floor > floor && (st.user == "" || st.user == user) && Match(sub.name, st.topic.name) {
			floor = st.floor
		}
	}
	return floor
}

func (s *State) topicFloor(t *topic, user string) (floor Position) {
	if t == nil {
		return s.log.floor
	}
	for _, name := range [2]string{"", user} {
		if st := t.stream(name); st != nil {
			floor = max(floor, st.floor)
		} else {
			floor = max(floor, s.log.floor)
		}
	}
	return floor
}

// gapOfNewest returns what a reader of the newest events only has not been told
// yet: where there is a newer event of a topic, nothing is lost to it.
func (s *State) gapOfNewest(c *client) []Gap {
	if c.pos >= s.log.floor {
		return nil
	}
	var found []Gap
	for i := range c.subs {
		if sub := &c.subs[i]; s.log.floor > max(c.pos, sub.since, sub.told) {
			sub.told = s.log.floor
			found = addGap(found, sub.name, Gap{From: s.cursor(c.pos), To: s.cursor(s.log.floor), Reason: GapExpired})
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
		s.say(c.conn, g, at)
		s.stats.Gaps++
	}
	return true
}
