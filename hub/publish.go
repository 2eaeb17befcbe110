package hub

// A Receipt says what became of an event.
type Receipt struct {
	ID        string // the event's
	Cursor    Cursor
	Matched   int  // clients subscribed to it
	Queued    int  // of those, connected ones that will get it
	Duplicate bool // it was published before; this is what became of it then
	Uncounted bool // Matched and Queued are not known
}

// Prepare finds out which patterns the next event matches, as far as a step may, and reports
// whether that is done. [State.Publish] uses what was found. So an event that it takes long for can wait for its turn, while
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

// publish has an event ordered and applies it, with what was found out about it ahead.
func (s *State) publish(ev Event, ahead *matching) Receipt {
	at := s.authority.order()
	done := s.apply(at, ev, ahead)
	return Receipt{ID: ev.ID, Cursor: s.cursor(at), Matched: done.Matched, Queued: done.Queued}
}
