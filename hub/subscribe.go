package hub

import "slices"

// SetTopics replaces the topics of the client of a connection, for
// everything published from now on. Topics that it keeps are not interrupted.
// It reports whether that was done: not for a connection that has ended or was
// taken over, nor for more topics or others than the client may have.
func (s *State) SetTopics(conn *Conn, names []string) bool {
	c := conn.client
	if c == nil || c.conn != conn || len(names) > s.opts.MaxSubscriptions || !s.admits(c.grant, names...) {
		return false
	}
	defer s.together(names)()
	keep := s.set(names)
	s.leaveAll(c, func(name string) bool { return !keep[name] })
	for _, name := range s.fresh(c, names) {
		s.join(c, name)
	}
	return true
}

// AddTopic subscribes a client to one more topic. It fails with
// [ErrUnknownClient], [ErrTooManyTopics] or [ErrForbidden].
func (s *State) AddTopic(id ID, name string) error {
	c := s.clients[id]
	if c == nil {
		return ErrUnknownClient
	}
	s.spend(len(c.subs))
	switch {
	case c.subscription(name) >= 0:
		s.keep(c, map[string]bool{name: true})
		return nil
	case len(c.subs) >= s.opts.MaxSubscriptions:
		return ErrTooManyTopics
	case !s.admits(c.grant, name):
		return ErrForbidden
	}
	s.join(c, name)
	return nil
}

// RemoveTopic ends a client's subscription, if it has it. It fails with
// [ErrUnknownClient].
func (s *State) RemoveTopic(id ID, name string) error {
	c := s.clients[id]
	if c == nil {
		return ErrUnknownClient
	}
	s.leaveAll(c, func(has string) bool { return has == name })
	return nil
}

// A Subscribe asks for more topics.
type Subscribe struct {
	Topics []string // well-formed by [CheckPattern]
	From   From     // of the topics; its zero value is from now on
	Ref    []byte   // names the request in the notes about it
}

// Subscribe subscribes the client of a connection to more topics, and
// replays their events if the request says from where. It fails with
// [ErrTooManyTopics], [ErrForbidden] or [ErrTooManyReplays], or with
// [ErrUnknownClient] for a connection that has ended or was taken over.
func (s *State) Subscribe(conn *Conn, r Subscribe) error {
	c := activeClient(conn)
	switch {
	case c == nil:
		return ErrUnknownClient
	case len(r.Topics) > s.opts.MaxSubscriptions:
		return ErrTooManyTopics // before it is looked at
	}
	names := s.unique(r.Topics)
	fresh := s.fresh(c, names)
	switch {
	case len(c.subs)+len(fresh) > s.opts.MaxSubscriptions:
		return ErrTooManyTopics
	case !s.admits(c.grant, names...):
		return ErrForbidden
	case r.From.given() && len(c.replays) >= s.opts.MaxSubscriptions:
		return ErrTooManyReplays // each topic may have one of its own
	}
	s.tellDropped(c)
	at := s.upTo(c)
	first := len(c.subs)
	end := s.together(fresh)
	for _, name := range fresh {
		s.join(c, name)
	}
	end()
	s.notify(conn, Ack{r.Ref, s.cursor(at)}, at)
	if r.From.given() {
		s.startReplay(c, r, names, first, at)
		return nil
	}
	s.keep(c, s.set(names))
	return nil
}

// keep has subscriptions stay, though a replay that they came with may not come
// to its end: they were asked for by themselves.
func (s *State) keep(c *client, names map[string]bool) {
	for _, r := range c.replays {
		s.spend(1 + len(r.fresh))
		r.fresh = slices.DeleteFunc(r.fresh, func(sub *subject) bool { return names[sub.name] })
	}
}

// Unsubscribe ends subscriptions of the client of a connection; those that
// it does not have do not matter. It fails with [ErrUnknownClient] for a
// connection that has ended or was taken over, and with [ErrTooManyTopics] for
// more names than a client can have.
func (s *State) Unsubscribe(conn *Conn, names []string, ref []byte) error {
	c := activeClient(conn)
	switch {
	case c == nil:
		return ErrUnknownClient
	case len(names) > max(s.opts.MaxSubscriptions, len(c.subs)):
		return ErrTooManyTopics
	}
	s.tellDropped(c)
	leaves := s.set(names)
	s.leaveAll(c, func(name string) bool { return leaves[name] })
	at := s.upTo(c)
	s.notify(conn, Ack{ref, s.cursor(at)}, at)
	return nil
}

// Say gives a connection a frame that is no event, in order with all else. One
// that has ended or was taken over does not get it.
func (s *State) Say(conn *Conn, f *Frame) {
	if c := activeClient(conn); c != nil {
		s.tellDropped(c)
		s.enqueue(conn, Op{Kind: OpDeliver, Frame: f})
	}
}

// activeClient returns the client of a connection that asks for something, nil if the
// connection has ended or was taken over. It must have begun: see [State.Defer].
func activeClient(conn *Conn) *client {
	c := conn.client
	if c == nil || c.conn != conn || c.mode == modeLocatingNewest {
		return nil
	}
	return c
}

// topicsOf returns the names of c's subscriptions.
func (s *State) topicsOf(c *client) []string {
	s.spend(len(c.subs))
	names := make([]string, len(c.subs))
	for i := range c.subs {
		names[i] = c.subs[i].name
	}
	return names
}

// set returns names as a set.
func (s *State) set(names []string) map[string]bool {
	s.spend(len(names))
	set := make(map[string]bool, len(names))
	for _, name := range names {
		set[name] = true
	}
	return set
}

// unique returns names without repetitions, in order.
func (s *State) unique(names []string) []string {
	return s.missing(make(map[string]bool, len(names)), names)
}

// fresh returns those of the names that a client has no subscription of, without
// repetitions, in order.
func (s *State) fresh(c *client, names []string) []string {
	return s.missing(s.set(s.topicsOf(c)), names)
}

// missing adds names to a set and returns those that were not there.
func (s *State) missing(set map[string]bool, names []string) []string {
	s.spend(len(names))
	missing := make([]string, 0, len(names))
	for _, name := range names {
		if !set[name] {
			set[name] = true
			missing = append(missing, name)
		}
	}
	return missing
}
