package transport

import (
	"errors"
	"time"

	"belfry/hub"
)

// How a courier writes.

// scratchBytes is how much of one connection's backlog is written at once
// when it is made of several frames.
const scratchBytes = 64 << 10

// deliver queues an event's frame, unless the connection is ending.
func (k *courier) deliver(c *conn, f *hub.Frame) {
	if c.phase != phaseOpen {
		return
	}
	if !k.holds(c, f) {
		// Much may have come at once: only what the socket does not take counts.
		k.flushOne(c)
		switch {
		case c.phase != phaseOpen:
			return // the socket has failed
		case !k.holds(c, f):
			k.close(c, hub.SlowConsumer)
			return
		}
	}
	k.push(c, f)
	if c.pulse != nil {
		c.pulse.quiet = false
	}
	k.lag(c) // of a full socket nothing else tells
}

// holds reports whether a connection's backlog has room for a frame.
func (k *courier) holds(c *conn, f *hub.Frame) bool {
	return c.waiting == nil || c.waiting.size()+frameOverhead+len(f.Bytes) <= k.most(c)
}

// bound returns how many bytes may wait for a connection, when memory is as short as it is.
func (k *courier) bound() int { return k.queueBytes >> k.pressure }

// most returns how many bytes may wait for a connection. One that is not closed
// for being slow gets what was on its way when the hub heard that it is.
func (k *courier) most(c *conn) int {
	if c.Slow == hub.SlowClose {
		return k.bound()
	}
	return k.bound() + k.opts.BurstBytes
}

// What waits for a connection that is not closed for being slow, in bytes, when
// the hub hears that it is.
const (
	lagBytes       = 64 << 10
	lagLatestBytes = 4 << 10 // so that what waits is not old
)

// lag tells the hub of a connection that takes its events more slowly than they
// come. It is told of it once, until the connection is live again.
func (k *courier) lag(c *conn) {
	if c.Slow == hub.SlowClose || !c.live || c.lagging || c.waiting == nil || c.waiting.flight == 0 {
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

// weigh counts anew what waits for a connection.
func (k *courier) weigh(c *conn) {
	size := c.waiting.size()
	k.stats.Waiting += size - c.waiting.counted
	c.waiting.counted = size
}

// control queues a frame that does not matter if too much waits already.
func (k *courier) control(c *conn, frame []byte) {
	if c.phase == phaseOpen && c.waiting.size() < k.bound() {
		k.push(c, &hub.Frame{Bytes: frame})
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

// flushOne gives a connection's socket what waits for it, as far as it takes
// it at once.
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
		b.bury(time.Now())
		k.advance(c, 0, 0)
	}
	for !b.empty() {
		if c.fd < 0 {
			if !k.writeOtherwise(c) {
				return
			}
			continue
		}
		p := b.next(k.scratch)
		n, err := k.write(c, p)
		k.stats.Writes++
		k.advance(c, n, n)
		if err != nil {
			k.end(c)
			return
		}
		if n < len(p) {
			k.block(c)
			return
		}
	}
	k.emptied(c)
}

// writeOtherwise writes to a connection that has no socket to write to as it
// is. It reports whether there may be more to write at once.
func (k *courier) writeOtherwise(c *conn) bool {
	if c.fd == sealedSocket {
		return k.seal(c)
	}
	return k.lend(c)
}

// advance counts n bytes as written. Over TLS they went in records of so many
// bytes on the wire, and an event is confirmed when all of its record is.
func (k *courier) advance(c *conn, n, wire int) {
	events, last, behind, noted := c.waiting.advance(n)
	k.weigh(c)
	if last > 0 {
		c.upTo = last
	}
	told := last > 0 || noted
	if told {
		c.trailer = 0
	}
	switch {
	case c.fd != sealedSocket:
		c.trailer += uint32(behind)
	case !told:
		c.trailer += uint32(wire)
	}
	k.stats.Frames += uint64(events)
	k.stats.Bytes += uint64(n)
}

// block leaves a full socket to a goroutine that waits for it.
func (k *courier) block(c *conn) {
	c.stalled = true
	k.stats.Blocked++
	rest := c.waiting.rest()
	c.waiting.flight = len(rest)
	k.lag(c)
	k.elsewhere(c, func() {
		e := event{kind: evWritten, c: c, err: errNotWritten}
		defer func() { k.tell(e) }()
		e.n, e.err = c.sock.Write(rest)
	})
}

// errNotWritten is what is told of a write that did not return.
var errNotWritten = errors.New("the write has panicked")

// lend gives what waits for a connection without a socket to its stream, which
// tells when it has written that. It reports whether there may be more to write
// at once: frames without bytes, such as of events that have expired, are not lent.
func (k *courier) lend(c *conn) bool {
	buf := make([]byte, 0, min(scratchBytes, c.waiting.bytes))
	p := c.waiting.next(buf)
	if len(p) == 0 {
		k.advance(c, 0, 0)
		return true
	}
	c.waiting.flight, c.waiting.copied = len(p), cap(buf)
	k.weigh(c)
	k.lag(c)
	k.stats.Writes++
	c.sock.(byteStream).take(p)
	return false
}

// written goes on after block or lend.
func (k *courier) written(c *conn, n, wire int, err error) {
	if c.fd != noSocket {
		k.stats.Blocked--
	}
	if c.phase == phaseEnded {
		return
	}
	c.waiting.flight, c.waiting.copied = 0, 0
	k.advance(c, n, wire)
	if err != nil {
		k.end(c)
		return
	}
	k.flushOne(c)
}

// emptied does what had to wait until everything was written.
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
	case c.discards && c.fd == sealedSocket:
		k.elsewhere(c, c.hangUpTLS)
	case c.discards:
		hangUp(c.sock)
	}
	if c.chunk {
		c.chunk = false
		// If the hub has ended, so will this courier.
		_ = k.hub.ChunkWritten(&c.Conn)
	}
}

// newBacklog returns an empty backlog, a spare one if there is.
func (k *courier) newBacklog() *backlog {
	if n := len(k.spare); n > 0 {
		b := k.spare[n-1]
		k.spare = k.spare[:n-1]
		return b
	}
	return &backlog{}
}
