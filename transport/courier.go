package transport

import (
	"context"
	"time"

	"belfry/hub"
)

// courierTick is how often a courier looks for deadlines that have passed.
const courierTick = 250 * time.Millisecond

// scratchBytes is how much of one connection's backlog is written at once
// when it is made of several frames.
const scratchBytes = 64 << 10

// eventLimit bounds the events a courier takes before it writes.
const eventLimit = 256

// A courier is the actor that owns the write side of many connections:
// everything that goes over their sockets goes through it, and it ends them.
// The hub gives it batches, readers give it events. It never waits for a
// socket: one that is full is left to a goroutine that waits for it alone.
type courier struct {
	// Static after construction.
	number int
	hub    *hub.Hub
	opts   *Options
	inbox  chan event
	done   chan struct{}                        // closed when it has ended
	write  func(c *conn, p []byte) (int, error) // as much as the socket takes at once

	// Owned by run.
	now     int64        // nanoseconds since its start, as of the last wake-up
	head    hub.Position // Head of the last batch done
	dirty   []*conn      // connections with something new to write
	spare   []*backlog   // for reuse
	scratch []byte
	pings   schedule              // open; a ping is due
	pongs   schedule              // open and pinged; the pong is due
	closing schedule              // told to close; the end is due
	idle    []chan<- CourierStats // to be answered when there is no connection
	stats   CourierStats
}

// An event is something that a reader, or a goroutine that waits for a full
// socket, tells a courier about a connection.
type event struct {
	kind eventKind
	c    *conn
	data []byte              // of a ping
	code uint16              // of a Close frame that came, or that is to be sent
	text string              // of a Close frame that is to be sent
	n    int                 // bytes written
	err  error               // of a write
	ask  chan<- CourierStats // where an answer goes; of capacity 1
}

type eventKind uint8

const (
	evPing    eventKind = iota // the peer sent a ping
	evPong                     // the peer sent a pong
	evClose                    // the peer sent a Close frame: its reader has ended
	evFault                    // the peer broke a rule: its reader only discards from now on
	evGone                     // the peer is gone: its reader has ended
	evWritten                  // a full socket took the rest of a frame, or failed
	evIdle                     // answer when no connection is left
	evStats                    // answer now
)

// A connection's phases, as its courier sees them.
type phase uint8

const (
	phaseNew     phase = iota // its hub.OpOpen has not come yet; nobody reads
	phaseOpen                 // takes frames
	phaseClosing              // takes no more frames; a Close frame is queued or written
	phaseEnded                // its socket is closed
)

func newCourier(number int, h *hub.Hub, opts *Options) *courier {
	w := newRawWriter()
	return &courier{
		number:  number,
		hub:     h,
		opts:    opts,
		inbox:   make(chan event, opts.Queue),
		done:    make(chan struct{}),
		write:   w.tryWrite,
		scratch: make([]byte, 0, scratchBytes),
		pings:   schedule{wait: opts.PingInterval},
		pongs:   schedule{wait: opts.PongTimeout},
		closing: schedule{wait: opts.CloseTimeout},
	}
}

// run works until ctx ends; then it cuts the connections that are left.
func (k *courier) run(ctx context.Context) {
	defer close(k.done)
	start := time.Now()
	tick := time.NewTicker(courierTick)
	defer tick.Stop()
	batches := k.hub.Batches(k.number)
	for {
		select {
		case b := <-batches:
			k.wake(start)
			k.apply(b)
			k.takeEvents()
			k.flush()
			k.head = b.Head
			if k.hub.Ready(k.number, b) != nil {
				k.cutAll()
				return
			}
		case e := <-k.inbox:
			k.wake(start)
			k.handle(e)
			k.takeEvents()
			k.flush()
		case <-tick.C:
			k.wake(start)
			k.sweep()
			k.flush()
		case <-ctx.Done():
			k.cutAll()
			return
		}
	}
}

// wake sets the courier's clock.
func (k *courier) wake(start time.Time) { k.now = int64(time.Since(start)) }

// takeEvents handles what else has arrived, so that it is written together.
func (k *courier) takeEvents() {
	for range eventLimit {
		select {
		case e := <-k.inbox:
			k.handle(e)
		default:
			return
		}
	}
}

// tell hands a courier an event. After its end nobody needs to know.
func (k *courier) tell(e event) {
	select {
	case k.inbox <- e:
	case <-k.done:
	}
}

// apply does what the hub says.
func (k *courier) apply(b *hub.Batch) {
	for i := range b.Ops {
		op := &b.Ops[i]
		for _, target := range b.Targets(i) {
			c := target.Owner.(*conn)
			switch op.Kind {
			case hub.OpDeliver:
				k.deliver(c, op.Frame)
			case hub.OpChunk:
				c.chunk = true
				k.deliver(c, op.Frame)
			case hub.OpOpen:
				k.open(c)
			case hub.OpLive:
				c.live = true
			case hub.OpClose:
				k.flushOne(c)
				k.close(c, op.Reason)
			}
		}
	}
}

// handle does what a reader or a writer says.
func (k *courier) handle(e event) {
	c := e.c
	switch e.kind {
	case evPing:
		k.control(c, opPong, e.data)
	case evPong:
		if c.phase == phaseOpen {
			k.pings.add(c, k.now)
		}
	case evClose:
		c.readerDone = true
		k.shut(c, hub.Disconnected, e.code, "")
		k.flushOne(c)
	case evFault:
		k.shut(c, violations[e.code], e.code, e.text)
	case evGone:
		c.readerDone = true
		k.end(c)
	case evWritten:
		k.written(c, e.n, e.err)
	case evIdle:
		k.idle = append(k.idle, e.ask)
		k.checkIdle()
	case evStats:
		e.ask <- k.figures()
	}
}

// open takes over a connection: the handshake's answer is its first frame, and
// its reader starts.
func (k *courier) open(c *conn) {
	c.phase = phaseOpen
	k.stats.Opened++
	k.pings.add(c, k.now)
	k.push(c, &hub.Frame{Bytes: c.hello})
	c.hello = nil
	go c.start()
}

// deliver queues an event's frame, unless the connection is ending.
func (k *courier) deliver(c *conn, f *hub.Frame) {
	if c.phase != phaseOpen {
		return
	}
	if c.waiting != nil && c.waiting.bytes+len(f.Bytes) > k.opts.ClientQueueBytes {
		// Much may have come at once: only what the socket does not take counts.
		k.flushOne(c)
		if c.waiting != nil && c.waiting.bytes+len(f.Bytes) > k.opts.ClientQueueBytes {
			k.close(c, hub.SlowConsumer)
			return
		}
	}
	k.push(c, f)
}

// push appends a frame to a connection's backlog.
func (k *courier) push(c *conn, f *hub.Frame) {
	if c.waiting == nil {
		c.waiting = k.newBacklog()
		k.dirty = append(k.dirty, c)
	}
	c.waiting.push(f)
}

// control queues a control frame.
func (k *courier) control(c *conn, op opcode, payload []byte) {
	if c.phase == phaseOpen && (c.waiting == nil || c.waiting.bytes < k.opts.ClientQueueBytes) {
		k.push(c, &hub.Frame{Bytes: appendFrame(nil, op, payload)})
	}
}

// flush writes what is new.
func (k *courier) flush() {
	for _, c := range k.dirty {
		k.flushOne(c)
	}
	clear(k.dirty)
	k.dirty = k.dirty[:0]
}

// flushOne gives a connection's socket what waits for it, as far as it takes
// it at once.
func (k *courier) flushOne(c *conn) {
	b := c.waiting
	if b == nil || b.blocked || c.phase == phaseEnded {
		return
	}
	for !b.empty() {
		p := b.next(k.scratch)
		n, err := k.write(c, p)
		k.stats.Writes++
		k.advance(c, n)
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

// advance counts n bytes as written.
func (k *courier) advance(c *conn, n int) {
	events, last, behind := c.waiting.advance(n)
	if events > 0 {
		c.upTo, c.trailer = last, 0
	}
	c.trailer += uint32(behind)
	k.stats.Frames += uint64(events)
	k.stats.Bytes += uint64(n)
}

// block leaves a full socket to a goroutine that waits for it.
func (k *courier) block(c *conn) {
	c.waiting.blocked, c.stalled = true, true
	k.stats.Blocked++
	rest := c.waiting.rest()
	go func() {
		n, err := c.sock.Write(rest)
		k.tell(event{kind: evWritten, c: c, n: n, err: err})
	}()
}

// written goes on after block.
func (k *courier) written(c *conn, n int, err error) {
	k.stats.Blocked--
	if c.phase == phaseEnded {
		return
	}
	c.waiting.blocked = false
	k.advance(c, n)
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
	if c.phase == phaseClosing && c.readerDone {
		k.end(c)
		return
	}
	if c.chunk {
		c.chunk = false
		// If the hub has ended, so will this courier.
		_ = k.hub.Drained(&c.Conn)
	}
}

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
	if c.phase != phaseOpen {
		return
	}
	k.release(c, why)
	c.phase, c.reason = phaseClosing, why
	k.closing.add(c, k.now)
	if c.waiting != nil && why != hub.Draining {
		c.waiting.drop()
	}
	k.push(c, &hub.Frame{Bytes: appendClose(nil, code, text)})
}

// release reports to the hub how far a connection came, once.
func (k *courier) release(c *conn, why hub.Reason) {
	upTo := c.upTo
	if c.live {
		upTo = max(upTo, k.head)
	}
	if c.waiting != nil {
		for _, f := range c.waiting.waiting() {
			if f.Position > 0 {
				upTo = f.Position - 1
				break
			}
		}
	}
	// What was written behind the last event is not an event. If the hub has
	// ended, so will this courier.
	_ = k.hub.Released(hub.Release{
		Conn:        &c.Conn,
		UpTo:        upTo,
		Unconfirmed: max(0, unacknowledged(c.raw)-int(c.trailer)),
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
	c.waiting = nil
	go c.finish(!c.readerDone)
	k.checkIdle()
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
			go c.finish(true)
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

// newBacklog returns an empty backlog, a spare one if there is.
func (k *courier) newBacklog() *backlog {
	if n := len(k.spare); n > 0 {
		b := k.spare[n-1]
		k.spare = k.spare[:n-1]
		return b
	}
	return &backlog{}
}

// CourierStats are one courier's figures. Counters count since its start.
type CourierStats struct {
	Connections int    // open or closing
	Blocked     int    // connections whose socket is full
	Opened      uint64 // counter: connections
	Closed      uint64 // counter: connections
	Writes      uint64 // counter: system calls
	Frames      uint64 // counter: events written whole
	Bytes       uint64 // counter: bytes written
}

func (k *courier) figures() CourierStats {
	st := k.stats
	st.Connections = k.connections()
	return st
}

// connections counts those that are not ended: each has a deadline.
func (k *courier) connections() int { return k.pings.n + k.pongs.n + k.closing.n }

// ask puts a question and waits for the answer, until ctx ends.
func (k *courier) ask(ctx context.Context, question eventKind) CourierStats {
	answer := make(chan CourierStats, 1)
	select {
	case k.inbox <- event{kind: question, ask: answer}:
	case <-k.done:
		return CourierStats{}
	case <-ctx.Done():
		return CourierStats{}
	}
	select {
	case st := <-answer:
		return st
	case <-k.done:
		return CourierStats{}
	case <-ctx.Done():
		return CourierStats{}
	}
}
