package hub

// A Receipt says what became of an event.
type Receipt struct {
	ID        string // the event's
	Cursor    Cursor
	Matched   int  // clients subscribed to it
	Queued    int  // of those, connected ones that will get it
	Duplicate bool // it was published before; this is what became of it then
}

// Prepare finds out whom the next event is for, as far as a step may, and reports
// whether that is done. So an event that it takes long for can wait for its turn, while
// others than publishers are served.
func (s *State) Prepare(ev *Event) bool {
	return !s.wantsPatterns(ev) || s.prepare(&s.ahead, ev.Topic, s.allowance())
}

// fewClients is how many clients of a user are asked one by one for what they are
// subscribed to.
const fewClients = 8

// wantsPatterns reports whether an event is for members of patterns, as all for
// everybody are, or for one of many clients of a user.
func (s *State) wantsPatterns(ev *Event) bool {
	if ev.User == "" {
		return true
	}
	u := s.users[ev.User]
	return u != nil && len(u.clients) > fewClients
}

// Publish appends an event to the log and delivers it. It fails with
// [ErrDraining].
func (s *State) Publish(ev Event) (Receipt, error) {
	if s.draining {
		s.ahead.topic = ""
		return Receipt{}, ErrDraining
	}
	return s.publish(ev, &s.ahead), nil
}

// publish publishes an event with what was found out about it ahead.
func (s *State) publish(ev Event, ahead *matching) Receipt {
	e := s.append(ev)
	t := e.stream.topic
	s.spend(1 + len(t.members))
	r := Receipt{ID: ev.ID, Cursor: Cursor{s.opts.Epoch, e.position}}
	switch {
	case e.expired(s.now): // nobody is to get it any more
		ahead.topic = ""
	case ev.User != "":
		s.deliverToUser(e, ahead, &r)
	default:
		for _, m := range t.members {
			s.deliver(e, m.client, &r)
		}
		for _, sub := range s.finish(ahead, t.name) {
			s.spend(1 + len(sub.members))
			for _, m := range sub.members {
				s.deliver(e, m.client, &r)
			}
		}
	}
	s.seal(e)
	s.retain(e.stream)
	s.stats.Published++
	s.stats.Matched += uint64(r.Matched)
	s.stats.Queued += uint64(r.Queued)
	return r
}

// deliverToUser delivers an event to the clients of one user. If they are many, each
// subscription is only looked at: those that the search has found are marked.
func (s *State) deliverToUser(e *entry, ahead *matching, r *Receipt) {
	u, t := s.users[e.User], e.stream.topic
	if u == nil {
		return
	}
	many := s.wantsPatterns(&e.Event)
	if many {
		s.finish(ahead, t.name)
		t.seen = ahead.mark
	}
	for _, c := range u.clients {
		is, work := false, 0
		if many {
			is, work = c.hasSeen(ahead.mark)
		} else {
			is, work = coverage(c.subs, t, e.position)
		}
		if s.spend(max(work, 1)); is {
			s.deliver(e, c, r)
		}
	}
}

// hasSeen reports whether one of a client's subscriptions was marked by a search, and
// what it took to find out.
func (c *client) hasSeen(mark uint64) (is bool, work int) {
	for i := range c.subs {
		if c.subs[i].seen == mark {
			return true, i + 1
		}
	}
	return false, len(c.subs)
}

// deliver counts a matching client and, if it is at the head, gathers its
// connection. One that is not will read the event from the log.
func (s *State) deliver(e *entry, c *client, r *Receipt) {
	if c.seen == e.position {
		return // by another of its subscriptions
	}
	c.seen = e.position
	switch {
	case c.mode == modePoll || c.mode == modeWoken:
		s.wake(c)
		return
	case c.conn == nil:
		r.Matched++
		return
	}
	r.Matched++
	r.Queued++
	if c.mode != modeLive {
		c.missed(e)
		return
	}
	s.outboxes[c.conn.Courier].add(c.conn)
}
