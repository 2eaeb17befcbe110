package hub

// Admit tells whether a client may connect: it fails with
// [ErrUnknownClient], [ErrTooManyConnections] or [ErrDraining].
func (s *State) Admit(id ID) error {
	c := s.clients[id]
	switch {
	case s.draining:
		return ErrDraining
	case c == nil:
		return ErrUnknownClient
	case c.conn == nil && s.stats.Connected >= s.opts.MaxConnections:
		return ErrTooManyConnections
	}
	return nil
}

// AdmitNew tells whether a connection without a registration may be made, by a
// user, for so many topics: it fails with [ErrTooManyConnections],
// [ErrTooManyClients], [ErrTooManyUserClients], [ErrTooManyTopics] or
// [ErrDraining].
func (s *State) AdmitNew(user string, topics int) error {
	switch {
	case s.draining:
		return ErrDraining
	case len(s.clients) >= s.opts.MaxClients:
		return ErrTooManyClients
	case s.crowded(user):
		return ErrTooManyUserClients
	case s.stats.Connected >= s.opts.MaxConnections:
		return ErrTooManyConnections
	case topics > s.opts.MaxSubscriptions:
		return ErrTooManyTopics
	}
	return nil
}

// Attach gives a client its connection, which begins as from says. What Admit
// would have refused, and one takeover too many, is refused in-band: the
// connection is opened and closed with the reason. A connection that takes over
// and does not say from where waits until the earlier one has reported how far
// it came.
func (s *State) Attach(id ID, conn *Conn, from From) {
	s.tell(conn, Op{Kind: OpOpen})
	c := s.clients[id]
	if err := s.Admit(id); err != nil {
		s.close(conn, refusals[err])
		return
	}
	if c.conn != nil && !c.mayTakeOver(s.age) {
		s.close(conn, TakeoverLimit)
		return
	}
	c.cancel()
	s.dropReplays(c)
	if old := c.conn; old != nil {
		s.close(old, Replaced)
		s.toTakeover(c)
	} else {
		s.stats.Connected++
	}
	s.begin(c, conn, from)
}

// Connect makes a client that lives as long as its connection. What AdmitNew
// would have refused, and topics that are not granted, are refused in-band.
func (s *State) Connect(r Registration, conn *Conn, from From) {
	s.tell(conn, Op{Kind: OpOpen})
	grant, revoked := s.changes.of(r.Grant)
	if revoked {
		s.close(conn, Revoked)
		return
	}
	r.Grant = grant
	err := s.AdmitNew(r.User, len(r.Topics))
	if err == nil && !s.admits(r.Grant, r.Topics...) {
		err = ErrForbidden
	}
	if err != nil {
		s.close(conn, refusals[err])
		return
	}
	c := s.add(r)
	c.fleeting = true
	s.stats.Connected++
	s.begin(c, conn, from)
}

// refusals are the reasons that go with the errors of Admit and AdmitNew.
var refusals = map[error]Reason{
	ErrUnknownClient:      UnknownClient,
	ErrTooManyClients:     OverCapacity,
	ErrTooManyUserClients: OverCapacity,
	ErrTooManyConnections: OverCapacity,
	ErrTooManyTopics:      PolicyViolation,
	ErrForbidden:          Forbidden,
	ErrDraining:           Draining,
}

// begin has a client's new connection read, or get events as they come.
func (s *State) begin(c *client, conn *Conn, from From) {
	old := c.conn
	c.took(conn)
	c.since = s.now
	c.conn, conn.client = conn, c
	if old == nil {
		s.presentEverywhere(c, true)
	} else {
		s.answer(old)
	}
	s.weigh(c)
	switch {
	case from.given():
		s.beginFrom(c, from)
	case c.mode == modeNew:
		c.pos = s.log.head
		s.welcome(c, s.cursor(c.pos))
		s.toLive(c)
	case c.choosing():
		// An earlier connection asked for the newest events and ended before
		// it began. So nothing of it is to be reported.
		s.toLocating(c)
	case c.owed > 0:
		// No less than this has gone out.
		s.welcome(c, s.cursor(c.pos))
		s.awaitReport(c)
	default:
		s.welcome(c, s.cursor(c.pos))
		s.toBeginning(c)
	}
}

// welcome tells a new connection where it begins.
func (s *State) welcome(c *client, at Cursor) {
	if c.conn.Notes {
		s.say(c.conn, Welcome{User: c.user.name, Topics: s.topicsOf(c), Cursor: at}, c.pos)
	}
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

// start begins the reading of a connection that asked for the newest events,
// when they are known.
func (s *State) start(c *client) {
	s.welcome(c, s.cursor(c.pos))
	s.begun(c)
	c.conn.filtered = c.last.bound
	if c.lease != nil && c.lease.noticed {
		s.say(c.conn, Expiring{c.grant.Expires}, c.pos)
	}
	s.answer(c.conn)
}

// close ends a connection from the hub's side. Its courier stops taking
// frames and reports.
func (s *State) close(conn *Conn, why Reason) {
	s.tell(conn, Op{Kind: OpClose, Reason: why})
	s.stats.Disconnects[why]++
}

// A Release is a courier's report on a connection that takes no more frames.
type Release struct {
	Conn *Conn
	// UpTo is the position up to which everything for the connection was
	// written to the kernel whole; 0 if nothing was.
	UpTo Position
	// Last is the position of the last event that was written whole; 0 if none
	// was.
	Last Position
	// Unconfirmed is how many of the last bytes of frames that were written
	// the peer's TCP may not have acknowledged.
	Unconfirmed int
	Reason      Reason // why, unless the hub closed it
}

// Released takes a courier's report. The client goes on from where the
// connection came to: at once if a newer connection waits for it, or when it
// is back within the resume window.
func (s *State) Released(r Release) {
	conn := r.Conn
	c := conn.client
	if c == nil {
		return // refused or forgotten
	}
	if c.counts(conn) {
		pos, all := s.unconfirmed(c, &r)
		if !all {
			s.releases.push(r) // as if it came later
			return
		}
		c.reported(conn, pos)
	}
	conn.client = nil
	s.answer(conn)
	if c.conn == conn {
		s.disconnected(c, r.Reason)
		return
	}
	if c.owed--; c.mode == modeAwaitingReport && c.owed == 0 {
		s.toBeginning(c)
	}
}

// disconnected begins a client's resume window.
func (s *State) disconnected(c *client, why Reason) {
	c.conn, c.since = nil, s.now
	s.toAway(c)
	s.presentEverywhere(c, false)
	c.ended, c.hasEnded = why, true
	s.stats.Connected--
	s.stats.Disconnects[why]++
	s.dropReplays(c)
	if s.opts.ResumeWindow == 0 || c.fleeting {
		s.forget(c, why)
		return
	}
	s.away.add(c, s.age)
	s.weigh(c)
}

// Drained takes a courier's report that a chunk is written.
func (s *State) Drained(conn *Conn) {
	if c := conn.client; c != nil && c.conn == conn && c.mode == modeWriting {
		s.written(c)
	}
}

// read lets a client read on from its position.
func (s *State) read(c *client) {
	if !s.choose(view{subs: c.subs, user: c.user.name}, &c.reading) {
		s.queue(c)
		return
	}
	if c.mode == modeLocatingNewest {
		s.start(c)
	}
	if s.dropOldest(c) {
		return
	}
	if c.conn.Slow == SlowLatest && c.last == nil {
		s.readLatest(c)
		return
	}
	gaps, all := s.gaps(c.subs, c.user.name, &c.reading)
	if !s.tellGaps(c, gaps, c.pos) {
		return
	}
	if !all {
		s.queue(c)
		return
	}
	found, upTo := s.next(view{c.subs, c.user.name, c.last}, c.pos, s.log.head)
	c.pos = upTo
	live := upTo == s.log.head
	s.hand(c, found, !live)
	switch {
	case live:
		s.toLive(c)
	case len(found) > 0:
		s.toWriting(c)
	default:
		s.queue(c)
	}
}

// hand gives events read from the log to a client's connection. If there is
// more, the courier reports when it has written them.
func (s *State) hand(c *client, found []*entry, more bool) {
	s.spend(len(found))
	for i, e := range found {
		op := Op{Kind: OpDeliver, Frame: s.frame(e, c.conn.Encoding)}
		if more && i == len(found)-1 {
			op.Kind = OpChunk
		}
		s.tell(c.conn, op)
	}
	s.stats.Replayed += uint64(len(found))
}

// Drain closes every connection, forgets every client and refuses all that
// comes from now on. It does as much of that as a step may, and reports whether there
// is more to do.
func (s *State) Drain() (more bool) {
	s.draining = true
	s.news.clear()
	end := s.allowance()
	for _, c := range s.clients {
		if s.work >= end {
			return true
		}
		if c.conn != nil {
			s.close(c.conn, Draining)
		}
		s.forget(c, Draining)
	}
	for p := range s.polls {
		if s.work >= end {
			return true
		}
		s.spend(1)
		s.wakePoll(p)
	}
	return false
}
