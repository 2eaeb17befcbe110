package transport

import (
	"time"

	"belfry/hub"
)

// How a courier writes.

// scratchBytes bounds how many bytes of a backlog are written at once if they are of
// several frames.
const scratchBytes = 64 << 10

// deliver queues an event's frame, unless the connection is ending.
func (k *courier) deliver(c *conn, f *hub.Frame) {
	if c.phase != phaseOpen {
		return
	}
	if !k.holds(c, f) {
		// Much may have come at once. Only what the socket does not take counts.
		k.flushOne(c)
		switch {
		case c.phase != phaseOpen:
			return // the socket has failed
		case !k.holds(c, f):
			k.close(c, farewellFor(hub.SlowConsumer))
			return
		}
	}
	k.push(c, f)
	if c.beat != nil {
		c.beat.quiet = false
	}
	k.lag(c) // nothing else says so of a socket that is full
}

// holds reports whether a connection's backlog has room for a frame.
func (k *courier) holds(c *conn, f *hub.Frame) bool {
	return c.waiting == nil || c.waiting.size()+frameOverhead+len(f.Bytes) <= k.most(c)
}

// bound returns how many bytes may wait for a connection, when memory is as short as it is.
func (k *courier) bound() int { return k.queueBytes >> k.pressure }

// most returns how many bytes may wait for a connection. If it is not closed for being
// slow, it still gets what was on its way when the hub heard that it is slow.
func (k *courier) most(c *conn) int {
	if c.Slow == hub.SlowClose {
		return k.bound()
	}
	return k.bound() + k.opts.BurstBytes
}

// How many bytes wait for a connection when the hub hears that it is slow, unless it is
// closed for that.
const (
	lagBytes       = 64 << 10
	lagLatestBytes = 4 << 10 // with little in the queue, nothing in it is old
)

// lag reports a slow connection to the hub, once until it is live again.
func (k *courier) lag(c *conn) {
	if c.Slow == hub.SlowClose || !c.resume.live || c.lagging || c.waiting == nil || c.waiting.flight == 0 {
		return
	}
	enough := min(lagBytes, k.bound()/2)
	if c.Slow == hub.SlowLatest {
		enough = lagLatestBytes
	}
	if c.waiting.bytes > enough {
		c.lagging = true
		// If the hub has ended, so will this courier.
		_ = k.hub.Lag(&c.Conn)
	}
}

// push appends a frame to a connection's backlog.
func (k *courier) push(c *conn, f *hub.Frame) {
	if c.waiting == nil {
		c.waiting = k.newBacklog()
		k.dirty = append(k.dirty, c)
	}
	c.waiting.push(f)
	k.weigh(c)
}

// pushPlain appends a frame that means nothing for how far its connection is.
func (k *courier) pushPlain(c *conn, frame []byte) {
	k.push(c, &hub.Frame{Bytes: frame})
}

// weigh updates the figure of what waits for a connection.
func (k *courier) weigh(c *conn) {
	size := c.waiting.size()
	k.stats.Waiting += size - c.waiting.counted
	c.waiting.counted = size
}

// control queues a control frame. If too much waits already, it is left out.
func (k *courier) control(c *conn, frame []byte) {
	if c.phase == phaseOpen && c.waiting.size() < k.bound() {
		k.pushPlain(c, frame)
	}
}

// flush writes what is new.
func (k *courier) flush() {
	next := 0
	work := func() {
		for next < len(k.dirty) {
			k.at = k.dirty[next]
			next++
			k.flushOne(k.at)
		}
	}
	for !k.guarded(work) {
	}
	clear(k.dirty)
	k.dirty = k.dirty[:0]
}

// flushOne writes what waits for a connection, as far as its sink takes it at once.
func (k *courier) flushOne(c *conn) {
	b := c.waiting
	switch {
	case b == nil || c.phase == phaseEnded:
		return
	case b.flight > 0:
		k.lag(c)
		return
	}
	if b.mortal {
		b.expire(time.Now())
		k.advance(c, 0, 0)
	}
	for !b.empty() {
		if !c.sink.write(k, c) {
			return
		}
	}
	k.emptied(c)
}

// advance counts n bytes as written. Over TLS they went in a record of so many bytes on
// the wire; wire is 0 otherwise.
func (k *courier) advance(c *conn, n, wire int) {
	d := c.waiting.advance(n)
	k.weigh(c)
	k.stats.Delivered += uint64(d.events)
	k.stats.Bytes += uint64(n)
	if wire > 0 {
		d.inRecord(wire)
	}
	c.resume.wrote(d)
}

// emptied does what waits for an empty backlog.
func (k *courier) emptied(c *conn) {
	const spares, capacity = 4096, 256
	if b := c.waiting; len(k.spare) < spares && cap(b.frames) <= capacity {
		b.reset()
		k.spare = append(k.spare, b)
	}
	c.waiting = nil
	switch {
	case c.phase != phaseClosing:
	case c.readerDone:
		k.end(c)
		return
	case c.discards:
		c.sink.closeWrite(k, c)
	}
	if c.chunk {
		c.chunk = false
		// If the hub has ended, so will this courier.
		_ = k.hub.ChunkWritten(&c.Conn)
	}
}

// newBacklog returns an empty backlog, a spare one if possible.
func (k *courier) newBacklog() *backlog {
	if n := len(k.spare); n > 0 {
		b := k.spare[n-1]
		k.spare = k.spare[:n-1]
		return b
	}
	return &backlog{}
}
