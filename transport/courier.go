package transport

import (
	"context"
	"time"

	"belfry/hub"
)

// courierTick is how often a courier looks for deadlines that have passed.
const courierTick = 250 * time.Millisecond

// courierStep is the most time that passes between two looks.
const courierStep = 4 * courierTick

// eventLimit bounds the events a courier takes before it writes.
const eventLimit = 256

// A courier is the actor that owns the write side of many connections:
// everything that goes over their sockets goes through it, and it ends them.
// The hub gives it batches, readers give it events. It never waits for a
// socket: one that is full is left to a goroutine that waits for it alone.
type courier struct {
	// Static after construction.
	number int
	hub    broker
	opts   *Options
	inbox  chan event
	done   chan struct{} // closed when it has ended
	coming arrivals

	// How it works sockets; static, too.
	write     func(c *conn, p []byte) (int, error) // as much as the socket takes at once
	pending   func(c *conn) int                    // bytes written that the peer's TCP has not acknowledged
	listen    func(c *conn, early []byte)          // has what comes be read
	elsewhere func(c *conn, work func())           // does what takes a while

	// Owned by run.
	queueBytes int           // may wait for one connection
	pressure   int           // how short memory is; see SetPressure
	now        int64         // nanoseconds that it has been at work, as of the last wake-up
	woken      time.Duration // when that was, since its start
	at         *conn         // the one that it works for
	head       hub.Position  // Head of the last batch done
	dirty      []*conn       // connections with something new to write
	spare      []*backlog    // for reuse
	scratch    []byte
	records    []byte                // of TLS; for reuse
	pings      schedule              // open; a ping is due
	pongs      schedule              // open and pinged; the pong is due
	partials   schedule              // open, with a message that is not whole; its end is due
	closing    schedule              // told to close; the end is due
	beats      schedule              // open, with a heartbeat; a look at it is due
	idle       []chan<- CourierStats // to be answered when there is no connection
	stats      CourierStats
}

// A broker is what a courier needs of the hub.
type broker interface {
	Cursor(p hub.Position) hub.Cursor
	Batches(courier int) <-chan *hub.Batch
	BatchDone(courier int, spent *hub.Batch) error
	ConnEnded(r hub.ConnReport) error
	ChunkWritten(c *hub.Conn) error
	Lag(c *hub.Conn) error
}

// An event is something that a reader, or a goroutine that waits for a full
// socket, tells a courier about a connection.
type event struct {
	kind   eventKind
	c      *conn
	data   []byte              // of a ping
	code   uint16              // of a Close frame that came, or that is to be sent
	reason hub.Reason          // of a refusal
	text   string              // of a Close frame that is to be sent
	n      int                 // bytes written, or that may wait
	wire   int                 // bytes of TLS records that they went in
	err    error               // of a write
	work   func()              // to do
	ask    chan<- CourierStats // where an answer goes; of capacity 1
}

type eventKind uint8

const (
	evPing    eventKind = iota // the peer sent a ping
	evPong                     // the peer sent a pong
	evPartial                  // the peer has begun a message, and not ended it yet
	evWhole                    // no message of the peer is under way any more
	evClose                    // the peer sent a Close frame: its reader has ended
	evFault                    // the peer broke a rule: its reader only discards from now on
	evRefused                  // a new connection that the hub is not asked about
	evGone                     // the peer is gone: its reader has ended
	evFailed                   // a goroutine of the connection has panicked
	evWritten                  // a full socket took the rest of a frame, or failed
	evIdle                     // answer when no connection is left
	evStats                    // answer now
	evDo                       // do something
)

func newCourier(number int, h broker, opts *Options) *courier {
	return &courier{
		number:  number,
		hub:     h,
		opts:    opts,
		inbox:   make(chan event, opts.Queue),
		done:    make(chan struct{}),
		write:   tryWrite,
		pending: pending,
		listen:  func(c *conn, early []byte) { go c.start(early) },
		elsewhere: func(c *conn, work func()) {
			c.server.work.Go(func() {
				defer c.recovered(false)
				work()
			})
		},
		queueBytes: opts.ClientQueueBytes,
		scratch:    make([]byte, 0, scratchBytes),
		pings:      schedule{wait: opts.PingInterval},
		pongs:      schedule{wait: opts.PongTimeout},
		closing:    schedule{wait: opts.CloseTimeout},
		partials:   schedule{wait: opts.MessageTimeout},
		// A connection that was quiet since the last look is given a
		// heartbeat: so none is quiet for longer than that takes twice.
		beats: schedule{wait: opts.Heartbeat / 2},
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
			k.wake(time.Since(start))
			k.apply(b)
			k.takeEvents()
			k.flush()
			k.head = b.Head
			if k.hub.BatchDone(k.number, b) != nil {
				k.cutAll()
				return
			}
		case e := <-k.inbox:
			k.wake(time.Since(start))
			k.hear(e)
			k.takeEvents()
			k.flush()
		case <-tick.C:
			k.wake(time.Since(start))
			k.sweep()
			k.flush()
		case <-ctx.Done():
			k.cutAll()
			return
		}
	}
}

// wake moves the courier's clock, at a time since its start. What passed while the
// process was stopped does not count: what peers sent meanwhile is still to be read.
func (k *courier) wake(at time.Duration) {
	k.now += int64(min(at-k.woken, courierStep))
	k.woken = at
}

// takeEvents handles what else has arrived, so that it is written together.
func (k *courier) takeEvents() {
	for range eventLimit {
		select {
		case e := <-k.inbox:
			k.hear(e)
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
	i, next := 0, 0 // the op, and which of its targets
	work := func() {
		for ; i < len(b.Ops); i, next = i+1, 0 {
			for targets := b.Targets(i); next < len(targets); {
				k.at = targets[next].Owner.(*conn)
				next++
				k.obey(k.at, &b.Ops[i])
			}
		}
	}
	for !k.guarded(work) {
	}
}

// obey does one thing that the hub says, to one connection.
func (k *courier) obey(c *conn, op *hub.Op) {
	switch op.Kind {
	case hub.OpDeliver:
		k.deliver(c, op.Frame)
	case hub.OpChunk:
		k.deliver(c, op.Frame) // which may empty the queue before it
		c.chunk = true
	case hub.OpOpen:
		k.open(c)
	case hub.OpNewest:
		op.Frame.Position = noteMark | op.At
		k.deliver(c, op.Frame)
	case hub.OpAckWhenWritten:
		k.report(c)
	case hub.OpLive:
		c.live, c.lagging = true, false
	case hub.OpCatchUp:
		c.live = false
		if c.pulse != nil {
			c.pulse.base = op.At
		}
	case hub.OpNote:
		k.note(c, op.Note, op.At)
	case hub.OpClose:
		k.close(c, op.Reason)
	}
}

// hear does what a reader or a writer says.
func (k *courier) hear(e event) {
	k.guarded(func() {
		k.at = e.c
		k.handle(e)
	})
}

func (k *courier) handle(e event) {
	c := e.c
	switch e.kind {
	case evPing:
		k.control(c, appendFrame(nil, opPong, e.data))
	case evPong:
		if c.phase == phaseOpen {
			k.pings.add(&c.deadline, k.now)
		}
	case evPartial:
		k.await(c)
	case evWhole:
		c.whole()
	case evClose:
		c.readerDone = true
		k.shut(c, hub.Disconnected, e.code, "")
		k.flushOne(c)
	case evFault:
		c.discards = true
		k.shut(c, violations[e.code], e.code, e.text)
	case evRefused:
		k.open(c)
		k.shut(c, e.reason, e.code, e.text)
	case evGone:
		// Before its hub.OpOpen has come the connection can't be ended: the hub
		// would hear of the end before it has begun.
		if c.readerDone = true; c.phase != phaseNew {
			k.end(c)
		}
	case evFailed:
		k.fail(c)
	case evWritten:
		k.written(c, e.n, e.wire, e.err)
	case evIdle:
		k.idle = append(k.idle, e.ask)
		k.checkIdle()
	case evDo:
		e.work()
	case evStats:
		e.ask <- k.figures()
	}
}

// open takes over a connection, and its reader starts. The answer to a
// WebSocket handshake is its first frame; that to another request waits for
// what the hub says.
func (k *courier) open(c *conn) {
	k.coming.remove(c)
	c.phase = phaseOpen
	k.stats.Opened++
	c.deadline.of = c
	k.pings.add(&c.deadline, k.now)
	if c.pulse != nil {
		c.pulse.of = c
	}
	if c.readerDone { // its peer was gone before
		k.end(c)
		return
	}
	early := c.opening.early
	if c.opening.refuse == nil {
		k.answer(c)
	}
	if c.fd != noSocket {
		k.listen(c, early)
	}
}

// answer answers the request that a connection began with.
func (k *courier) answer(c *conn) {
	k.push(c, &hub.Frame{Bytes: c.opening.answer})
	c.opening = nil
}

// report has the hub hear when nothing waits for a connection any more.
func (k *courier) report(c *conn) {
	if c.phase == phaseOpen && c.waiting == nil {
		// If the hub has ended, so will this courier.
		_ = k.hub.ChunkWritten(&c.Conn)
		return
	}
	c.chunk = true
}

// note tells a connection something. Up to a position it has everything.
func (k *courier) note(c *conn, n hub.Note, at hub.Position) {
	if c.phase != phaseOpen {
		return
	}
	f := &hub.Frame{Bytes: c.speaks.note(c, n)}
	c.pulse.base = at // also if there is nothing to tell the peer
	switch n := n.(type) {
	case hub.Welcome:
		c.pulse.welcomed, c.pulse.origin = true, n.Cursor
		k.beats.add(&c.pulse.deadline, k.now)
		if c.opening != nil {
			k.answer(c)
		}
	case hub.Gap:
		f.Position = noteMark | at
		if n.Reason == hub.GapRestarted && !c.pulse.asked {
			f.Position |= originMark
		}
	case hub.Ack:
		f.Position = noteMark | at
		c.pulse.asked = true
	}
	if f.Bytes != nil {
		k.deliver(c, f)
	}
}

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

// CourierStats are one courier's figures. Counters count since its start.
type CourierStats struct {
	Connections int    // open or closing
	Blocked     int    // connections whose socket is full
	Events      int    // waiting for the courier
	Waiting     int    // bytes in the backlogs of all connections
	Opened      uint64 // counter: connections
	Closed      uint64 // counter: connections
	Writes      uint64 // counter: system calls
	Frames      uint64 // counter: events written whole, but for those of replays
	Bytes       uint64 // counter: bytes written
}

func (k *courier) figures() CourierStats {
	st := k.stats
	st.Connections, st.Events = k.connections(), len(k.inbox)
	return st
}

// connections counts those that are not ended: each has a deadline.
func (k *courier) connections() int { return k.pings.n + k.pongs.n + k.closing.n }
