package transport

import "belfry/hub"

// What a courier does at its deadlines.

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
			// The ping waits after other bytes. The queue's bound and TCP's
			// time-out decide about this connection.
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
		// TCP's time-out finds out whether the peer is there.
		k.pings.add(&c.deadline, k.now)
		return
	}
	c.stalled = c.waiting != nil && c.waiting.flight > 0
	k.pongs.add(&c.deadline, k.now)
	if !c.stalled {
		k.control(c, ping)
	}
}

// await starts the deadline of a message that the peer has begun.
func (k *courier) await(c *conn) {
	if c.phase != phaseOpen {
		return
	}
	if c.partial == nil {
		c.partial = &deadline{of: c}
	}
	k.partials.add(c.partial, k.now)
}

// whole cancels the deadline of an unfinished message.
func (c *conn) whole() {
	if c.partial != nil {
		c.partial.cancel()
		c.partial = nil
	}
}

// A heartbeat is the next look at whether a connection is quiet.
type heartbeat struct {
	deadline
	quiet bool // it was given only pings and pongs since the last look
}

// beat gives a connection a heartbeat if it was quiet.
func (k *courier) beat(c *conn) {
	k.beats.add(&c.beat.deadline, k.now)
	beats := c.beat.quiet && (c.waiting == nil || c.waiting.flight == 0) // over a full socket it would arrive late
	if beats {
		if beat := c.speaks.heartbeat(k.reached(c, nil)); beat != nil {
			k.control(c, beat)
		}
	}
	c.beat.quiet = !beats
}
