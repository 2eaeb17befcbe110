package transport

import (
	"crypto/tls"
	"fmt"
	"slices"
	"testing"
	"time"

	"belfry/hub"
)

// A tallyBroker counts what a courier reports.
type tallyBroker struct{ released []hub.ConnReport }

func (b *tallyBroker) Cursor(p hub.Position) hub.Cursor { return hub.Cursor{Epoch: 1, Position: p} }
func (b *tallyBroker) Batches(int) <-chan *hub.Batch    { return nil }
func (b *tallyBroker) BatchDone(int, *hub.Batch) error  { return nil }
func (b *tallyBroker) ConnEnded(r hub.ConnReport) error {
	b.released = append(b.released, r)
	return nil
}
func (b *tallyBroker) ChunkWritten(*hub.Conn) error { return nil }
func (b *tallyBroker) Lag(*hub.Conn) error          { return nil }

// A phaseRig is a courier with one connection that the test takes through its
// phases.
type phaseRig struct {
	k      *courier
	c      *conn
	broker *tallyBroker
	closed int // times that the connection was finished
	full   bool
	held   func() // a write that waits for a socket that is full
}

// sockKinds are the kinds of sockets.
var sockKinds = []string{"plain", "TLS", "HTTP/2"}

func newPhaseRig(t *testing.T, kind string) *phaseRig {
	l := testLimits()
	s := &Server{opts: l.transport}
	s.limits.Store(&l.transport.Limits)
	r := &phaseRig{broker: &tallyBroker{}}
	r.k = newCourier(0, r.broker, &s.opts)
	r.k.queueBytes = 4 << 10
	s.couriers = []*courier{r.k}
	r.c = &conn{}
	switch kind {
	case "plain":
		r.c.sock, r.c.sink = newFakeSock(plenty), tcpSink{}
	case "TLS":
		r.c, _ = sealedPair(t)
	case "HTTP/2":
		st := newHTTPStream(&fakeResponse{}, time.Minute, nil)
		r.c.sock, r.c.sink = st, http2Sink{st}
	}
	r.c.server, r.c.speaks = s, v1{}
	r.c.opening = &opening{answer: []byte(answer)}
	s.assign(r.c, hub.Want{})
	r.k.write = func(c *conn, p []byte) (int, error) { return c.sock.(*fakeSock).tryWrite(p) }
	r.k.pending = func(*conn) int { return 0 }
	r.k.listen = func(*conn, []byte) {}
	r.k.elsewhere = func(c *conn, work func()) {
		switch {
		case c.phase == phaseEnded:
			r.closed++
		case c.waiting != nil && c.waiting.flight > 0 && r.full:
			r.held = work
			return
		}
		work()
	}
	s.expect(r.c)
	return r
}

// flush has the courier write, and a stream tell that it has written.
func (r *phaseRig) flush() {
	r.k.flush()
	st, ok := r.c.sock.(*httpStream)
	for ok && !r.full && len(st.writes) > 0 {
		r.written(st)
	}
}

func (r *phaseRig) written(st *httpStream) {
	n, err := st.write(<-st.writes)
	r.k.handle(report{kind: reportWritten, c: r.c, n: n, err: err})
	r.k.flush()
}

// breakWrites has every write fail from now on.
func (r *phaseRig) breakWrites() {
	switch sock := r.c.sock.(type) {
	case *fakeSock:
		sock.broken = true
	case *tls.Conn:
		closeWrite(r.c.below().Conn)
	case *httpStream:
		sock.w.(*fakeResponse).broken = true
	}
}

// fill has the socket be full from now on.
func (r *phaseRig) fill() {
	r.full = true
	if sock, ok := r.c.sock.(*fakeSock); ok {
		sock.room = 0
	}
	for r.c.phase == phaseOpen && (r.c.waiting == nil || r.c.waiting.flight == 0) {
		op(hub.Op{Kind: hub.OpDeliver, Frame: &hub.Frame{Position: 1, Bytes: make([]byte, 64<<10)}})(r)
		r.flush()
	}
}

// release ends a write that has waited.
func (r *phaseRig) release() {
	if st, ok := r.c.sock.(*httpStream); ok && len(st.writes) > 0 {
		r.written(st)
	}
	if work := r.held; work != nil {
		r.held = nil
		work()
		r.k.handle(<-r.k.inbox)
		r.k.flush()
	}
}

type phaseEvent struct {
	name string
	do   func(r *phaseRig)
	to   [4]int
}

// phaseEvents are what can happen to a connection, and the phase that it has then
// by the phase before. A phase below 0 stands for what can't happen.
var phaseEvents = []phaseEvent{
	{"OpOpen", op(hub.Op{Kind: hub.OpOpen}), [4]int{1, -1, -1, -1}},
	{"OpDeliver", op(deliverOp), [4]int{-1, 1, 2, 3}},
	{"OpChunk", op(hub.Op{Kind: hub.OpChunk, Frame: &hub.Frame{Position: 1, Bytes: []byte("x")}}), [4]int{-1, 1, 2, 3}},
	{"OpNewest", op(hub.Op{Kind: hub.OpNewest, Frame: &hub.Frame{Bytes: []byte("x")}, At: 1}), [4]int{-1, 1, 2, 3}},
	{"OpReportWhenWritten", op(hub.Op{Kind: hub.OpReportWhenWritten}), [4]int{-1, 1, 2, 3}},
	{"OpLive", op(hub.Op{Kind: hub.OpLive}), [4]int{-1, 1, 2, 3}},
	{"OpCatchUp", op(hub.Op{Kind: hub.OpCatchUp, At: 1}), [4]int{-1, 1, 2, 3}},
	{"OpNote", op(hub.Op{Kind: hub.OpNote, Note: hub.Welcome{}}), [4]int{-1, 1, 2, 3}},
	{"OpClose", op(hub.Op{Kind: hub.OpClose, Reason: hub.Replaced}), [4]int{-1, 2, 2, 3}},
	{"reportRefused", told(report{kind: reportRefused, reason: hub.Forbidden, code: closeForbidden}), [4]int{2, -1, -1, -1}},
	{"reportPing", told(report{kind: reportPing}), [4]int{-1, 1, 2, 3}},
	{"reportPong", told(report{kind: reportPong}), [4]int{-1, 1, 2, 3}},
	{"reportPartial", told(report{kind: reportPartial}), [4]int{-1, 1, 2, 3}},
	{"reportWhole", told(report{kind: reportWhole}), [4]int{-1, 1, 2, 3}},
	{"reportClose", told(report{kind: reportClose, code: closeNormal}), [4]int{-1, 3, 3, 3}},
	{"reportFault", told(report{kind: reportFault, code: closeProtocolError}), [4]int{-1, 2, 2, 3}},
	{"reportGone", told(report{kind: reportGone}), [4]int{0, 3, 3, 3}},
	{"reportFailed", told(report{kind: reportFailed}), [4]int{0, 3, 3, 3}},
	{"ping", passes(25 * time.Second), [4]int{0, 1, 3, 3}},
	{"a heartbeat, and a look after it", func(r *phaseRig) {
		if r.c.phase != phaseNew {
			op(hub.Op{Kind: hub.OpNote, Note: hub.Welcome{}})(r)
		}
		passes(r.k.opts.Heartbeat)(r)
		r.flush()
		passes(r.k.opts.Heartbeat)(r)
	}, [4]int{0, 1, 3, 3}},
	{"a message that is not whole in time", func(r *phaseRig) {
		told(report{kind: reportPartial})(r)
		passes(r.k.opts.MessageTimeout)(r)
	}, [4]int{-1, 2, 3, 3}},
	{"a pong that does not come", func(r *phaseRig) {
		passes(r.k.opts.PingInterval)(r)
		passes(r.k.opts.PongTimeout)(r)
	}, [4]int{0, 2, 3, 3}},
	{"the time to close is over", passes(testLimits().transport.CloseTimeout), [4]int{0, 1, 3, 3}},
	{"a write fails", func(r *phaseRig) { r.breakWrites(); op(deliverOp)(r) }, [4]int{-1, 3, 2, 3}},
	{"a write fails, and the peer is gone", func(r *phaseRig) {
		r.breakWrites()
		op(deliverOp)(r)
		r.flush()
		told(report{kind: reportGone})(r)
	}, [4]int{-1, 3, 3, 3}},
	{"too much waits", func(r *phaseRig) {
		r.fill()
		for range 3 {
			op(hub.Op{Kind: hub.OpDeliver, Frame: &hub.Frame{Position: 1, Bytes: make([]byte, r.k.queueBytes/2)}})(r)
		}
	}, [4]int{-1, 2, 2, 3}},
	{"replaced as it opens", func(r *phaseRig) {
		op(hub.Op{Kind: hub.OpOpen})(r)
		op(hub.Op{Kind: hub.OpClose, Reason: hub.Replaced})(r)
	}, [4]int{2, -1, -1, -1}},
	{"the broker drains as it opens", func(r *phaseRig) {
		op(hub.Op{Kind: hub.OpOpen})(r)
		op(hub.Op{Kind: hub.OpClose, Reason: hub.Draining})(r)
	}, [4]int{2, -1, -1, -1}},
	{"the broker drains", op(hub.Op{Kind: hub.OpClose, Reason: hub.Draining}), [4]int{-1, 2, 2, 3}},
	{"courier ends", func(r *phaseRig) { r.k.abortAll() }, [4]int{3, 3, 3, 3}},
}

var deliverOp = hub.Op{Kind: hub.OpDeliver, Frame: &hub.Frame{Position: 1, Bytes: []byte("x")}}

func op(o hub.Op) func(*phaseRig) {
	return func(r *phaseRig) {
		o := o
		if o.Frame != nil { // tests share it
			f := *o.Frame
			o.Frame = &f
		}
		r.k.obey(r.c, &o)
	}
}

func told(e report) func(*phaseRig) {
	return func(r *phaseRig) {
		e := e
		e.c = r.c
		r.k.handle(e)
	}
}

func passes(d time.Duration) func(*phaseRig) {
	return func(r *phaseRig) {
		r.k.now += int64(d)
		r.k.sweep()
	}
}

// enter takes a connection to a phase.
func (r *phaseRig) enter(p phase) {
	if p >= phaseOpen {
		op(hub.Op{Kind: hub.OpOpen})(r)
		r.flush()
	}
	if p == phaseClosing {
		op(hub.Op{Kind: hub.OpClose, Reason: hub.Replaced})(r)
		r.flush()
	}
	if p == phaseEnded {
		told(report{kind: reportGone})(r)
	}
}

// TestEveryEventInEveryPhase walks the table of phases, for each kind of socket.
// Whatever happens, and whatever has happened before, in the end the socket was
// closed once, the hub has heard of the end once, and nothing is left.
func TestEveryEventInEveryPhase(t *testing.T) {
	t.Parallel()
	for _, kind := range sockKinds {
		for _, e := range phaseEvents {
			for p, want := range e.to {
				if want < 0 {
					continue
				}
				r := newPhaseRig(t, kind)
				r.enter(phase(p))
				e.do(r)
				r.flush()
				if r.c.phase != phase(want) {
					t.Errorf("%s: %s in phase %d leads to phase %d, want %d", kind, e.name, p, r.c.phase, want)
				}
				r.end(t, fmt.Sprintf("%s: %s in phase %d", kind, e.name, p), e.name == "courier ends")
			}
		}
	}
}

// end ends a connection, if it has not ended, and checks that nothing is left.
func (r *phaseRig) end(t *testing.T, what string, cut bool) {
	t.Helper()
	if r.c.phase == phaseNew {
		op(hub.Op{Kind: hub.OpOpen})(r)
		r.flush()
	}
	told(report{kind: reportGone})(r)
	r.flush()
	r.release()
	k := r.k
	if r.closed != 1 || r.c.server.open.Load() != 0 || !cut && len(r.broker.released) != 1 || len(r.broker.released) > 1 {
		t.Errorf("%s: closed %d times, %d open, released: %+v", what, r.closed, r.c.server.open.Load(), r.broker.released)
	}
	if k.connections() != 0 || k.beats.n != 0 || k.partials.n != 0 || k.stats.Waiting != 0 && !cut || k.stats.Blocked != 0 || k.coming.any() ||
		!cut && k.stats.Opened != k.stats.Closed {
		t.Errorf("%s: the courier has left %+v", what, k.stats)
	}
}

// TestEveryOrder: the same for each order of up to three of the events that end a
// connection or come from elsewhere than its other events, before and after it is
// opened; of two over TLS, where each connection takes a handshake.
func TestEveryOrder(t *testing.T) {
	t.Parallel()
	for _, kind := range sockKinds {
		for _, first := range phaseEvents {
			t.Run(kind+"/"+first.name, func(t *testing.T) {
				t.Parallel()
				inOrders(t, kind, phaseNew, phaseNew, nil, first)
				inOrders(t, kind, phaseOpen, phaseOpen, nil, first)
			})
		}
	}
}

// inOrders has an event happen after others, if it can happen in the phase to which
// those lead, and then each that can happen after it.
func inOrders(t *testing.T, kind string, start, at phase, before []phaseEvent, next phaseEvent) {
	if next.to[at] < 0 || next.name == "courier ends" {
		return
	}
	order := append(slices.Clip(before), next)
	at = inOrder(t, kind, start, order)
	if len(order) == 3 || len(order) == 2 && kind == "TLS" {
		return
	}
	for _, e := range phaseEvents {
		inOrders(t, kind, start, at, order, e)
	}
}

// inOrder returns the phase to which some events lead.
func inOrder(t *testing.T, kind string, start phase, order []phaseEvent) (at phase) {
	t.Helper()
	r, what := newPhaseRig(t, kind), fmt.Sprintf("%s from phase %d:", kind, start)
	r.enter(start)
	for _, e := range order {
		e.do(r)
		r.flush()
		what += " " + e.name
	}
	at = r.c.phase
	r.end(t, what, false)
	return at
}
