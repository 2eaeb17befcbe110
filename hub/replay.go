package hub

import "slices"

// A replay is what a connected client asked for beside what it gets anyway:
// the events of some topics from some point on up to where the connection
// stands. It is complete in itself, and comes before all that follows.
type replay struct {
	subs []subscription
	reading
	ref   []byte
	fresh []*subject // subscriptions that go with it if the connection ends before it does
}

// A Subscribe asks for more topics.
type Subscribe struct {
	Topics []string // well-formed by [CheckPattern]
	From   From     // of the topics; its zero value is from now on
	Ref    []byte   // names the request in the notes about it
}

// Subscribe subscribes the client behind a connection to more topics, and
// replays their events if the request says from where. It fails with
// [ErrTooManyTopics], [ErrForbidden] or [ErrTooManyReplays], or with
// [ErrUnknownClient] for a connection that has ended or was taken over.
func (s *State) Subscribe(conn *Conn, r Subscribe) error {
	c := s.speaker(conn)
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
	at := s.upTo(c)
	first := len(c.subs)
	end := s.together(fresh)
	for _, name := range fresh {
		s.join(c, name)
	}
	end()
	s.say(conn, Ack{r.Ref, s.cursor(at)}, at)
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

// speaker returns the client behind a connection that says something, nil if
// the connection has ended or was taken over. It must have begun: see
// [State.Defer].
func (s *State) speaker(conn *Conn) *client {
	c := conn.client
	if c == nil || c.conn != conn || c.mode == modeLocatingNewest {
		return nil
	}
	s.tellDropped(c)
	return c
}

// startReplay puts a replay in front of what c, at a position, reads next. The
// subscriptions from number first on are new.
func (s *State) startReplay(c *client, r Subscribe, names []string, first int, at Position) {
	rd, gap := s.place(r.From, at)
	p := &replay{reading: rd, ref: r.Ref}
	wanted := s.set(names)
	s.spend(len(c.subs))
	for i := range c.subs {
		if wanted[c.subs[i].name] {
			p.subs = append(p.subs, subscription{subject: c.subs[i].subject})
		}
	}
	for i := first; i < len(c.subs); i++ {
		// What the replay does not give, reading on from there does.
		c.subs[i].since = max(at, rd.pos)
		p.fresh = append(p.fresh, c.subs[i].subject)
		c.checked, c.search = 0, nil // what was looked at before was not for them
	}
	s.lookAgain(c, p.fresh)
	if gap != nil {
		gap.Topics = names
		if !s.tellGaps(c, []Gap{*gap}, at) {
			return
		}
	}
	c.replays = append(c.replays, p)
	s.weigh(c)
	if c.mode == modeLive {
		s.toCatchUp(c)
	}
}

// replay lets a client read on in a replay, up to the client's position.
func (s *State) replay(c *client, p *replay) {
	v := view{subs: p.subs, user: c.user.name}
	if !s.choose(v, &p.reading) {
		s.queue(c)
		return
	}
	if p.pos < c.pos {
		gaps, all := s.gaps(p.subs, c.user.name, &p.reading)
		if !s.tellGaps(c, gaps, c.pos) {
			return
		}
		if !all {
			s.queue(c)
			return
		}
		v.last = p.last
		found, upTo := s.next(v, p.pos, c.pos)
		p.pos = upTo
		s.handReplay(c, found)
		if len(found) > 0 {
			s.toWriting(c)
			return
		}
	} else {
		s.say(c.conn, ReplayEnd{p.ref, s.cursor(c.pos)}, c.pos)
		c.replays = slices.Delete(c.replays, 0, 1)
	}
	s.queue(c)
}

// handReplay gives a connection events of a replay. They are no part of what
// its resume point is about, and so their frames have no position.
func (s *State) handReplay(c *client, found []*entry) {
	s.spend(len(found))
	for i, e := range found {
		op := Op{Kind: OpDeliver, Frame: &Frame{Bytes: s.frame(e, c.conn.Replay).Bytes}}
		if i == len(found)-1 {
			op.Kind = OpChunk
		}
		s.tell(c.conn, op)
	}
	s.stats.Replayed += uint64(len(found))
}

// leave takes subjects out of a replay: its client has left them.
func (r *replay) leave(gone map[*subject]bool) {
	r.subs = slices.DeleteFunc(r.subs, func(s subscription) bool { return gone[s.subject] })
	r.fresh = slices.DeleteFunc(r.fresh, func(s *subject) bool { return gone[s] })
	r.search = nil
}

// dropReplays ends the replays of a connection that ends, and subscriptions
// that came with them: the client will ask for both again, from where it did.
func (s *State) dropReplays(c *client) {
	fresh := make(map[string]bool)
	for _, r := range c.replays {
		s.spend(1 + len(r.fresh))
		for _, sub := range r.fresh {
			fresh[sub.name] = true
		}
	}
	if c.replays = nil; len(fresh) > 0 {
		s.leaveAll(c, func(name string) bool { return fresh[name] })
	}
}

// Unsubscribe ends subscriptions of the client behind a connection; those that
// it does not have do not matter. It fails with [ErrUnknownClient] for a
// connection that has ended or was taken over, and with [ErrTooManyTopics] for
// more names than a client can have.
func (s *State) Unsubscribe(conn *Conn, names []string, ref []byte) error {
	c := s.speaker(conn)
	switch {
	case c == nil:
		return ErrUnknownClient
	case len(names) > max(s.opts.MaxSubscriptions, len(c.subs)):
		return ErrTooManyTopics
	}
	leaves := s.set(names)
	s.leaveAll(c, func(name string) bool { return leaves[name] })
	at := s.upTo(c)
	s.say(conn, Ack{ref, s.cursor(at)}, at)
	return nil
}

// Say gives a connection a frame that is no event, in order with all else. One
// that has ended or was taken over does not get it.
func (s *State) Say(conn *Conn, f *Frame) {
	if c := s.speaker(conn); c != nil {
		s.tell(conn, Op{Kind: OpDeliver, Frame: f})
	}
}
