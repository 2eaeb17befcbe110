package transport

import "belfry/hub"

// What a courier does when the time for it has come.

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
			// The ping waits after other bytes: the queue's bound and TCP's
			// own time-out decide about this connection.
			k.pings.add(&k.at.deadline, k.now)
			continue
		}
		k.close(k.at, farewellFor(hub.PongTimeout))
	}
	for k.at = k.partials.due(k.now); k.at != nil; k.at = k.partials.due(k.now) {
		k.close(k.at, farewellFor(hub.MessageTimeout))
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

// A heartbeat is when a connection is looked at next, and what was seen since.
type heartbeat struct {
	deadline
	quiet bool // nothing but pings and pongs was given to it since the last look
}

// beat gives a connection a heartbeat if it was quiet.
func (k *courier) beat(c *conn) {
	k.beats.add(&c.beat.deadline, k.now)
	beats := c.beat.quiet && (c.waiting == nil || c.waiting.flight == 0) // to a full socket it would come late
	if beats {
		if beat := c.speaks.heartbeat(k.reached(c, nil)); beat != nil {
			k.control(c, beat)
		}
	}
	c.beat.quiet = !beats
}
