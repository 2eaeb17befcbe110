package transport

import "belfry/hub"

// How a courier ends connections.

// close ends a connection for one of the broker's own reasons.
func (k *courier) close(c *conn, why hub.Reason) {
	k.shut(c, why, closeCodes[why], why.String())
}

// shut begins the end of a connection: the hub hears how far it came, the peer
// gets one farewell (in WebSocket a Close frame, RFC 6455 section 5.5.1) behind
// frames that it has the beginning of, and the rest of its backlog is dropped.
// While the broker drains nobody will resume, and all of the backlog goes out
// before.
func (k *courier) shut(c *conn, why hub.Reason, code uint16, text string) {
	if c.phase == phaseClosing && c.readerDone && c.waiting == nil {
		k.end(c)
		return
	}
	if c.phase == phaseOpen {
		k.flushOne(c) // nothing is dropped before it was tried, the answer to the handshake least of all
	}
	if c.phase != phaseOpen {
		return
	}
	k.release(c, why)
	c.phase, c.reason = phaseClosing, why
	k.closing.add(&c.deadline, k.now)
	c.whole()
	if c.pulse != nil {
		c.pulse.cancel()
	}
	var lost []*hub.Frame
	if c.waiting != nil && why != hub.Draining {
		lost = c.waiting.untouched()
	}
	f := farewell{why: why, code: code, text: text}
	if c.resume.welcomed {
		f.upTo = k.reached(c, lost)
	}
	if lost != nil {
		c.waiting.drop()
		k.weigh(c)
	}
	if c.opening != nil {
		k.pushPlain(c, c.opening.refuse(c, f))
		c.opening = nil
		return
	}
	k.pushPlain(c, c.speaks.farewell(c, f))
}

// A farewell is what a peer is told at the end of its connection.
type farewell struct {
	why  hub.Reason
	code uint16 // of WebSocket
	text string
	upTo hub.Cursor // the connection's resume point; zero if it never had one
}

// comesBack reports whether a client should come back by itself.
func (f farewell) comesBack() bool {
	return f.code >= 4100 || f.code == closeRestart || f.code == closeTryLater
}

// reached returns the resume point that a connection's peer should know if some of the
// last frames in its backlog are lost.
func (k *courier) reached(c *conn, lost []*hub.Frame) hub.Cursor {
	upTo, origin := c.resume.reach(c.waiting.waiting(), lost, k.head)
	if origin {
		return c.resume.origin
	}
	return k.hub.Cursor(upTo)
}

// release reports to the hub how far a connection came, once.
func (k *courier) release(c *conn, why hub.Reason) {
	r := hub.Release{Conn: &c.Conn, Last: c.resume.written, Reason: why}
	waiting := c.waiting.waiting()
	r.UpTo, _ = c.resume.reach(waiting, waiting, k.head)
	if r.Last > 0 || c.pulse != nil { // else there is no event and no gap that may have to be repeated
		part := 0
		if c.waiting != nil && !c.sink.records() { // which count as a whole
			part = c.waiting.written
		}
		r.Unconfirmed = c.resume.unconfirmed(k.pending(c), part)
	}
	// If the hub has ended, so will this courier.
	_ = k.hub.Released(r)
}

// end closes a connection's socket, at once if its peer has had its time.
func (k *courier) end(c *conn) {
	switch c.phase {
	case phaseEnded:
		return
	case phaseOpen:
		k.release(c, hub.Disconnected)
		c.reason = hub.Disconnected
	}
	k.bury(c, !c.readerDone || c.torn())
}

// bury closes the socket of a connection that is not open any more.
func (k *courier) bury(c *conn, abort bool) {
	c.phase = phaseEnded
	c.deadline.cancel()
	c.whole()
	if c.pulse != nil {
		c.pulse.cancel()
	}
	k.stats.Closed++
	if c.waiting != nil {
		k.stats.Waiting -= c.waiting.counted
		c.waiting = nil
	}
	k.finish(c, abort)
	k.checkIdle()
}

// finish closes a socket in a goroutine of its own: it takes a while.
func (k *courier) finish(c *conn, abort bool) {
	k.elsewhere(c, func() { c.finish(abort) })
}

// sweep does what is due.
func (k *courier) sweep() {
	for !k.guarded(k.sweepOn) {
	}
}

func (k *courier) sweepOn() {
	for k.at = k.pings.due(k.now); k.at != nil; k.at = k.pings.due(k.now) {
		k.ping(k.at)
	}
	for k.at = k.pongs.due(k.now); k.at != nil; k.at = k.pongs.due(k.now) {
		if k.at.stalled {
			// The ping waits behind other bytes: the queue's bound and TCP's
			// own time-out decide about this connection.
			k.pings.add(&k.at.deadline, k.now)
			continue
		}
		k.close(k.at, hub.PongTimeout)
	}
	for k.at = k.partials.due(k.now); k.at != nil; k.at = k.partials.due(k.now) {
		k.close(k.at, hub.MessageTimeout)
	}
	for k.at = k.beats.due(k.now); k.at != nil; k.at = k.beats.due(k.now) {
		k.beat(k.at)
	}
	for k.at = k.closing.due(k.now); k.at != nil; k.at = k.closing.due(k.now) {
		k.end(k.at)
	}
}

// ping asks a connection's peer for a sign of life.
func (k *courier) ping(c *conn) {
	ping := c.speaks.ping()
	if ping == nil {
		// Who can't be pinged is found out about by TCP's own time-out.
		k.pings.add(&c.deadline, k.now)
		return
	}
	c.stalled = c.waiting != nil && c.waiting.flight > 0
	k.pongs.add(&c.deadline, k.now)
	if !c.stalled {
		k.control(c, ping)
	}
}

// await gives a peer time for the message that it has begun.
func (k *courier) await(c *conn) {
	if c.phase != phaseOpen {
		return
	}
	if c.partial == nil {
		c.partial = &deadline{of: c}
	}
	k.partials.add(c.partial, k.now)
}

// whole says that no message is under way.
func (c *conn) whole() {
	if c.partial != nil {
		c.partial.cancel()
		c.partial = nil
	}
}

// beat gives a connection a heartbeat if it was quiet.
func (k *courier) beat(c *conn) {
	k.beats.add(&c.pulse.deadline, k.now)
	beats := c.pulse.quiet && (c.waiting == nil || c.waiting.flight == 0) // to a full socket it would come late
	if beats {
		if beat := c.speaks.heartbeat(k.reached(c, nil)); beat != nil {
			k.control(c, beat)
		}
	}
	c.pulse.quiet = !beats
}

// cutAll ends what is left, without farewell.
func (k *courier) cutAll() {
	for _, s := range []*schedule{&k.pings, &k.pongs, &k.closing} {
		for s.first != nil {
			c := s.first.of
			c.deadline.cancel()
			c.phase = phaseEnded
			k.finish(c, true)
		}
	}
	for _, c := range k.coming.end() {
		c.phase = phaseEnded
		k.finish(c, true)
	}
	k.checkIdle()
}

// checkIdle answers those who wait for the last connection's end.
func (k *courier) checkIdle() {
	if k.connections() > 0 || k.coming.any() {
		return
	}
	for _, ask := range k.idle {
		ask <- k.figures()
	}
	k.idle = nil
}
