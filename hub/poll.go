package hub

// A Poll is a request that waits for the next event of a topic.
type Poll struct {
	Owner any // the request; static

	topic *topic // nil: it has ended
	slot  int32  // its place in topic.polls
	woken bool   // there is an event; it ends before the hub rests
}

// Await makes a poll of owner's for the next event of a topic for everybody, which is
// well-formed by [CheckTopic]. It fails with [ErrTooManyConnections] or [ErrDraining].
func (s *State) Await(topic string, owner any) (*Poll, error) {
	switch {
	case s.draining:
		return nil, ErrDraining
	case s.stats.Connected+len(s.polls) >= s.opts.MaxConnections:
		return nil, ErrTooManyConnections
	}
	s.spend(1)
	t := s.topic(topic)
	p := &Poll{Owner: owner, topic: t, slot: int32(len(t.polls))}
	t.polls = append(t.polls, p)
	s.polls[p] = struct{}{}
	s.held += pollOverhead
	return p, nil
}

// wakePolls has the polls of a topic end: there is an event.
func (s *State) wakePolls(t *topic) {
	s.spend(len(t.polls))
	for _, p := range t.polls {
		s.wakePoll(p)
	}
}

// wakePoll has a poll end, once.
func (s *State) wakePoll(p *Poll) {
	if !p.woken {
		p.woken = true
		s.woken = append(s.woken, p)
	}
}

// Woken ends polls for which there is an event, as far as a step may. It returns them,
// and whether there are more.
func (s *State) Woken() (woken []*Poll, more bool) {
	for end := s.allowance(); len(s.woken) > 0 && s.work < end; s.woken = s.woken[1:] {
		s.spend(wakeWork)
		s.end(s.woken[0])
		woken = append(woken, s.woken[0])
	}
	if len(s.woken) == 0 {
		s.woken = nil
	}
	return woken, len(s.woken) > 0
}

// EndPoll ends a poll whose request is over, if it has not ended yet. One that is woken stays
// until [State.Woken] ends it: as long as the hub holds it, it counts.
func (s *State) EndPoll(p *Poll) {
	if p.topic != nil && !p.woken {
		s.end(p)
	}
}

// end ends a poll.
func (s *State) end(p *Poll) {
	t := p.topic
	last := len(t.polls) - 1
	moved := t.polls[last]
	t.polls[p.slot], moved.slot = moved, p.slot
	t.polls[last] = nil
	if t.polls = shrink(t.polls[:last]); last == 0 {
		t.polls = nil
	}
	p.topic = nil
	delete(s.polls, p)
	s.held -= pollOverhead
	s.freeTopic(t)
}
