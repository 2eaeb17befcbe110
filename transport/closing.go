package transport

import "belfry/hub"

// How a courier ends connections. There are three ways: close tells the peer why, and
// waits for it; end closes the socket; abort does that without waiting for anything.

// A farewell is what a peer is told at the end of its connection.
type farewell struct {
	why  hub.Reason
	code uint16 // of WebSocket
	text string
	upTo hub.Cursor // the connection's resume point; zero if it never had one
}

// farewellFor is the farewell for one of the broker's own reasons.
func farewellFor(why hub.Reason) farewell {
	return farewell{why: why, code: closeCodes[why], text: why.String()}
}

// comesBack reports whether a client should come back by itself.
func (f farewell) comesBack() bool {
	return f.code >= 4100 || f.code == closeRestart || f.code == closeTryLater
}

// close begins the end of a connection. The hub hears how far it came. The peer gets
// one farewell (in WebSocket a Close frame, RFC 6455 section 5.5.1), after frames that
// it has the beginning of; the rest of the backlog is dropped. While the broker drains no
// client can resume, so all of the backlog goes out first.
func (k *courier) close(c *conn, f farewell) {
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
	k.release(c, f.why)
	c.phase, c.reason = phaseClosing, f.why
	k.closing.add(&c.deadline, k.now)
	c.whole()
	if c.beat != nil {
		c.beat.cancel()
	}
	var lost []*hub.Frame
	if c.waiting != nil && f.why != hub.Draining {
		lost = c.waiting.untouched()
	}
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
	r := hub.ConnReport{Conn: &c.Conn, Last: c.resume.written, Reason: why}
	waiting := c.waiting.waiting()
	r.UpTo, _ = c.resume.reach(waiting, waiting, k.head)
	if r.Last > 0 || c.Notes { // else no event and no gap may have to be repeated
		part := 0
		if c.waiting != nil && !c.sink.records() { // which count as a whole
			part = c.waiting.written
		}
		r.Unconfirmed = c.resume.unconfirmed(k.pending(c), part)
	}
	// If the hub has ended, so will this courier.
	_ = k.hub.ConnEnded(r)
}

// end closes a connection's socket, in order if its peer has ended its side.
func (k *courier) end(c *conn) {
	switch c.phase {
	case phaseEnded:
		return
	case phaseOpen:
		k.release(c, hub.Disconnected)
		c.reason = hub.Disconnected
	}
	if !c.readerDone || c.torn() {
		k.abort(c)
		return
	}
	k.forget(c)
	k.elsewhere(c, c.close)
	k.checkIdle()
}

// abort closes a connection's socket at once. The hub has heard of the end.
func (k *courier) abort(c *conn) {
	k.forget(c)
	k.elsewhere(c, c.abort)
	k.checkIdle()
}

// forget drops what a courier has of a connection.
func (k *courier) forget(c *conn) {
	c.phase = phaseEnded
	c.deadline.cancel()
	c.whole()
	if c.beat != nil {
		c.beat.cancel()
	}
	k.stats.Closed++
	if c.waiting != nil {
		k.stats.Waiting -= c.waiting.counted
		c.waiting = nil
	}
}

// abortAll aborts what is left when the courier ends.
func (k *courier) abortAll() {
	for _, s := range []*schedule{&k.pings, &k.pongs, &k.closing} {
		for s.first != nil {
			c := s.first.of
			c.deadline.cancel()
			c.phase = phaseEnded
			k.elsewhere(c, c.abort)
		}
	}
	for _, c := range k.coming.end() {
		c.phase = phaseEnded
		k.elsewhere(c, c.abort)
	}
	k.checkIdle()
}

// checkIdle answers those that wait for the last connection's end.
func (k *courier) checkIdle() {
	if k.connections() > 0 || k.coming.any() {
		return
	}
	for _, ask := range k.idle {
		ask <- k.figures()
	}
	k.idle = nil
}

// close closes a connection's socket in order. It takes a while.
func (c *conn) close() {
	defer c.server.ended(c)
	c.sink.close(c)
}

// abort closes a connection's socket without waiting for what is unsent.
func (c *conn) abort() {
	defer c.server.ended(c)
	c.sink.abort(c)
}

// torn reports whether there may be a part of a record in the kernel: then
// nothing can follow, not even an end.
func (c *conn) torn() bool { return c.sink.records() && c.waiting != nil && c.waiting.flight > 0 }
