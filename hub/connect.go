package hub

import "time"

// A client whose connections take each other over again and again is two
// pages that fight; the newcomer is then refused.
const (
	maxTakeovers   = 5
	takeoverWindow = 10 * time.Second
)

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

// Attach gives a client its connection. What Admit would have refused, and
// one takeover too many, is refused in-band: the connection is opened and
// closed with the reason. A connection that takes over waits until the earlier
// one has reported how far it came.
func (s *State) Attach(id ID, conn *Conn) {
	s.tell(conn, Op{Kind: OpOpen})
	c := s.clients[id]
	switch err := s.Admit(id); {
	case err == ErrUnknownClient:
		s.close(conn, UnknownClient)
		return
	case err == ErrTooManyConnections:
		s.close(conn, OverCapacity)
		return
	case err != nil:
		s.close(conn, Draining)
		return
	case c.conn != nil && !c.mayTakeOver(s.now):
		s.close(conn, TakeoverLimit)
		return
	}
	c.cancel()
	if old := c.conn; old != nil {
		s.close(old, Replaced)
		c.unsettled++
	} else {
		s.stats.Connected++
	}
	c.conn, conn.client = conn, c
	switch {
	case c.mode == modeNew:
		s.goLive(c)
	case c.unsettled > 0:
		c.mode = modeWaiting
	default:
		s.readOn(c)
	}
}

// goLive has a client get events as they come. Before it, it has read
// everything up to the head.
func (s *State) goLive(c *client) {
	if !c.conn.started {
		c.conn.started, c.conn.start = true, s.log.head
	}
	c.mode = modeLive
	s.tell(c.conn, Op{Kind: OpLive})
}

// readOn starts a newly connected client's reading from its position.
func (s *State) readOn(c *client) {
	c.conn.started, c.conn.start = true, c.pos
	c.mode = modeReading
	s.reading.push(c)
}

// mayTakeOver counts a takeover unless there were too many of late.
func (c *client) mayTakeOver(now time.Time) bool {
	if c.takeovers == nil {
		c.takeovers = new([maxTakeovers]time.Time)
	}
	oldest := 0
	for i, at := range c.takeovers {
		if at.Before(c.takeovers[oldest]) {
			oldest = i
		}
	}
	if at := c.takeovers[oldest]; !at.IsZero() && now.Sub(at) < takeoverWindow {
		return false
	}
	c.takeovers[oldest] = now
	return true
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
	// the peer's TCP has not acknowledged.
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
	conn.client = nil
	if conn.started {
		c.pos = s.unconfirmed(c, r)
	}
	if c.conn == conn {
		s.disconnected(c, r.Reason)
		return
	}
	c.unsettled--
	if c.mode == modeWaiting && c.unsettled == 0 {
		s.readOn(c)
	}
}

// disconnected begins a client's resume window.
func (s *State) disconnected(c *client, why Reason) {
	c.conn, c.mode = nil, modeAway
	s.stats.Connected--
	s.stats.Disconnects[why]++
	if s.opts.ResumeWindow == 0 {
		s.forget(c, why)
		return
	}
	s.away.add(c, s.now)
}

// Drained takes a courier's report that a chunk is written.
func (s *State) Drained(conn *Conn) {
	if c := conn.client; c != nil && c.conn == conn && c.mode == modeDraining {
		c.mode = modeReading
		s.reading.push(c)
	}
}

// Busy reports whether clients wait for their turn to read.
func (s *State) Busy() bool { return s.reading.len() > 0 }

// Work lets one client read a chunk. At the head it goes live, in the same
// step, so that there is neither a hole nor a repeat between the two.
func (s *State) Work() {
	if s.reading.len() == 0 {
		return
	}
	c := s.reading.pop()
	if c.mode != modeReading {
		return // it went away meanwhile
	}
	if _, lost := s.lost(c, c.pos); lost {
		s.close(c.conn, Gap)
		s.forget(c, Gap)
		return
	}
	found, upTo := s.next(c, c.pos)
	for i, e := range found {
		op := Op{Kind: OpDeliver, Frame: s.frame(e, c.conn.Encoding)}
		if i == len(found)-1 && upTo < s.log.head {
			op.Kind = OpChunk
		}
		s.tell(c.conn, op)
		s.outboxes[c.conn.Courier].batch.bytes += len(op.Frame.Bytes)
	}
	s.stats.Replayed += uint64(len(found))
	c.pos = upTo
	switch {
	case upTo == s.log.head:
		s.goLive(c)
	case len(found) > 0:
		c.mode = modeDraining
	default:
		s.reading.push(c)
	}
	s.trim()
}

// Drain closes every connection, forgets every client and refuses all that
// comes from now on.
func (s *State) Drain() {
	s.draining = true
	for _, c := range s.clients {
		if c.conn != nil {
			s.close(c.conn, Draining)
		}
		s.forget(c, Draining)
	}
}
