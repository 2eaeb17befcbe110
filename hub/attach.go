package hub

import "time"

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
	s.enqueue(conn, Op{Kind: OpOpen})
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
	s.enqueue(conn, Op{Kind: OpOpen})
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
	c.ephemeral = true
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

// A client whose connections take each other over again and again is two
// pages that fight; the newcomer is then refused.
const (
	maxTakeovers   = 5
	takeoverWindow = 10 * time.Second
)

// mayTakeOver counts a takeover unless there were too many of late.
func (c *client) mayTakeOver(now time.Duration) bool {
	now++ // so that none was at 0
	if c.takeovers == nil {
		c.takeovers = new([maxTakeovers]time.Duration)
	}
	oldest := 0
	for i, at := range c.takeovers {
		if at < c.takeovers[oldest] {
			oldest = i
		}
	}
	if at := c.takeovers[oldest]; at > 0 && now-at < takeoverWindow {
		return false
	}
	c.takeovers[oldest] = now
	return true
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
		c.pos = s.window.head
		s.welcome(c, s.cursor(c.pos))
		s.toLive(c)
	case c.locating():
		// An earlier connection asked for the newest events and ended before
		// it began. So nothing of it is to be reported.
		s.toLocating(c)
	case c.owed > 0:
		// No less than this has gone out.
		s.welcome(c, s.cursor(c.pos))
		s.awaitReport(c)
	default:
		s.welcome(c, s.cursor(c.pos))
		s.beginCatchUp(c)
	}
}

// beginFrom has a new connection read from where it asks to. Earlier progress, gaps and
// late reports of earlier connections are ignored.
func (s *State) beginFrom(c *client, from From) {
	rd, gap := s.place(from, s.window.head)
	c.readAt(rd)
	s.spend(len(c.subs))
	for i := range c.subs {
		c.subs[i].since = 0 // invariant 4
	}
	if rd.last != nil {
		s.toLocating(c)
		return
	}
	if gap == nil {
		s.welcome(c, s.cursor(rd.pos))
	} else {
		// Until it has heard of the gap, its resume point is what it was.
		s.welcome(c, gap.From)
		if gap.Topics = s.topicsOf(c); len(gap.Topics) > 0 && !s.tellGaps(c, []Gap{*gap}, c.pos) {
			return
		}
	}
	s.beginCatchUp(c)
}

// welcome tells a new connection where it begins.
func (s *State) welcome(c *client, at Cursor) {
	if c.conn.Notes {
		s.notify(c.conn, Welcome{User: c.user.name, Topics: s.topicsOf(c), Cursor: at}, c.pos)
	}
}

// newestLocated begins the reading of a connection that asked for the newest events,
// when they are known.
func (s *State) newestLocated(c *client) {
	s.welcome(c, s.cursor(c.pos))
	s.beginHere(c)
	c.conn.filtered = c.last.bound
	if c.lease != nil && c.lease.noticed {
		s.notify(c.conn, Expiring{c.grant.Expires}, c.pos)
	}
	s.answer(c.conn)
}

// close ends a connection from the hub's side. Its courier stops taking frames and
// reports: so this is the last op that counts (invariant 9).
func (s *State) close(conn *Conn, why Reason) {
	s.enqueue(conn, Op{Kind: OpClose, Reason: why})
	s.stats.Disconnects[why]++
}

// A ConnReport is a courier's report on a connection that takes no more frames.
type ConnReport struct {
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

// ConnEnded takes a courier's report. The client goes on from where the
// connection came to: at once if a newer connection waits for it, or when it
// is back within the resume window.
func (s *State) ConnEnded(r ConnReport) {
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
	conn.client = nil // invariant 8: a second report finds no client
	s.answer(conn)
	if c.conn == conn {
		s.disconnected(c, r.Reason)
		return
	}
	if c.owed--; c.mode == modeAwaitingReport && c.owed == 0 {
		s.beginCatchUp(c)
	}
}

// unconfirmed returns the position from which a client must read on so that
// what its released connection wrote but could not confirm is repeated, and
// nothing from before that connection. If that takes more than a step, the result
// is false, and the report says how far it came.
func (s *State) unconfirmed(c *client, r *ConnReport) (Position, bool) {
	p, start := max(r.UpTo, r.Conn.start), r.Conn.start
	switch {
	case r.Unconfirmed == 0:
		return p, true
	case r.Last == 0:
		return start, true // it was told of a gap
	}
	v := filter{subs: c.subs, user: c.user.name}
	i, end := s.window.after(r.Last)-1, s.window.after(max(start, r.Conn.filtered))-1
	if i <= end {
		return start, true
	}
	i = s.walk(&s.window.entries, i, end, s.allowance(), func(e *entry) bool {
		if s.sees(&v, e) && !e.expired(s.now) { // of one that has, nobody knows whether it was written
			r.Unconfirmed -= len(s.frame(e, r.Conn.Encoding).Bytes)
			p = e.position - 1
		}
		return r.Unconfirmed > 0
	})
	switch {
	case r.Unconfirmed <= 0:
		return p, true
	case i == end:
		return start, true // what there was before is no longer retained
	}
	r.UpTo, r.Last = p, s.window.entries.at(i).position
	return 0, false
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
	if s.opts.ResumeWindow == 0 || c.ephemeral {
		s.forget(c, why)
		return
	}
	s.away.add(c, s.age)
	s.weigh(c)
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
