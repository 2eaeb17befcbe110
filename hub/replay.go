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

// startReplay puts a replay in front of what c, at a position, reads next. The
// subscriptions from number first on are new.
func (s *State) startReplay(c *client, r Subscribe, names []string, first int, at Position) {
	rd, gap := s.place(r.From, at)
	p := &replay{reading: rd, ref: r.Ref}
	wanted := s.set(names)
	s.spend(len(c.subs))
	var wider []latecomer // reading on gives more of these than before
	for i := range c.subs {
		sub := &c.subs[i]
		if !wanted[sub.name] {
			continue
		}
		p.subs = append(p.subs, subscription{subject: sub.subject})
		if i >= first {
			p.fresh = append(p.fresh, sub.subject)
		}
		// What the replay does not give, reading on from there does (invariant 4).
		if end := max(at, rd.pos); i >= first || sub.since > end {
			wider = append(wider, latecomer{subject: sub.subject, since: sub.since})
			sub.since = end
			c.checked, c.search = 0, nil // what was looked at before was not for them
		}
	}
	s.lookAgain(c, wider)
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
	v := filter{subs: p.subs, user: c.user.name}
	if !s.locateNewest(v, &p.reading) {
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
		// They are no part of what the connection's resume point is about, and so their
		// frames have no position.
		s.sendChunk(c, found, true, func(e *entry) *Frame { return &Frame{Bytes: s.frame(e, c.conn.Replay).Bytes} })
		if len(found) > 0 {
			s.toWriting(c)
			return
		}
	} else {
		s.notify(c.conn, ReplayEnd{p.ref, s.cursor(c.pos)}, c.pos)
		c.replays = slices.Delete(c.replays, 0, 1)
	}
	s.queue(c)
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
