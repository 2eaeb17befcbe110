package hub

// A mode is what a client does between the log and its connection: see the package's
// documentation. Operators are told [ClientInfo.State].
type mode uint8

const (
	modeNew            mode = iota // never connected
	modeAway                       // not connected; it will read on from its position
	modeAwaitingReport             // connected; an earlier connection has not reported yet how far it came
	modeLocatingNewest             // connected; it is looked for where the newest events that it wants begin
	modeCatchingUp                 // connected; it takes turns to read from its position
	modeConflating                 // connected; it takes turns to read the newest event of each topic
	modeWriting                    // connected; its courier has a chunk to write
	modeLive                       // connected, at the head: events are delivered as they come
	modeGone                       // forgotten; only the queue of readers may still hold it
	modes
)

// successors are the modes that may follow each. A takeover passes through away.
var successors = [modes][]mode{
	modeNew:            {modeLocatingNewest, modeCatchingUp, modeLive, modeGone},
	modeAway:           {modeAwaitingReport, modeLocatingNewest, modeCatchingUp, modeGone},
	modeAwaitingReport: {modeAway, modeCatchingUp, modeGone},
	modeLocatingNewest: {modeAway, modeCatchingUp, modeGone},
	modeCatchingUp:     {modeAway, modeConflating, modeWriting, modeLive, modeGone},
	modeConflating:     {modeAway, modeWriting, modeLive, modeGone},
	modeWriting:        {modeAway, modeCatchingUp, modeConflating, modeGone},
	modeLive:           {modeAway, modeCatchingUp, modeWriting, modeGone},
}

// reads reports whether a client in this mode takes turns.
func (m mode) reads() bool {
	return m == modeLocatingNewest || m == modeCatchingUp || m == modeConflating
}

// A progress is how far a client is in the log, and which connection says so. Only the
// transitions of this file set the mode. While a client is live its position is void:
// see [State.upTo].
type progress struct {
	mode        mode
	connections int32 // so far
	placedBy    int32 // number of the connection that the position comes from
	owed        int32 // earlier connections that have not reported yet
	reading
}

// A beginning is where a connection began to read. It outlives the connection until
// that has reported.
type beginning struct {
	number   int32    // of the connections of its client
	started  bool     // it has begun: only then its report tells a position
	start    Position // everything after it is the connection's
	filtered Position // up to here it was given only the newest events of what its client sees
}

// invariant ends the hub if what must hold does not: to go on would lose events or
// give them twice, unnoticed.
func invariant(holds bool, what string) {
	if !holds {
		panic("hub: " + what)
	}
}

// enter sets the mode.
func (p *progress) enter(next mode) {
	for _, m := range successors[p.mode] {
		if m == next {
			p.mode = next
			return
		}
	}
	invariant(false, "a client's mode can't follow the one that it has")
}

// upTo returns the position up to which everything was handed over to a client, or is
// known to have gone out. A live client has everything up to the head in an outbox
// (invariant 2).
func (s *State) upTo(c *client) Position {
	if c.mode == modeLive {
		return s.window.head
	}
	return c.pos
}

// took makes a connection its client's, after earlier ones.
func (p *progress) took(conn *Conn) {
	p.connections++
	conn.number = p.connections
}

// readAt has a client read as rd says, whatever earlier connections still report.
func (p *progress) readAt(rd reading) {
	p.reading, p.placedBy = rd, p.connections
}

// reported takes note of how far a connection came.
func (p *progress) reported(conn *Conn, pos Position) {
	invariant(pos >= conn.start, "a connection came to a position before its start")
	p.pos, p.last, p.placedBy = pos, nil, conn.number
}

// counts reports whether the position of a client follows from what a connection
// reports: it has begun, and no later one said from where it reads.
func (p *progress) counts(conn *Conn) bool {
	return conn.started && conn.number >= p.placedBy
}

// toAway takes a client's connection from it.
func (s *State) toAway(c *client) {
	c.slow = nil
	c.enter(modeAway)
}

// toTakeover takes a client's connection from it for a newer one. Until it has
// reported, only where it began is certain.
func (s *State) toTakeover(c *client) {
	if old := c.conn; old.started {
		c.pos = old.start
	}
	c.owed++
	s.toAway(c)
}

// awaitReport has a new connection wait until those before it have reported.
func (s *State) awaitReport(c *client) {
	invariant(c.owed > 0, "a client waits for a report that nobody owes")
	c.enter(modeAwaitingReport)
}

// toLocating has a new connection wait until it is known where the newest events
// begin, which it is told first of all. What earlier connections still report does
// not count.
func (s *State) toLocating(c *client) {
	invariant(c.last != nil, "a client looks for the newest events and does not want them")
	c.placedBy = c.conn.number
	c.enter(modeLocatingNewest)
	s.queue(c)
}

// beginCatchUp has a new connection catch up from its client's position. What earlier
// ones were told of as lost after it may not have gone out: here alone that falls to 0
// (invariant 5).
func (s *State) beginCatchUp(c *client) {
	s.beginHere(c)
	c.checked, c.search = 0, nil
	s.spend(len(c.subs))
	for i := range c.subs {
		c.subs[i].told = 0
	}
	s.queue(c)
}

// beginHere has a connection begin at the position of its client, within its turn if it
// has one.
func (s *State) beginHere(c *client) {
	invariant(c.pos <= s.window.head, "a client is after the head")
	c.conn.started, c.conn.start = true, c.pos
	c.enter(modeCatchingUp)
}

// toCatchUp has a live connection catch up, with what it asked for beside its events.
func (s *State) toCatchUp(c *client) {
	s.leaveHead(c)
	c.enter(modeCatchingUp)
	s.queue(c)
}

// toConflating has a connection that catches up do so with the newest event of each
// topic, in the same turn.
func (s *State) toConflating(c *client) {
	invariant(c.slow != nil && c.slow.conflation != nil, "a client conflates without a round")
	c.enter(modeConflating)
}

// toWriting has a connection wait until its courier has written what it was given. The
// last op that it was given asks the courier to report that.
func (s *State) toWriting(c *client) {
	if c.mode == modeLive {
		s.leaveHead(c)
	}
	invariant(c.conn.start <= c.pos && c.pos <= s.window.head, "a client reads outside its part of the log")
	c.enter(modeWriting)
}

// written has a connection go on as before its chunk.
func (s *State) written(c *client) {
	if c.slow != nil && c.slow.conflation != nil {
		c.enter(modeConflating)
	} else {
		c.enter(modeCatchingUp)
	}
	s.queue(c)
}

// toLive has a client get events as they come. It has everything up to the head, so in
// the step in which it was given that, there is neither a hole nor a repeat between the
// two (invariant 2).
func (s *State) toLive(c *client) {
	invariant(c.pos == s.window.head && len(c.replays) == 0, "a client becomes live and has not read everything")
	if !c.conn.started {
		c.conn.started, c.conn.start = true, c.pos
	}
	c.slow, c.last = nil, nil
	c.enter(modeLive)
	s.enqueue(c.conn, Op{Kind: OpLive})
}

// toGone ends a client. The queue of readers may hold it still.
func (s *State) toGone(c *client) { c.enter(modeGone) }

// leaveHead gives a live client a position again: all before it is in an outbox
// (invariant 3).
func (s *State) leaveHead(c *client) {
	invariant(c.mode == modeLive, "a client that is not live leaves the head")
	c.pos = s.window.head
	s.enqueue(c.conn, Op{Kind: OpCatchUp, At: c.pos})
}

// queue gives a client that reads another turn. Each of them stands in the queue, twice
// perhaps after it has connected again (invariant 6).
func (s *State) queue(c *client) {
	invariant(c.mode.reads(), "a client that does not read asks for a turn")
	s.reading.push(c)
}
