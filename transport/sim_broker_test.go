package transport

import (
	"errors"
	"slices"
	"syscall"
	"time"

	"belfry/hub"
)

// The broker of a simulation: the way between the hub and its couriers, sockets,
// and time.

// A simPost is what a courier has for a hub. What it reports waits until the hub
// takes it.
type simPost struct {
	sim     *sim
	courier *courier
	ready   bool       // for a batch
	batch   *hub.Batch // under way
}

func (p *simPost) Cursor(at hub.Position) hub.Cursor {
	return hub.Cursor{Epoch: p.sim.opts.Epoch, Position: at}
}

func (p *simPost) Batches(int) <-chan *hub.Batch { return nil }

func (p *simPost) BatchDone(int, *hub.Batch) error {
	p.sim.send(func() { p.ready = true })
	return nil
}

func (p *simPost) ConnEnded(r hub.ConnReport) error {
	p.sim.send(func() { p.sim.state.ConnEnded(r) })
	return nil
}

func (p *simPost) ChunkWritten(c *hub.Conn) error {
	p.sim.send(func() { p.sim.state.ChunkWritten(c) })
	return nil
}

func (p *simPost) Lag(c *hub.Conn) error {
	p.sim.send(func() { p.sim.state.Lag(c) })
	return nil
}

// send hands the hub a command.
func (s *sim) send(command func()) { s.inbox = append(s.inbox, command) }

// serve has the hub take commands, and hand out what they lead to.
func (s *sim) serve(n int) {
	s.state.Tick(s.now)
	for ; n > 0 && len(s.inbox) > 0; n-- {
		command := s.inbox[0]
		s.inbox = s.inbox[1:]
		command()
	}
	s.handOut()
}

func (s *sim) handOut() {
	s.state.Settle()
	for i, p := range s.posts {
		if p.ready {
			if p.batch = s.state.Take(i, &hub.Batch{}); p.batch != nil {
				p.ready = false
			}
		}
	}
}

// work has a courier do the batch under way.
func (p *simPost) work() {
	b := p.batch
	if b == nil {
		return
	}
	p.batch = nil
	k := p.courier
	k.now = p.sim.clock
	k.apply(b)
	k.flush()
	k.head = b.Head
	_ = k.hub.BatchDone(k.number, b) // cannot fail
}

// tell has a courier hear of something.
func (p *simPost) tell(e report) {
	k := p.courier
	k.now = p.sim.clock
	k.handle(e)
	k.flush()
	p.hear()
}

// hear has a courier hear of what was done elsewhere.
func (p *simPost) hear() {
	for {
		select {
		case e := <-p.courier.inbox:
			p.courier.handle(e)
			p.courier.flush()
		default:
			return
		}
	}
}

// elsewhere keeps the writing to a full socket until there is room; the end of a
// connection comes at once.
func (p *simPost) elsewhere(c *conn, work func()) {
	sock := sockOf(c)
	if c.phase != phaseEnded {
		sock.work = work
		return
	}
	work()
}

// A simSock is a socket: what was written waits in the kernel until the peer
// reads it.
type simSock struct {
	sim    *sim
	post   *simPost
	conn   *conn
	peer   *peer // nil when it has gone
	kernel []byte
	work   func() // a write that waits for room
	lent   []byte // to the stream that it is; nil: nothing
	used   bool   // something was written
	broken bool   // writes fail
	closed bool
	fin    bool // nothing more will be written
	told   bool // the courier has heard of the peer's end
}

func (k *simSock) tryWrite(b []byte) (int, error) {
	switch {
	case k.closed:
		k.sim.failf("a write to a socket of %v that is closed, phase %d, %v", k.conn.handle, k.conn.phase, k.conn.reason)
	case k.work != nil:
		k.sim.failf("a write beside another")
	case k.broken:
		return 0, syscall.EPIPE
	}
	n := max(0, min(len(b), k.sim.room-len(k.kernel)))
	k.kernel = append(k.kernel, b[:n]...)
	return n, nil
}

// Write is done when there is room, or when that is of no use any more.
func (k *simSock) Write(b []byte) (int, error) {
	if k.broken || k.closed {
		return 0, syscall.EPIPE
	}
	k.used = true
	k.kernel = append(k.kernel, b...)
	return len(b), nil
}

func (k *simSock) Read([]byte) (int, error) { return 0, errors.ErrUnsupported }

func (k *simSock) Close() error {
	if k.closed {
		k.sim.failf("a connection of %v is closed twice", k.conn.handle)
	}
	k.closed = true
	return nil
}

func (k *simSock) CloseWrite() error {
	k.fin = true
	return nil
}

// unblock ends a write that has waited.
func (k *simSock) unblock() {
	if work := k.work; work != nil && (len(k.kernel) == 0 || k.broken || k.closed) {
		k.work = nil
		work()
		k.post.courier.now = k.sim.clock
		k.post.hear()
	}
	if p := k.lent; p != nil && (len(k.kernel) == 0 || k.broken || k.closed) {
		k.lent = nil
		n, err := k.Write(p)
		k.post.tell(report{kind: reportWritten, c: k.conn, n: n, err: err})
	}
	if k.fin && !k.told && k.isStream() {
		k.told = true
		k.post.tell(report{kind: reportGone, c: k.conn})
	}
}

// gone has the courier hear that the peer is, once. Of a socket nobody reads
// before the connection is open; of a stream the courier may hear it before, and
// while it is lent something.
func (k *simSock) gone() {
	k.broken = true
	if k.sim.rng.IntN(2) == 0 {
		k.unblock()
	}
	if !k.told && (k.conn.phase != phaseNew || k.isStream()) {
		k.told = true
		k.post.tell(report{kind: reportGone, c: k.conn})
	}
	k.unblock()
}

// idle reports whether nothing of what was written is on its way.
func (k *simSock) idle() bool { return len(k.kernel) == 0 && k.work == nil && k.lent == nil }

// sockOf returns what is below a connection.
func sockOf(c *conn) *simSock {
	if st, ok := c.sock.(simStream); ok {
		return st.simSock
	}
	return c.sock.(*simSock)
}

func (k *simSock) isStream() bool {
	_, ok := k.conn.sock.(simStream)
	return ok
}

// A simStream is a stream over HTTP/2.
type simStream struct{ *simSock }

func (st simStream) lend(p []byte) {
	switch {
	case st.lent != nil || len(p) == 0:
		st.sim.failf("a stream is lent %d bytes, beside %d", len(p), len(st.lent))
	case st.closed:
		st.sim.failf("a stream that is closed is lent %d bytes", len(p))
	}
	st.lent = p
}

func (st simStream) unacked() int { return len(st.kernel) }

func (st simStream) abortWrite() {
	if st.closed {
		st.sim.failf("a stream that is closed is interrupted")
	}
	st.broken = true
}

// pass lets time pass.
func (s *sim) pass(d time.Duration) {
	s.now, s.clock = s.now.Add(d), s.clock+int64(d)
	s.state.Tick(s.now)
	s.state.Announce()
	s.handOut()
	for _, p := range s.posts {
		p.courier.now = s.clock
		p.courier.sweep()
		p.courier.flush()
		p.hear()
	}
}

// restart ends the broker, in good order or not, and starts it again.
func (s *sim) restart() {
	s.logf("restart, draining: %v", s.draining)
	for _, k := range s.socks {
		k.broken, k.closed, k.told, k.work, k.lent = true, true, true, nil, nil
	}
	for _, p := range s.peers {
		p.lineEnded()
	}
	s.begin()
}

// bounded checks that what waits has its bounds.
func (s *sim) bounded() {
	waiting := make([]int, len(s.posts))
	for _, k := range s.socks {
		if k.broken && !k.told {
			k.gone()
		}
		b := k.conn.waiting
		if b == nil {
			continue
		}
		waiting[k.conn.courier.number] += b.size()
		most := s.transport.ClientQueueBytes + 2*s.size + 1500
		if k.conn.Slow != hub.SlowClose {
			most += s.transport.BurstBytes
		}
		if b.size()-b.copied > most && !s.draining {
			s.failf("%d bytes wait for a connection", b.size())
		}
	}
	for i, p := range s.posts {
		if p.courier.stats.Waiting != waiting[i] {
			s.failf("courier %d: %d bytes wait, counted %d", i, waiting[i], p.courier.stats.Waiting)
		}
	}
	s.socks = slices.DeleteFunc(s.socks, func(k *simSock) bool { k.unblock(); return k.closed && k.work == nil && k.lent == nil })
	if st := s.state.Stats(); st.Deliveries > s.opts.Backlog+600 || st.Connected > s.opts.MaxConnections {
		s.failf("%d deliveries wait, %d are connected", st.Deliveries, st.Connected)
	}
}
