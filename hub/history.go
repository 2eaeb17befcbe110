package hub

// A Page is a part of what is retained of a topic.
type Page struct {
	Events []Stored
	Cursor Cursor // what follows has later positions
	More   bool   // there are more events already
}

// A Stored event is one in the log.
type Stored struct {
	Event
	Cursor Cursor
}

// A GapError says that events behind a cursor can't be given any more.
type GapError struct{ Gap }

func (e *GapError) Error() string {
	return "events behind the cursor are not retained any more: " + e.Reason.String()
}

// A HistorySearch looks for a part of what is retained of a topic for everybody, in
// steps.
type HistorySearch struct {
	topic string
	from  From
	begun bool
	rd    reading
}

// SearchHistory begins to look for a part of a topic's history: as from says, or from
// the beginning.
func SearchHistory(topic string, from From) *HistorySearch {
	return &HistorySearch{topic: topic, from: from}
}

// History returns a bounded part of what is retained of a topic for everybody, and
// reports whether it was found within the step: else it has to be asked again. It
// fails with a [*GapError].
func (s *State) History(q *HistorySearch) (page Page, done bool, err error) {
	subs := []subscription{{subject: &subject{name: q.topic}}}
	if !q.begun && q.from.given() {
		var gap *Gap
		if q.rd, gap = s.place(q.from, s.log.head); gap != nil {
			gap.Topics = []string{q.topic}
			return Page{}, true, &GapError{*gap}
		}
	}
	q.begun = true
	if !s.choose(view{subs: subs}, &q.rd) {
		return Page{}, false, nil
	}
	if q.from.given() {
		if gaps, _ := s.gaps(subs, "", &q.rd); gaps != nil { // of exact topics in one step
			return Page{}, true, &GapError{gaps[0]}
		}
	}
	found, upTo := s.next(view{subs, "", q.rd.last}, q.rd.pos, s.log.head)
	s.spend(len(found))
	page = Page{Events: make([]Stored, len(found)), Cursor: s.cursor(upTo), More: upTo < s.log.head}
	for i, e := range found {
		page.Events[i] = Stored{e.Event, s.cursor(e.position)}
	}
	return page, true, nil
}

// A Poll is a request that waits for an event. It stands in the index like a
// client.
type Poll struct {
	Owner  any // who waits; static
	client *client
}

// Await makes a poll of owner's for the next event of a topic for everybody. It
// fails with [ErrTooManyConnections] or [ErrDraining].
func (s *State) Await(topic string, owner any) (*Poll, error) {
	switch {
	case s.draining:
		return nil, ErrDraining
	case s.stats.Connected+len(s.polls) >= s.opts.MaxConnections:
		return nil, ErrTooManyConnections
	}
	p := &Poll{owner, &client{user: &user{}, progress: progress{mode: modePoll}}}
	s.join(p.client, topic)
	s.polls[p.client] = p
	s.held += pollOverhead
	return p, nil
}

// wake has a poll end, once: there is an event.
func (s *State) wake(c *client) {
	if c.mode == modePoll {
		c.enter(modeWoken)
		s.woken = append(s.woken, s.polls[c])
	}
}

// Woken ends polls for which there is an event, as far as a step may. It returns them,
// and whether there are more.
func (s *State) Woken() (woken []*Poll, more bool) {
	for end := s.allowance(); len(s.woken) > 0 && s.work < end; s.woken = s.woken[1:] {
		s.spend(wakeWork)
		s.EndPoll(s.woken[0])
		woken = append(woken, s.woken[0])
	}
	if len(s.woken) == 0 {
		s.woken = nil
	}
	return woken, len(s.woken) > 0
}

// EndPoll ends a poll that nobody waits for any more.
func (s *State) EndPoll(p *Poll) {
	if s.polls[p.client] == p {
		delete(s.polls, p.client)
		s.held -= pollOverhead
		s.leave(p.client, 0)
	}
}
