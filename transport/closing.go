package transport

import (
	"net"

	"belfry/hub"
)

// How a courier ends connections.

// close ends a connection for one of the broker's own reasons.
func (k *courier) close(c *conn, why hub.Reason) {
	k.shut(c, why, closeCodes[why], why.String())
}

// shut begins the end of a connection: the hub hears how far it came, the peer
// gets one Close frame (RFC 6455 section 5.5.1) behind a frame that it has the
// beginning of, and the rest of its backlog is dropped. While the broker
// drains nobody will resume, and all of the backlog goes out before.
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
	k.closing.add(c, k.now)
	if c.waiting != nil && why != hub.Draining {
		before := c.waiting.bytes
		c.waiting.drop()
		k.stats.Waiting -= before - c.waiting.bytes
	}
	k.push(c, &hub.Frame{Bytes: appendClose(nil, code, text)})
}

// release reports to the hub how far a connection came, once.
func (k *courier) release(c *conn, why hub.Reason) {
	upTo, behind := c.upTo, int(c.trailer)
	if c.live {
		upTo = max(upTo, k.head)
	}
	if c.waiting != nil {
		behind += c.waiting.written
		for _, f := range c.waiting.waiting() {
			if f.Position > 0 {
				upTo = f.Position - 1
				break
			}
		}
	}
	// What was written behind the last whole event is not one that may have to
	// be repeated. If the hub has ended, so will this courier.
	_ = k.hub.Released(hub.Release{
		Conn:        &c.Conn,
		UpTo:        upTo,
		Last:        c.upTo,
		Unconfirmed: max(0, unacknowledged(c.raw)-behind),
		Reason:      why,
	})
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
	c.phase = phaseEnded
	c.cancel()
	k.stats.Closed++
	if c.waiting != nil {
		k.stats.Waiting -= c.waiting.bytes
		c.waiting = nil
	}
	k.finish(c, !c.readerDone)
	k.checkIdle()
}

// hangUp ends the sending side of a socket (RFC 6455 section 7.1.1): a peer whose
// Close frame will not be heard sees the end all the same, and what it has sent
// does not turn the end into a reset, which might overtake our Close frame.
func hangUp(sock net.Conn) {
	if half, ok := sock.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // fails only for a socket that is gone
	}
}

// finish closes a socket in a goroutine of its own: it takes a while.
func (k *courier) finish(c *conn, abort bool) {
	c.server.work.Go(func() { c.finish(abort) })
}

// sweep does what is due.
func (k *courier) sweep() {
	for c := k.pings.due(k.now); c != nil; c = k.pings.due(k.now) {
		c.stalled = c.waiting != nil && c.waiting.blocked
		k.pongs.add(c, k.now)
		if !c.stalled {
			k.control(c, opPing, nil)
		}
	}
	for c := k.pongs.due(k.now); c != nil; c = k.pongs.due(k.now) {
		if c.stalled {
			// The ping waits behind other bytes: the queue's bound and TCP's
			// own time-out decide about this connection.
			k.pings.add(c, k.now)
			continue
		}
		k.close(c, hub.PongTimeout)
	}
	for c := k.closing.due(k.now); c != nil; c = k.closing.due(k.now) {
		k.end(c)
	}
}

// cutAll ends what is left, without farewell.
func (k *courier) cutAll() {
	for _, s := range []*schedule{&k.pings, &k.pongs, &k.closing} {
		for s.first != nil {
			c := s.first
			c.cancel()
			c.phase = phaseEnded
			k.finish(c, true)
		}
	}
	k.checkIdle()
}

// checkIdle answers those who wait for the last connection's end.
func (k *courier) checkIdle() {
	if k.connections() > 0 {
		return
	}
	for _, ask := range k.idle {
		ask <- k.figures()
	}
	k.idle = nil
}
