package transport

import (
	"crypto/tls"
	"io"
	"slices"

	"belfry/hub"
)

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
	if c.pulse != nil && c.pulse.welcomed {
		_, f.upTo = k.reached(c, lost)
	}
	if lost != nil {
		c.waiting.drop()
		k.weigh(c)
	}
	if c.opening != nil {
		k.push(c, &hub.Frame{Bytes: c.opening.refuse(c, f)})
		c.opening = nil
		return
	}
	k.push(c, &hub.Frame{Bytes: c.speaks.farewell(c, f)})
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

// queued returns the position up to which everything for a connection is
// written or waits in its backlog.
func (k *courier) queued(c *conn) hub.Position {
	upTo := c.upTo
	if c.pulse != nil {
		upTo = max(upTo, c.pulse.base)
	}
	if c.live {
		upTo = max(upTo, k.head)
	}
	if c.waiting != nil {
		for _, f := range slices.Backward(c.waiting.waiting()) {
			if f.Position > 0 && f.Position < originMark {
				return max(upTo, f.Position) // the last of them
			}
		}
	}
	return upTo
}

// reached returns the position that a connection comes to if some of the last
// frames in its backlog are lost, and the resume point that its peer should
// know then: another one if it began with a cursor of another log and will not
// hear that this is a gap.
func (k *courier) reached(c *conn, lost []*hub.Frame) (upTo hub.Position, at hub.Cursor) {
	for _, f := range lost {
		switch p := f.Position &^ (noteMark | originMark); {
		case f.Position&originMark != 0:
			return p, c.pulse.origin
		case f.Position&noteMark != 0:
			return p, k.hub.Cursor(p)
		case p > 0:
			return p - 1, k.hub.Cursor(p - 1)
		}
	}
	upTo = k.queued(c)
	return upTo, k.hub.Cursor(upTo)
}

// release reports to the hub how far a connection came, once.
func (k *courier) release(c *conn, why hub.Reason) {
	var lost []*hub.Frame
	behind := int(c.trailer)
	if c.waiting != nil {
		if c.fd != sealedSocket { // whose trailer has all that is behind
			behind += c.waiting.written
		}
		lost = c.waiting.waiting()
	}
	upTo, _ := k.reached(c, lost)
	unconfirmed := 0
	if c.upTo > 0 || c.pulse != nil { // else there is no event and no gap that may have to be repeated
		// What was written behind the last whole one is not one, either.
		unconfirmed = max(0, k.pending(c)-behind)
	}
	// If the hub has ended, so will this courier.
	_ = k.hub.ConnEnded(hub.ConnReport{Conn: &c.Conn, UpTo: upTo, Last: c.upTo, Unconfirmed: unconfirmed, Reason: why})
}

// pending returns how many bytes written to a connection its peer's TCP has not
// acknowledged, or may not have.
func pending(c *conn) int {
	if st, ok := c.sock.(*httpStream); ok {
		return st.unacked()
	}
	n, _ := unacknowledged(c.raw) // it is open: only its courier ends it
	return n
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

// hangUp ends the sending side of a socket (RFC 6455 section 7.1.1): a peer whose
// Close frame will not be heard sees the end all the same, and what it has sent
// does not turn the end into a reset, which might overtake our Close frame.
func hangUp(sock io.Closer) {
	if half, ok := sock.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // fails only for a socket that is gone
	}
}

// cut ends a connection without waiting for what it has not sent. Its TLS is not
// ended: that would say that there is no more.
func cut(sock io.Closer) {
	if secure, ok := sock.(*tls.Conn); ok {
		sock = secure.NetConn()
	}
	if tcp, ok := sock.(interface{ SetLinger(seconds int) error }); ok {
		_ = tcp.SetLinger(0) // fails only for a socket that is gone
	}
	sock.Close()
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
		if beat := c.speaks.heartbeat(k.hub.Cursor(k.queued(c))); beat != nil {
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
