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
// all bytes for their sockets go through it, and it ends them. The hub gives it
// batches, readers give it events. It never waits for a socket: a goroutine
// waits for one that is full.
type courier struct {
	// Static after construction.
	number int
	hub    broker
	opts   *Options
	inbox  chan report
	done   chan struct{} // closed when it has ended
	coming arrivals

	// What it does to sockets; static, too. Tests replace it.
	write     func(c *conn, p []byte) (int, error) // as much as the socket takes at once
	pending   func(c *conn) int                    // bytes written that the peer's TCP has not acknowledged
	listen    func(c *conn, early []byte)          // starts the reader
	elsewhere func(c *conn, work func())           // does work that takes a while

	// Owned by run.
	queueBytes int           // that may wait for one connection
	pressure   int           // how short memory is; see SetPressure
	now        int64         // its clock, in nanoseconds, as of the last wake-up
	woken      time.Duration // when that was, since its start
	at         *conn         // the connection that it works for
	head       hub.Position  // Head of the last batch done
	dirty      []*conn       // connections with something new to write
	spare      []*backlog    // for reuse
	scratch    []byte
	records    []byte                // of TLS; for reuse
	pings      schedule              // open; a ping is due
	pongs      schedule              // open and pinged; the pong is due
	partials   schedule              // open, with an unfinished message; its end is due
	closing    schedule              // closing; the end is due
	beats      schedule              // open, with a heartbeat; a look at it is due
	idle       []chan<- CourierStats // to be answered when the last connection has ended
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

// A report is what a courier hears about a connection: from its reader, or from a
// goroutine that waits for a full socket.
type report struct {
	kind   reportKind
	c      *conn
	data   []byte              // of a ping
	code   uint16              // of a Close frame that came, or that is to be sent
	reason hub.Reason          // of a refusal
	text   string              // of a Close frame that is to be sent
	n      int                 // bytes written
	wire   int                 // bytes of TLS records that they went in
	err    error               // of a write
	work   func()              // to do
	ask    chan<- CourierStats // where the answer goes; of capacity 1
}

type reportKind uint8

const (
	reportPing    reportKind = iota // the peer sent a ping
	reportPong                      // the peer sent a pong
	reportPartial                   // the peer has begun a message that is not whole yet
	reportWhole                     // that message is whole
	reportClose                     // the peer sent a Close frame: its reader has ended
	reportFault                     // the peer broke a rule: its reader discards what follows
	reportRefused                   // a new connection that is refused without asking the hub
	reportGone                      // the peer is gone: its reader has ended
	reportFailed                    // a goroutine of the connection has panicked
	reportWritten                   // a full socket took the rest of a frame, or failed
	reportIdle                      // answer when the last connection has ended
	reportStats                     // answer now
	reportDo                        // do something
)

func newCourier(number int, h broker, opts *Options) *courier {
	return &courier{
		number:  number,
		hub:     h,
		opts:    opts,
		inbox:   make(chan report, opts.Queue),
		done:    make(chan struct{}),
		write:   tryWrite,
		pending: func(c *conn) int { return c.sink.pending(c) },
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
		// A connection that was quiet since the last look gets a heartbeat. So it
		// is quiet for two looks at most.
		beats: schedule{wait: opts.Heartbeat / 2},
	}
}

// run works until ctx ends; then it aborts the connections that are left.
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
			k.takeReports()
			k.flush()
			// Invariant: everything up to head was given to its connections. So head
			// follows the flush: one that ends during the batch may lack a part of it.
			k.head = b.Head
			if k.hub.BatchDone(k.number, b) != nil {
				k.abortAll()
				return
			}
		case e := <-k.inbox:
			k.wake(time.Since(start))
			k.hear(e)
			k.takeReports()
			k.flush()
		case <-tick.C:
			k.wake(time.Since(start))
			k.sweep()
			k.flush()
		case <-ctx.Done():
			k.abortAll()
			return
		}
	}
}

// wake moves the courier's clock to a time since its start. Time for which the process was
// stopped does not count: what peers sent during it is still to be read.
func (k *courier) wake(at time.Duration) {
	k.now += int64(min(at-k.woken, courierStep))
	k.woken = at
}

// takeReports handles the other reports that have arrived, so that all is written together.
func (k *courier) takeReports() {
	for range eventLimit {
		select {
		case e := <-k.inbox:
			k.hear(e)
		default:
			return
		}
	}
}

// tell gives a courier an event. After its end events don't matter.
func (k *courier) tell(e report) {
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
		k.deliver(c, op.Frame) // which may empty the queue first
		c.chunk = true
	case hub.OpOpen:
		k.open(c)
	case hub.OpNewest:
		f := *op.Frame // which is shared
		f.Position, f.Kind = op.At, hub.FrameNote
		k.deliver(c, &f)
	case hub.OpReportWhenWritten:
		k.report(c)
	case hub.OpLive:
		c.resume.live, c.lagging = true, false
	case hub.OpCatchUp:
		c.resume.live = false
		if c.Notes {
			c.resume.handed = op.At
		}
	case hub.OpNote:
		k.note(c, op.Note, op.At)
	case hub.OpClose:
		k.close(c, farewellFor(op.Reason))
	}
}

// hear does what a reader or a writer says.
func (k *courier) hear(e report) {
	k.guarded(func() {
		k.at = e.c
		k.handle(e)
	})
}

func (k *courier) handle(e report) {
	c := e.c
	switch e.kind {
	case reportPing:
		k.control(c, appendFrame(nil, opPong, e.data))
	case reportPong:
		if c.phase == phaseOpen {
			k.pings.add(&c.deadline, k.now)
		}
	case reportPartial:
		k.await(c)
	case reportWhole:
		c.whole()
	case reportClose:
		c.readerDone = true
		k.close(c, farewell{why: hub.Disconnected, code: e.code})
		k.flushOne(c)
	case reportFault:
		c.discards = true
		k.close(c, farewell{why: violation(e.code), code: e.code, text: e.text})
	case reportRefused:
		k.open(c)
		k.close(c, farewell{why: e.reason, code: e.code, text: e.text})
	case reportGone:
		// A connection can't be ended before its hub.OpOpen: the hub would hear of
		// the end before the beginning.
		if c.readerDone = true; c.phase != phaseNew {
			k.end(c)
		}
	case reportFailed:
		k.fail(c)
	case reportWritten:
		k.written(c, e.n, e.wire, e.err)
	case reportIdle:
		k.idle = append(k.idle, e.ask)
		k.checkIdle()
	case reportDo:
		e.work()
	case reportStats:
		e.ask <- k.figures()
	}
}

// open takes over a connection and starts its reader. The answer to a WebSocket
// handshake is its first frame. The answer to another request waits for the hub's
// first note.
func (k *courier) open(c *conn) {
	k.coming.remove(c)
	c.phase = phaseOpen
	k.stats.Opened++
	c.deadline.of = c
	k.pings.add(&c.deadline, k.now)
	if c.beat != nil {
		c.beat.of = c
	}
	if c.readerDone { // its peer has gone already
		k.end(c)
		return
	}
	early := c.opening.early
	if c.opening.refuse == nil {
		k.answer(c)
	}
	if c.raw != nil {
		k.listen(c, early)
	}
}

// answer answers the request that a connection began with.
func (k *courier) answer(c *conn) {
	k.pushPlain(c, c.opening.answer)
	c.opening = nil
}

// report tells the hub when the backlog of a connection is empty.
func (k *courier) report(c *conn) {
	if c.phase == phaseOpen && c.waiting == nil {
		// If the hub has ended, so will this courier.
		_ = k.hub.ChunkWritten(&c.Conn)
		return
	}
	c.chunk = true
}

// note gives a connection a note. It has everything up to a position before.
func (k *courier) note(c *conn, n hub.Note, at hub.Position) {
	if c.phase != phaseOpen {
		return
	}
	f := &hub.Frame{Bytes: c.speaks.note(c, n)}
	c.resume.note(f, n, at)
	if _, ok := n.(hub.Welcome); ok {
		k.beats.add(&c.beat.deadline, k.now)
		if c.opening != nil {
			k.answer(c)
		}
	}
	if f.Bytes != nil {
		k.deliver(c, f)
	}
}

// ask puts a question and waits for the answer, until ctx ends.
func (k *courier) ask(ctx context.Context, question reportKind) CourierStats {
	answer := make(chan CourierStats, 1)
	select {
	case k.inbox <- report{kind: question, ask: answer}:
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
	Inbox       int    // reports that wait for the courier
	Waiting     int    // bytes in the backlogs of all connections
	Opened      uint64 // counter: connections
	Closed      uint64 // counter: connections
	Writes      uint64 // counter: system calls
	Delivered   uint64 // counter: events written whole, without those of replays
	Bytes       uint64 // counter: bytes written
}

func (k *courier) figures() CourierStats {
	st := k.stats
	st.Connections, st.Inbox = k.connections(), len(k.inbox)
	return st
}

// connections counts the connections that have not ended. Each has a deadline.
func (k *courier) connections() int { return k.pings.n + k.pongs.n + k.closing.n }
