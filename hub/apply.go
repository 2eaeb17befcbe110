package hub

// Applied says what the hub did with an event of the log.
type Applied struct {
	Matched int // clients subscribed to it
	Queued  int // of those, connected ones that will get it
}

// apply does what follows from an event of the log: it keeps it, delivers it and evicts
// others. It decides nothing: the event has been taken, and has its position. Positions
// grow from one event to the next, and need not be dense.
func (s *State) apply(at Position, ev Event, ahead *matching) (done Applied) {
	e := s.append(at, ev)
	t := e.stream.topic
	s.spend(1 + len(t.members))
	switch {
	case e.expired(s.now): // nobody is to get it any more
		ahead.topic = ""
	case ev.User != "":
		s.deliverToUser(e, ahead, &done)
	default:
		s.wakePolls(t)
		for _, m := range t.members {
			s.deliver(e, m.client, &done)
		}
		for _, sub := range s.finish(ahead, t.name) {
			s.spend(1 + len(sub.members))
			for _, m := range sub.members {
				s.deliver(e, m.client, &done)
			}
		}
	}
	s.seal(e)
	s.retain(e.stream)
	s.stats.Published++
	s.stats.Matched += uint64(done.Matched)
	s.stats.Queued += uint64(done.Queued)
	return done
}

// deliverToUser delivers an event to the clients of one user. If they are many, each
// subscription is only looked at: those that the search has found are marked.
func (s *State) deliverToUser(e *entry, ahead *matching, done *Applied) {
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
			s.deliver(e, c, done)
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
func (s *State) deliver(e *entry, c *client, done *Applied) {
	if c.seen == e.position {
		return // by another of its subscriptions
	}
	c.seen = e.position
	done.Matched++
	if c.conn == nil {
		return
	}
	done.Queued++
	if c.mode != modeLive {
		c.missed(e)
		return
	}
	s.outboxes[c.conn.Courier].add(c.conn)
}

// append puts an event into the window, at a position.
func (s *State) append(at Position, ev Event) *entry {
	t := s.topic(ev.Topic)
	if t.empty() {
		s.held -= t.size() // it counts as part of the window from now on
	}
	return s.window.append(t, at, ev, s.age)
}

// retain evicts what a stream holds above its bound, and then trims the window.
func (s *State) retain(st *stream) {
	s.window.bound(st)
	s.trim()
}

// trim trims the window, as far as a step may.
func (s *State) trim() {
	if !s.trimTo(s.allowance()) {
		s.overdue = true
	}
}

// trimTo does so until that much work is done, and reports whether that is all.
func (s *State) trimTo(end uint64) (done bool) {
	done = s.window.trim(s.age, int(end-min(s.work, end)))
	s.spend(s.window.work)
	s.window.work = 0
	for i, t := range s.window.idle {
		s.held += t.size()
		s.freeTopic(t)
		s.window.idle[i] = nil
	}
	s.window.idle = s.window.idle[:0]
	return done
}

// frame returns an entry in an encoding. It is encoded when that is asked for first.
func (s *State) frame(e *entry, enc Encoding) *Frame {
	for f := e.frames; f != nil; f = f.next {
		if f.encoding == enc {
			return f
		}
	}
	f := &Frame{Bytes: s.encode(enc, e, e.position), Position: e.position, Topic: e.Topic, Expires: e.Expires, encoding: enc, next: e.frames}
	e.frames = f
	e.size += f.size()
	s.window.bytes += f.size()
	return f
}

// encode has an entry encoded as one that stands at a position.
func (s *State) encode(enc Encoding, e *entry, at Position) []byte {
	s.spend(encodeWork)
	return s.opts.Encoders[enc](&e.Event, s.cursor(at))
}
