package transport

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"pgregory.net/rapid"

	"belfry/hub"
)

// A fakeSock is a socket whose peer is the test. It takes as many bytes as
// there is room for.
type fakeSock struct {
	net.Conn                 // the rest of the interface is not used
	world    *world          // whose gate holds up raw writes; may be nil
	kernel   syscall.RawConn // tells what is not acknowledged; nil: it cannot tell
	conn     *conn

	mu      sync.Mutex
	changed *sync.Cond
	room    int    // bytes that it takes
	wire    []byte // bytes that it took
	input   []byte // bytes that the peer has sent and nobody has read
	eof     bool   // the peer sends nothing more
	broken  bool   // writes fail
	closed  bool
	writing bool     // somebody waits in Write
	faults  []string // what must not be done to a socket
}

const plenty = 1 << 40 // bytes

// answer stands for that to a handshake.
const answer = "101\r\n\r\n"

func newFakeSock(room int) *fakeSock {
	s := &fakeSock{room: room}
	s.changed = sync.NewCond(&s.mu)
	return s
}

// tryWrite stands for the write seam of a courier.
func (s *fakeSock) tryWrite(p []byte) (int, error) {
	if s.world != nil {
		<-s.world.gate
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.writing:
		s.faults = append(s.faults, "a raw write beside another goroutine's")
	case s.closed: // another connection may have its descriptor now
		s.faults = append(s.faults, "a raw write to a socket that is closed")
		return 0, net.ErrClosed
	case s.broken:
		return 0, syscall.EPIPE
	}
	return s.take(p), nil
}

func (s *fakeSock) take(p []byte) int {
	n := min(s.room, len(p))
	s.room -= n
	s.wire = append(s.wire, p[:n]...)
	return n
}

// Write waits for room.
func (s *fakeSock) Write(p []byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writing {
		s.faults = append(s.faults, "two writes at a time")
	}
	s.writing = true
	defer func() { s.writing = false }()
	for {
		switch {
		case s.closed:
			return n, net.ErrClosed
		case s.broken:
			return n, syscall.EPIPE
		}
		n += s.take(p[n:])
		if n == len(p) {
			return n, nil
		}
		s.changed.Wait()
	}
}

func (s *fakeSock) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.closed && !s.eof && len(s.input) == 0 {
		s.changed.Wait()
	}
	if s.closed {
		return 0, net.ErrClosed
	}
	n := copy(p, s.input)
	s.input = s.input[n:]
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (s *fakeSock) Close() error { return s.change(func() { s.closed = true }) }

// change does something to the socket and wakes who waits for it.
func (s *fakeSock) change(do func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
	s.changed.Broadcast()
	return nil
}

func (s *fakeSock) SyscallConn() (syscall.RawConn, error) { return fakeRaw{s}, nil }

// A fakeRaw is the raw side of a fakeSock.
type fakeRaw struct{ s *fakeSock }

var errNoKernel = errors.New("there is no kernel below this socket")

func (r fakeRaw) Control(f func(uintptr)) error {
	if r.s.kernel == nil {
		return errNoKernel
	}
	return r.s.kernel.Control(f)
}

// Read waits until a read would not block. It has no descriptor to give away.
func (r fakeRaw) Read(func(uintptr) bool) error {
	s := r.s
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.closed && !s.eof && len(s.input) == 0 {
		s.changed.Wait()
	}
	if s.closed {
		return net.ErrClosed
	}
	return nil
}

func (r fakeRaw) Write(func(uintptr) bool) error { return errNoKernel }

// What a peer does.

func (s *fakeSock) give(room int) { _ = s.change(func() { s.room = room }); synctest.Wait() }
func (s *fakeSock) hangUp()       { _ = s.change(func() { s.eof = true }); synctest.Wait() }
func (s *fakeSock) send(p []byte) {
	_ = s.change(func() { s.input = append(s.input, p...) })
	synctest.Wait()
}
func (s *fakeSock) reset()         { _ = s.change(func() { s.eof, s.broken = true, true }); synctest.Wait() }
func (s *fakeSock) isClosed() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.closed }

// queued returns the bytes that wait for the socket, and what they take besides.
func (s *fakeSock) queued() (n int) {
	s.world.look(func() { n = s.conn.queued() })
	return n
}

func (c *conn) queued() int { return c.waiting.size() }

// frames splits what the socket took after the handshake's answer. Bytes that
// no server may send are an error.
func (s *fakeSock) frames() (whole []message, part []byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.wire
	if len(s.faults) > 0 {
		return nil, nil, errors.New(s.faults[0])
	}
	if len(p) < len(answer) {
		return nil, p, nil
	}
	if string(p[:len(answer)]) != answer {
		return nil, nil, fmt.Errorf("begins with %q", p[:len(answer)])
	}
	p = p[len(answer):]
	for len(p) >= 2 {
		op, size, header := opcode(p[0]&opBits), int(p[1]), 2
		if p[0] != finBit|byte(op) || op != opText && !op.control() || !op.known() || size > len64 {
			return nil, nil, fmt.Errorf("frame %d begins with %x", len(whole), p[:2])
		}
		if size == len16 && len(p) >= 4 {
			size, header = int(binary.BigEndian.Uint16(p[2:])), 4
		}
		if len(p) < header+size {
			break
		}
		whole = append(whole, message{op, p[header : header+size]})
		p = p[header+size:]
	}
	return whole, p, nil
}

// got tells what the peer has got: events as their messages, without the dots
// that lengthen them; control frames; the beginning of a frame; the end.
func (s *fakeSock) got() string {
	var words []string
	whole, part, err := s.frames()
	for _, m := range whole {
		switch m.op {
		case opText:
			words = append(words, strings.TrimRight(string(m.data), "."))
		case opPing:
			words = append(words, "<ping>")
		case opPong:
			words = append(words, "<pong "+string(m.data)+">")
		case opClose:
			word := "<close>"
			if len(m.data) >= 2 {
				word = strings.TrimSpace(fmt.Sprintf("<close %d %s", binary.BigEndian.Uint16(m.data), m.data[2:])) + ">"
			}
			words = append(words, word)
		}
	}
	if len(part) > 0 {
		words = append(words, "<part>")
	}
	if err != nil {
		words = append(words, "<"+err.Error()+">")
	}
	if s.isClosed() {
		words = append(words, "<end>")
	}
	return strings.Join(words, " ")
}

// A world is a hub and its couriers, in a bubble with the test.
type world struct {
	t       *testing.T
	hub     *hub.Hub
	server  *Server
	end     func()        // ends both and waits for them
	gate    chan struct{} // closed: couriers may write
	clients int
}

type limits struct {
	hub.Options
	transport Options
}

func newWorld(t *testing.T, adjust func(*limits)) *world {
	l := testLimits()
	if adjust != nil {
		adjust(&l)
	}
	w := &world{t: t, gate: make(chan struct{})}
	close(w.gate)
	w.hub = hub.New(l.Options)
	w.server = New(w.hub, l.Couriers, l.transport)
	for _, k := range w.server.couriers {
		k.write = func(c *conn, p []byte) (int, error) { return c.sock.(*fakeSock).tryWrite(p) }
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { w.hub.Run(ctx) })
	running.Go(func() { w.server.Run(ctx) })
	w.end = func() { cancel(); running.Wait() }
	t.Cleanup(w.end)
	synctest.Wait()
	return w
}

func testLimits() limits {
	return limits{
		Options: hub.Options{
			Epoch: 1, Clock: time.Now, Encoders: Encoders(CloudEventDefaults{}),
			Limits:      hub.Limits{MaxClients: 10_000, MaxConnections: 10_000, MaxSubscriptions: 8},
			RegisterTTL: time.Hour, ResumeWindow: time.Hour,
			HistoryEvents: 10_000, HistoryAge: time.Hour, HistoryBytes: 64 << 20,
			PublishTimeout: time.Second, Couriers: 1, Backlog: 10_000, BacklogBytes: 16 << 20, Queue: 16,
		},
		transport: Options{
			Limits:       Limits{MaxMessage: 1000, MaxFragments: 10, MaxControlRate: 50, MaxSubscriptions: 8, ClientQueueBytes: 1 << 20},
			Queue:        16,
			PingInterval: 25 * time.Second, PongTimeout: 8 * time.Second, CloseTimeout: 2 * time.Second, MessageTimeout: 10 * time.Second,
			Heartbeat: 15 * time.Second, ReconnectDelay: time.Second, StallTimeout: 33 * time.Second,
			Denied: func(string, string, string) {}, Panicked: panicked, Log: zap.NewNop(),
		},
	}
}

// register adds a client, subscribed to news unless topics are named.
func (w *world) register(topics ...string) (id hub.ID) {
	w.clients++
	id[0] = byte(w.clients) // so that couriers take turns
	binary.BigEndian.PutUint32(id[1:], uint32(w.clients))
	if topics == nil {
		topics = []string{"news"}
	}
	if _, err := w.hub.Register(hub.Registration{ID: id, User: "1", Topics: topics}); err != nil {
		w.t.Fatal(err)
	}
	return id
}

// connect does what Accept does when it has taken over a socket.
func (w *world) connect(id hub.ID, room int) *fakeSock {
	return w.connectSock(id, newFakeSock(room))
}

func (w *world) connectSock(id hub.ID, s *fakeSock) *fakeSock {
	s.world = w
	s.conn = newConn(w.t, w.server, id, s)
	w.server.open.Add(1)
	if err := w.hub.Attach(id, &s.conn.Conn, hub.From{}); err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait()
	return s
}

// newConn returns a connection as Accept makes it.
func newConn(tb testing.TB, server *Server, id hub.ID, s *fakeSock) *conn {
	raw, err := s.SyscallConn()
	if err != nil {
		tb.Fatal(err)
	}
	c := &conn{server: server, speaks: bare{}, sock: s, raw: raw, sink: tcpSink{}, opening: &opening{answer: []byte(answer)}}
	server.assign(c, hub.Want{Registered: true, ID: id})
	return c
}

// publish publishes messages to news, one after the other, and waits until
// nothing moves any more.
func (w *world) publish(messages ...string) { w.publishTo("news", messages...) }

func (w *world) publishTo(topic string, messages ...string) {
	for _, m := range messages {
		if err := w.tryPublish(topic, m); err != nil {
			w.t.Fatal(err)
		}
	}
	synctest.Wait()
}

func (w *world) tryPublish(topic, message string) error {
	_, err := w.hub.Publish(context.Background(), hub.Event{Topic: topic, Time: time.Now(), Message: []byte(message)})
	return err
}

// pass lets time go by.
func (w *world) pass(d time.Duration) { <-time.After(d); synctest.Wait() }

// look looks at what couriers own; all must be at rest. For the race detector
// what they do next must come after it by more than the clock.
func (w *world) look(at func()) {
	at()
	for _, k := range w.server.couriers {
		select {
		case k.inbox <- report{kind: reportStats, ask: make(chan CourierStats, 1)}:
		default: // it is held, and will be released
		}
	}
}

// hold has the couriers wait at their next write; release ends that.
func (w *world) hold() { w.gate = make(chan struct{}) }

// oneWrite lets a courier that waits write, and holds it at its next write.
func (w *world) oneWrite() {
	gate := w.gate
	w.hold()
	close(gate)
	synctest.Wait()
}

func (w *world) release() { close(w.gate); synctest.Wait() }

func (w *world) stats() hub.Stats {
	st, err := w.hub.Stats()
	if err != nil {
		w.t.Fatal(err)
	}
	return st
}

func want(t *testing.T, s *fakeSock, want string) {
	t.Helper()
	got := s.got()
	if got == want {
		return
	}
	from := 0 // leave out what is the same
	for from < min(len(got), len(want)) && got[from] == want[from] {
		from++
	}
	from = max(0, from-40)
	t.Errorf("after the first %d bytes the peer got\n\t%.300s\nwant\n\t%.300s", from, got[from:], want[from:])
}

// sized returns an event's message whose frame has so many bytes, or about as
// many if no frame has.
func sized(name string, frame int) string {
	for header := 2; ; header += 2 {
		m := name + strings.Repeat(".", max(0, frame-header-len(name)))
		if frameSize(len(m)) <= frame || m == name {
			return m
		}
	}
}

// numbers returns the messages from .. to in decimal, as got shows them.
func numbers(from, to int) string {
	var words []string
	for i := from; i <= to; i++ {
		words = append(words, fmt.Sprint(i))
	}
	return strings.Join(words, " ")
}

// bubble runs a test in a world of its own.
func bubble(t *testing.T, adjust func(*limits), test func(t *testing.T, w *world)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { test(t, newWorld(t, adjust)) })
}

func TestAFullSocketHoldsUpNobody(t *testing.T) {
	const bound, size, events = 1000, 100, 50
	bubble(t, func(l *limits) { l.transport.ClientQueueBytes = bound }, func(t *testing.T, w *world) {
		var others []*fakeSock
		for range 50 {
			others = append(others, w.connect(w.register(), plenty))
		}
		full := w.connect(w.register(), len(answer)+size/2) // never takes more
		for i := 1; i <= events; i++ {
			w.publish(sized(fmt.Sprint(i), size))
			for _, s := range others {
				want(t, s, numbers(1, i))
			}
			if n := full.queued(); n > bound {
				t.Fatalf("%d bytes wait for the full socket after %d events", n, i)
			}
			slow := w.stats().Disconnects[hub.SlowConsumer] > 0
			if slow == (i <= bound/(size+frameOverhead)) {
				t.Fatalf("with %d events of %d bytes and a bound of %d: slow = %v", i, size, bound, slow)
			}
		}
		want(t, full, "<part>")
		if n := w.stats().Connected; n != len(others) {
			t.Errorf("%d clients are connected", n)
		}
		w.pass(w.server.opts.CloseTimeout + courierTick)
		want(t, full, "<part> <end>")
	})
}

// TestPressure: while memory is short less may wait, also for who had more room before.
func TestPressure(t *testing.T) {
	const size, events = 1000 - frameOverhead, 32
	bubble(t, func(l *limits) { l.transport.ClientQueueBytes = events * 1000 }, func(t *testing.T, w *world) {
		fill := func(n int) *fakeSock {
			s := w.connect(w.register(), len(answer))
			for range n {
				w.publish(sized("x", size))
			}
			return s
		}
		slow := func() uint64 { return w.stats().Disconnects[hub.SlowConsumer] }
		fill(events).hangUp()
		if slow() != 0 {
			t.Fatal("there is less room than is said")
		}
		s := fill(events / 4)
		w.server.SetPressure(2)
		synctest.Wait()
		if want(t, s, ""); slow() != 0 {
			t.Error("it is closed though nothing more comes")
		}
		w.publish(sized("x", size))
		if slow() != 1 {
			t.Error("a client for which a quarter waits gets more under pressure")
		}
		w.server.SetPressure(0)
		fill(events).hangUp()
		if slow() != 1 {
			t.Error("there is less room when the pressure is gone")
		}
	})
}

func TestASlowConsumerLearnsWhyAndResumes(t *testing.T) {
	bubble(t, func(l *limits) { l.transport.ClientQueueBytes = 300 }, func(t *testing.T, w *world) {
		id := w.register()
		s := w.connect(id, len(answer)+150)
		for i := range 6 {
			w.publish(sized(fmt.Sprint(i+1), 100))
		}
		want(t, s, "1 <part>")
		s.give(plenty)
		want(t, s, "1 2 <close 4100 slow_consumer>")
		s.send(stream("88:"))
		want(t, s, "1 2 <close 4100 slow_consumer> <end>")
		// What was in the middle of its way may come twice.
		want(t, w.connect(id, plenty), "2 3 4 5 6")
	})
}

// endings are how connections end, all but at once: what happens, and what the
// peer gets of it.
var endings = map[string]struct {
	do       func(w *world, id hub.ID, s *fakeSock)
	farewell string
}{
	"gone":         {func(_ *world, _ hub.ID, s *fakeSock) { s.hangUp() }, ""},
	"reset":        {func(_ *world, _ hub.ID, s *fakeSock) { s.reset() }, ""},
	"closed":       {func(_ *world, _ hub.ID, s *fakeSock) { s.send(stream("88:\x03\xe8bye")) }, "<close 1000> <end>"},
	"closed, 3001": {func(_ *world, _ hub.ID, s *fakeSock) { s.send(stream("88:\x0b\xb9")) }, "<close 3001> <end>"},
	"closed empty": {func(_ *world, _ hub.ID, s *fakeSock) { s.send(stream("88:")) }, "<close> <end>"},
	"fault":        {func(_ *world, _ hub.ID, s *fakeSock) { s.send(stream("x:8100")) }, "<close 1002 client frame is not masked>"},
	"bad close":    {func(_ *world, _ hub.ID, s *fakeSock) { s.send(stream("88:\x03")) }, "<close 1002 close frame has half a code>"},
	"not UTF-8":    {func(_ *world, _ hub.ID, s *fakeSock) { s.send(stream("81:\xff")) }, "<close 1007 text is not valid UTF-8>"},
	"too big":      {func(_ *world, _ hub.ID, s *fakeSock) { s.send(stream("81:" + strings.Repeat("x", 1001))) }, "<close 1009 message is too big>"},
	"replaced":     {func(w *world, id hub.ID, _ *fakeSock) { w.connect(id, 0).hangUp() }, "<close 4001 replaced>"},
}

// Wherever in the stream a connection ends: a frame that was begun is
// completed before the one Close frame, the rest is dropped, and the next
// connection goes on after the last event that was written whole.
func TestEndings(t *testing.T) {
	t.Parallel()
	const size, events = 20, 4 // bytes of every frame
	for name, ending := range endings {
		for _, room := range []int{0, 5, size, size + 1, events*size - 1, events * size, plenty} {
			t.Run(fmt.Sprintf("%s/room for %d", name, room), func(t *testing.T) {
				bubble(t, nil, func(t *testing.T, w *world) {
					id := w.register()
					first := w.connect(id, len(answer)+room)
					for i := range events {
						w.publish(sized(fmt.Sprint(i+1), size))
					}
					written := min(room/size, events)
					ending.do(w, id, first)
					w.publish(sized(fmt.Sprint(events+1), size))
					want(t, w.connect(id, plenty), numbers(written+1, events+1))

					if ending.farewell == "" {
						if !first.isClosed() {
							t.Error("the socket is open")
						}
						return
					}
					first.give(plenty)
					want(t, first, numbers(1, min(written+1, events))+" "+ending.farewell)
					first.hangUp()
					want(t, first, numbers(1, min(written+1, events))+" "+strings.TrimSuffix(ending.farewell, " <end>")+" <end>")
				})
			})
		}
	}
}

// What a peer sends at once may be heard before the answer to its handshake is
// written.
func TestTheAnswerComesFirst(t *testing.T) {
	for sent, farewell := range map[string]string{
		"x:8100":      "<close 1002 client frame is not masked>",
		"88:\x03\xe8": "<close 1000> <end>",
		"89:hi":       "<pong hi>",
		"81:whatever": "",
	} {
		t.Run(fmt.Sprintf("%q", sent), func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, w *world) {
				id := w.register("other")
				first, other := w.connect(w.register("first"), plenty), w.connect(id, plenty)
				w.hold()
				w.publishTo("first", "0") // what follows is gathered while this one is held
				s := newFakeSock(plenty)
				s.send(stream(sent))
				w.connectSock(w.register(), s)
				w.publishTo("other", "1")
				if _, err := w.hub.Unregister(id); err != nil {
					t.Fatal(err)
				}
				w.oneWrite() // now the courier is at the event for other, and has not flushed what came before
				want(t, first, "0")
				want(t, s, "")
				w.release()
				want(t, other, "1 <close 4000 unregistered>")
				want(t, s, farewell)
			})
		})
	}
}

// While the broker drains nobody will resume: all that waits goes out first.
func TestDraining(t *testing.T) {
	bubble(t, nil, func(t *testing.T, w *world) {
		full := w.connect(w.register(), len(answer)+30)
		quick := w.connect(w.register(), plenty)
		w.publish(sized("1", 20), sized("2", 20), sized("3", 20))
		if err := w.hub.Drain(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		want(t, quick, "1 2 3 <close 1012 draining>")
		want(t, full, "1 <part>")
		full.give(plenty)
		want(t, full, "1 2 3 <close 1012 draining>")
		late := w.connect(hub.ID{}, plenty)
		want(t, late, "<close 1012 draining>")
	})
}

// Close frames that cross each other, or come again, are answered by nothing.
func TestOneCloseFrame(t *testing.T) {
	for name, do := range map[string]func(w *world, id hub.ID, s *fakeSock){
		"the peer answers":          func(_ *world, _ hub.ID, s *fakeSock) { s.send(stream("88:\x0f\xa0")) },
		"the peer closes twice":     func(_ *world, _ hub.ID, s *fakeSock) { s.send(stream("88:\x03\xe8", "88:\x03\xe8")) },
		"the peer sends on":         func(_ *world, _ hub.ID, s *fakeSock) { s.send(stream("81:late", "89:late", "88:")) },
		"the peer breaks a rule":    func(_ *world, _ hub.ID, s *fakeSock) { s.send(stream("x:8100")); s.hangUp() },
		"the peer hangs up":         func(_ *world, _ hub.ID, s *fakeSock) { s.hangUp() },
		"the peer has had its time": func(w *world, _ hub.ID, s *fakeSock) { w.pass(2*time.Second + courierTick) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, w *world) {
				id := w.register()
				s := w.connect(id, plenty)
				w.publish("1")
				if ok, err := w.hub.Unregister(id); !ok || err != nil {
					t.Fatal(ok, err)
				}
				synctest.Wait()
				want(t, s, "1 <close 4000 unregistered>")
				do(w, id, s)
				want(t, s, "1 <close 4000 unregistered> <end>")
				w.pass(time.Minute)
				want(t, s, "1 <close 4000 unregistered> <end>")
			})
		})
	}
}

// What the broker closes for after the peer did changes nothing.
func TestThePeerClosedFirst(t *testing.T) {
	bubble(t, nil, func(t *testing.T, w *world) {
		id := w.register()
		s := w.connect(id, len(answer)+3)
		w.publish(sized("1", 20), sized("2", 20))
		s.send(stream("88:\x03\xe9"))
		if ok, err := w.hub.Unregister(id); !ok || err != nil {
			t.Fatal(ok, err)
		}
		w.publish(sized("3", 20))
		want(t, s, "<part>")
		s.give(plenty)
		want(t, s, "1 <close 1001> <end>")
	})
}

// A socket that takes nothing does not get its Close frame, but its end.
func TestCloseTimeout(t *testing.T) {
	for name, begin := range map[string]func(w *world, id hub.ID, s *fakeSock){
		"unregistered": func(w *world, id hub.ID, _ *fakeSock) { _, _ = w.hub.Unregister(id) },
		"fault":        func(_ *world, _ hub.ID, s *fakeSock) { s.send(stream("83:")) },
		"peer's close": func(_ *world, _ hub.ID, s *fakeSock) { s.send(stream("88:")) },
		"draining":     func(w *world, _ hub.ID, _ *fakeSock) { _ = w.hub.Drain() },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, w *world) {
				id := w.register()
				s := w.connect(id, len(answer)+30)
				w.publish(sized("1", 20), sized("2", 20), sized("3", 20))
				begin(w, id, s)
				w.pass(w.server.opts.CloseTimeout - courierTick)
				want(t, s, "1 <part>")
				w.pass(2 * courierTick)
				want(t, s, "1 <part> <end>")
			})
		})
	}
}

func TestPings(t *testing.T) {
	bubble(t, nil, func(t *testing.T, w *world) {
		s := w.connect(w.register(), plenty)
		interval, timeout := w.server.opts.PingInterval, w.server.opts.PongTimeout
		w.pass(interval - courierTick)
		want(t, s, "")
		w.pass(2 * courierTick)
		pings := "<ping>"
		want(t, s, pings)
		for range 50 {
			w.pass(timeout - 2*courierTick) // just in time
			s.send(stream("8a:"))
			w.pass(interval - courierTick)
			want(t, s, pings)
			w.pass(2 * courierTick)
			pings += " <ping>"
			want(t, s, pings)
		}
		w.pass(timeout + courierTick)
		want(t, s, pings+" <close 4101 pong_timeout>")
		w.pass(w.server.opts.CloseTimeout + courierTick)
		want(t, s, pings+" <close 4101 pong_timeout> <end>")
		if st := w.stats(); st.Disconnects[hub.PongTimeout] != 1 || st.Connected != 0 {
			t.Errorf("%d pong timeouts, %d connected", st.Disconnects[hub.PongTimeout], st.Connected)
		}
	})
}

// A ping that waits after other bytes is not answered in time, and nobody is
// to blame.
func TestFullSocketsAreNotReapedByPings(t *testing.T) {
	bubble(t, nil, func(t *testing.T, w *world) {
		s := w.connect(w.register(), len(answer)+5)
		w.publish(sized("1", 20))
		w.pass(time.Hour)
		want(t, s, "<part>")
		s.give(plenty)
		w.pass(time.Minute)
		want(t, s, "1 <ping> <close 4101 pong_timeout> <end>")
	})
}

// The ping itself may be what a socket has no room for.
func TestAPingWithoutRoom(t *testing.T) {
	bubble(t, nil, func(t *testing.T, w *world) {
		s := w.connect(w.register(), len(answer)+1)
		w.pass(time.Hour)
		want(t, s, "<part>")
		s.give(plenty)
		want(t, s, "<ping>")
		s.send(stream("8a:"))
		w.pass(w.server.opts.PingInterval + courierTick)
		want(t, s, "<ping> <ping>")
	})
}

// What a peer sends after it broke a rule is not looked at.
func TestDeaf(t *testing.T) {
	bubble(t, nil, func(t *testing.T, w *world) {
		s := w.connect(w.register(), plenty)
		s.send(stream("81:what", "83:", "81:ever"))
		s.send(stream("81:else", "83:", "89:"))
		want(t, s, "<close 1002 reserved opcode>")
		if st := w.server.Stats(t.Context()); st.Ignored != 1 || st.Connections != 1 {
			t.Errorf("%d messages were looked at, %d connections are left", st.Ignored, st.Connections)
		}
		s.hangUp()
		want(t, s, "<close 1002 reserved opcode> <end>")
	})
}

// A peer that sends pings and reads nothing fills its queue to the bound.
func TestPongsAreBounded(t *testing.T) {
	const bound = 1000
	bubble(t, func(l *limits) { l.transport.ClientQueueBytes = bound }, func(t *testing.T, w *world) {
		s := w.connect(w.register(), len(answer))
		for range 10 {
			for range w.server.opts.MaxControlRate {
				s.send(stream("89:" + strings.Repeat("x", 125)))
			}
			if n := s.queued(); n < bound || n >= bound+127+frameOverhead {
				t.Fatalf("%d bytes wait", n)
			}
			w.pass(time.Second)
		}
		s.send(stream("88:"))
		s.give(plenty)
		if got := s.got(); strings.Count(got, "<pong ") != 1 || !strings.HasSuffix(got, "> <close> <end>") {
			t.Errorf("the peer got %s", got)
		}
	})
}

// TestSmallPongsAreBounded: each takes many times its bytes.
func TestSmallPongsAreBounded(t *testing.T) {
	const most = 2000
	bubble(t, func(l *limits) { l.transport.ClientQueueBytes = most * (frameOverhead + 2) }, func(t *testing.T, w *world) {
		s := w.connect(w.register(), len(answer))
		pings := strings.Repeat(string(stream("89:")), w.server.opts.MaxControlRate)
		for range most/w.server.opts.MaxControlRate + 10 {
			s.send([]byte(pings))
			w.pass(time.Second)
		}
		if n := s.queued(); n != most*(frameOverhead+frameSize(0)) {
			t.Errorf("%d bytes of pongs wait", n)
		}
		if n := w.stats().Disconnects[hub.SlowConsumer]; n != 0 {
			t.Error("it was closed for what need not be answered")
		}
	})
}

// TestSmallAnswersAreBounded: nor may a peer have any number of others wait.
func TestSmallAnswersAreBounded(t *testing.T) {
	const most = 2000
	bubble(t, func(l *limits) { l.transport.ClientQueueBytes = most * frameOverhead }, func(t *testing.T, w *world) {
		s := w.connect(w.register(), len(answer))
		for n := 0; w.stats().Disconnects[hub.SlowConsumer] == 0; n++ {
			if n > most {
				t.Fatalf("%d answers wait", n)
			}
			if err := w.hub.Say(&s.conn.Conn, &hub.Frame{Bytes: appendFrame(nil, opText, []byte("{}"))}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
	})
}

func TestPongs(t *testing.T) {
	bubble(t, nil, func(t *testing.T, w *world) {
		s := w.connect(w.register(), plenty)
		s.send(stream("89:", "01:", "89:between"))
		w.publish("1")
		s.send(stream("89:again"))
		want(t, s, "<pong > <pong between> 1 <pong again>")
	})
}

// A socket that fails while its queue is at its bound has ended, and holds on
// to nothing.
func TestASocketThatFailsAtItsBound(t *testing.T) {
	bubble(t, func(l *limits) { l.transport.ClientQueueBytes = 50 }, func(t *testing.T, w *world) {
		other := w.connect(w.register("other"), plenty)
		id := w.register()
		s := w.connect(id, plenty)
		w.hold()
		w.publishTo("other", "0") // the courier is at this one while the others gather
		w.publish(sized("1", 40), sized("2", 40), sized("3", 40))
		_ = s.change(func() { s.broken = true })
		w.release()
		want(t, other, "0")
		want(t, s, "<end>")
		if n := s.queued(); n != 0 {
			t.Errorf("%d bytes wait for a socket that is closed", n)
		}
		want(t, w.connect(id, plenty), "1 2 3")
	})
}

// What happens while the courier writes is gathered in one batch; a connection
// that ends in the middle of it, or between it and the next, loses nothing.
func TestEndsInTheMiddleOfABatch(t *testing.T) {
	t.Parallel()
	const size = 20
	for name, test := range map[string]struct {
		room        int
		first, next string // what the connections get; next also gets the 9
		end         func(w *world, id hub.ID, s *fakeSock)
	}{
		"gone":           {plenty, "<end>", "1 2 3 9", func(_ *world, _ hub.ID, s *fakeSock) { s.hangUp() }},
		"gone with room": {2 * size, "<end>", "1 2 3 9", func(_ *world, _ hub.ID, s *fakeSock) { s.hangUp() }},
		"replaced":       {plenty, "1 2 3 <close 4001 replaced>", "9", func(w *world, id hub.ID, _ *fakeSock) { w.connect(id, 0).hangUp() }},
		"full, replaced": {size + 1, "1 <part>", "2 3 9", func(w *world, id hub.ID, _ *fakeSock) { w.connect(id, 0).hangUp() }},
		"slow":           {size + 1, "1 <part>", "2 3 4 5 6 9", func(w *world, _ hub.ID, _ *fakeSock) { w.publish(sized("4", size), sized("5", size), sized("6", size)) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for range 20 { // the courier takes batches and events in any order
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, func(l *limits) { l.transport.ClientQueueBytes = 4 * (size + frameOverhead) })
					other := w.connect(w.register("other"), plenty)
					id := w.register()
					s := w.connect(id, len(answer)+test.room)
					w.hold()
					other.send(stream("89:hold")) // the pong is held
					w.publish(sized("1", size), sized("2", size), sized("3", size))
					test.end(w, id, s)
					w.release()
					first := s.got()
					w.publish(sized("9", size))
					next := w.connect(id, plenty).got()
					if name == "gone" && first == "1 2 3 <end>" {
						next = "1 2 3 " + next // the batch came first
					}
					if first != test.first && name != "gone" || next != test.next {
						t.Errorf("the connections got %q and %q; want %q and %q", first, next, test.first, test.next)
					}
				})
			}
		})
	}
}

// A client that hears nothing keeps up with the log: what is forgotten
// meanwhile is no gap.
func TestAQuietClientKeepsUp(t *testing.T) {
	bubble(t, func(l *limits) { l.HistoryAge = time.Minute; l.transport.PingInterval = time.Hour }, func(t *testing.T, w *world) {
		id := w.register()
		quiet := w.connect(id, plenty)
		for range 10 {
			w.publishTo("other", "x")
		}
		w.pass(2 * time.Minute)
		if st := w.stats(); st.Retained != 0 {
			t.Fatalf("%d events are retained", st.Retained)
		}
		quiet.hangUp()
		w.publish("1")
		want(t, w.connect(id, plenty), "1")
	})
}

// A replay goes on when the chunk before is written, and not earlier.
func TestChunks(t *testing.T) {
	const size, chunk, events = 20, 256, 700
	publish := func(w *world) {
		for i := range events {
			w.publish(sized(fmt.Sprint(i+1), size))
		}
	}
	// last returns the last event that waits for a socket.
	last := func(s *fakeSock) (position hub.Position) {
		s.world.look(func() {
			for _, f := range s.conn.waiting.waiting() {
				position = f.Position
			}
		})
		return position
	}
	t.Run("one after the other", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, w *world) {
			id := w.register()
			w.connect(id, 0).hangUp()
			publish(w)
			s := w.connect(id, len(answer))
			for written := range events {
				if got, want := last(s), hub.Position(min(events, written/chunk*chunk+chunk)); got != want {
					t.Fatalf("with %d events written, what waits ends at %d; want %d", written, got, want)
				}
				s.give(size)
			}
			w.publish(fmt.Sprint(events + 1))
			s.give(plenty)
			want(t, s, numbers(1, events+1))
			w.look(func() {
				if s.conn.chunk {
					t.Error("the hub will be told once more")
				}
			})
		})
	})
	t.Run("of which the last frame meets the bound", func(t *testing.T) {
		const most = len(answer) + (chunk-1)*size
		bubble(t, func(l *limits) { l.transport.ClientQueueBytes = most + chunk*frameOverhead }, func(t *testing.T, w *world) {
			id := w.register()
			w.connect(id, 0).hangUp()
			publish(w)
			s := w.connect(id, most) // so that for a moment nothing waits
			want(t, s, numbers(1, chunk-1))
			if got := last(s); got != chunk {
				t.Errorf("what waits ends at %d; want %d", got, chunk)
			}
			s.give(plenty)
			want(t, s, numbers(1, events))
		})
	})
	t.Run("that are cut", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, w *world) {
			id := w.register()
			w.connect(id, 0).hangUp()
			publish(w)
			next := 1
			for _, n := range []int{0, 100, chunk - 100 - 1, 1, 1, chunk + 5} {
				s := w.connect(id, len(answer)+n*size+3)
				s.hangUp()
				want(t, s, strings.TrimSpace(numbers(next, next+n-1)+" <part> <end>"))
				next += n
			}
			want(t, w.connect(id, plenty), numbers(next, events))
		})
	})
}

// unread returns a socket whose peer has not acknowledged some bytes, and how
// many.
func unread(t *testing.T) (syscall.RawConn, int) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, peer := os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "peer")
	t.Cleanup(func() { ours.Close(); peer.Close() })
	raw, err := ours.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := ours.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	n, _ := unacknowledged(raw)
	if n == 0 {
		t.Skip("this system does not tell what is not acknowledged")
	}
	return raw, n
}

// What a dead line may have swallowed comes again. Bytes that are no events do
// not count as some.
func TestUnconfirmed(t *testing.T) {
	const size, pong = 200, 2 + 100
	for name, test := range map[string]struct {
		before, after int // pongs before the last event, and after it
		part          int // bytes of one more event
		end           func(s *fakeSock)
	}{
		"gone":                    {0, 0, 0, (*fakeSock).hangUp},
		"closed":                  {0, 0, 0, func(s *fakeSock) { s.send(stream("88:")) }},
		"pongs before":            {5, 0, 0, (*fakeSock).hangUp},
		"pongs after":             {0, 5, 0, (*fakeSock).hangUp},
		"nothing but pongs":       {0, 40, 0, (*fakeSock).hangUp},
		"part of an event":        {0, 0, size / 2, (*fakeSock).hangUp},
		"pongs, then a part":      {0, 3, size - 1, (*fakeSock).hangUp},
		"part, then peer's close": {0, 0, size / 2, func(s *fakeSock) { s.send(stream("88:")) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kernel, unacknowledged := unread(t)
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, nil)
				events := unacknowledged/size + 5
				id := w.register()
				s := newFakeSock(plenty)
				s.kernel = kernel
				w.connectSock(id, s)
				pongs := func(n int) {
					for range n {
						s.send(stream("89:" + strings.Repeat("x", 100)))
					}
				}
				for i := range events {
					if i == events-1 {
						pongs(test.before)
					}
					w.publish(sized(fmt.Sprint(i+1), size))
				}
				pongs(test.after)
				s.give(test.part)
				w.publish(sized(fmt.Sprint(events+1), size))
				test.end(s)

				left := max(0, unacknowledged-test.after*pong-test.part)
				again := (left + size - 1) / size
				want(t, w.connect(id, plenty), numbers(events-again+1, events+1))
			})
		})
	}
}

func TestWaitIdle(t *testing.T) {
	bubble(t, func(l *limits) { l.Couriers = 3 }, func(t *testing.T, w *world) {
		w.server.WaitIdle(t.Context()) // there is nothing to wait for
		id := w.register()
		open, full := w.connect(id, plenty), w.connect(w.register(), len(answer)+3)
		w.publish(sized("1", 20))
		idle := make(chan struct{})
		go func() { w.server.WaitIdle(t.Context()); close(idle) }()
		waits := func(why string) {
			synctest.Wait()
			select {
			case <-idle:
				t.Fatalf("idle with %s", why)
			default:
			}
		}
		waits("two connections")
		full.hangUp()
		waits("one connection")
		if _, err := w.hub.Unregister(id); err != nil {
			t.Fatal(err)
		}
		waits("a connection that closes")
		open.send(stream("88:"))
		<-idle

		w.connect(w.register(), plenty)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		w.server.WaitIdle(ctx)
		if waited := time.Since(begin); waited != time.Second {
			t.Errorf("waited %v; want 1s", waited)
		}
	})
}

// The bubble would tell of goroutines that are left.
func TestTheEndCutsAll(t *testing.T) {
	bubble(t, func(l *limits) { l.Couriers = 2 }, func(t *testing.T, w *world) {
		var socks []*fakeSock
		for i, room := range []int{plenty, 0, len(answer), len(answer) + 5, plenty, plenty, len(answer) + 5} {
			id := w.register()
			s := w.connect(id, room)
			socks = append(socks, s)
			w.publish(sized("1", 20))
			switch i {
			case 4:
				w.pass(w.server.opts.PingInterval + courierTick) // all are pinged
			case 5, 6:
				if _, err := w.hub.Unregister(id); err != nil {
					t.Fatal(err)
				}
			}
		}
		synctest.Wait()
		w.end()
		for i, s := range socks {
			if got := s.got(); !strings.HasSuffix(got, "<end>") || strings.Contains(got, "<close") != (i == 5) {
				t.Errorf("peer %d got %s", i, got)
			}
		}
		if n := w.server.open.Load(); n != 0 {
			t.Errorf("%d connections are open", n)
		}
		if st := w.server.Stats(t.Context()); st != (Stats{}) {
			t.Errorf("after the end: %+v", st)
		}
		w.server.WaitIdle(t.Context())
	})
}

func TestCourierStats(t *testing.T) {
	bubble(t, nil, func(t *testing.T, w *world) {
		const size = 20
		full, quick, gone := w.connect(w.register(), len(answer)+5), w.connect(w.register(), plenty), w.connect(w.register(), plenty)
		w.publish(sized("1", size), sized("2", size))
		gone.hangUp()
		quick.send(stream("82:what", "81:ever", "81:ping", `81:{"topics":["other"]}`))
		w.publishTo("other", sized("3", size))
		want(t, quick, "1 2 3")
		want(t, full, "<part>")
		got := w.server.Stats(t.Context())
		if got.Writes < 8 || got.Writes > 9 { // events that come together leave together
			t.Errorf("%d writes", got.Writes)
		}
		got.Writes = 0
		want := Stats{CourierStats: CourierStats{
			Connections: 2, Blocked: 1, Waiting: 2 * (size + frameOverhead), Opened: 3, Closed: 1, Delivered: 5, Bytes: uint64(3*len(answer) + 5*size + 5),
		}, Ignored: 2}
		if got != want {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
		full.give(plenty)
		if st := w.server.Stats(t.Context()); st.Blocked != 0 || st.Waiting != 0 {
			t.Errorf("%d sockets are full, %d bytes wait", st.Blocked, st.Waiting)
		}
	})
}

// A step is something that happens in a random world.
type step struct {
	do  string
	who int // which client, and
	at  int // which of its connections, counted from the newest
	n   int // bytes of a message, or of room; tenths of a second
}

var genSteps = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
	return step{
		do: rapid.SampledFrom([]string{
			"publish", "publish", "publish", "publish", "burst", "room", "room", "room", "plenty", "connect", "connect", "gate",
			"hang up", "reset", "close", "fault", "ping", "pong", "pass",
		}).Draw(t, "do"),
		who: rapid.IntRange(0, 2).Draw(t, "who"),
		at:  rapid.SampledFrom([]int{0, 0, 0, 1, 2}).Draw(t, "at"),
		n:   rapid.IntRange(0, 250).Draw(t, "n"),
	}
}), 50, 200)

// Whatever sockets and peers do: each connection gets its part of the stream,
// unbroken, and all connections of a client together all of it.
func TestNothingIsTornOrLost(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		steps := genSteps.Draw(rt, "steps")
		var err error
		synctest.Test(t, func(t *testing.T) { err = newRandomWorld(t).run(steps) })
		if err != nil {
			rt.Fatal(err)
		}
	})
}

// A randomWorld is a world with clients of which every connection is known.
type randomWorld struct {
	*world
	published []string // messages, in order; each begins with its number
	clients   [3]randomClient
	held      bool
}

type randomClient struct {
	id    hub.ID
	since int // events published before its first connection
	socks []*fakeSock
}

// randomBound is how many bytes may wait for a connection of a random world.
const randomBound = 1200

func newRandomWorld(t *testing.T) *randomWorld {
	w := &randomWorld{world: newWorld(t, func(l *limits) {
		l.transport.ClientQueueBytes = randomBound
		l.Couriers = 2
		l.Backlog = 50
	})}
	for i := range w.clients {
		w.clients[i].id = w.register()
	}
	return w
}

func (w *randomWorld) run(steps []step) error {
	defer w.openGate()
	for i, st := range steps {
		w.do(st)
		synctest.Wait()
		var err error
		w.look(func() { err = w.checkAll() })
		if err != nil {
			return fmt.Errorf("after step %d, %v: %w", i, st, err)
		}
	}
	w.openGate()
	for j := range w.clients {
		c := &w.clients[j]
		for _, s := range c.socks {
			s.give(plenty)
			s.hangUp()
		}
		w.connectClient(c, plenty)
		var next int
		var err error
		w.look(func() { next, err = w.check(c) })
		switch {
		case err != nil:
			return fmt.Errorf("in the end: client %d: %w", j, err)
		case next != len(w.published)+1:
			return fmt.Errorf("in the end: client %d lacks %d to %d", j, next, len(w.published))
		}
	}
	return nil
}

func (w *randomWorld) openGate() {
	if w.held {
		w.release()
		w.held = false
	}
}

func (w *randomWorld) connectClient(c *randomClient, room int) {
	if len(c.socks) == 0 {
		c.since = len(w.published)
	}
	c.socks = append(c.socks, w.connect(c.id, room))
}

func (w *randomWorld) publishNext(size int) {
	m := sized(fmt.Sprint(len(w.published)+1), size)
	if w.tryPublish("news", m) == nil { // couriers may be too slow
		w.published = append(w.published, m)
	}
}

func (w *randomWorld) do(st step) {
	c := &w.clients[st.who]
	var s *fakeSock
	if i := len(c.socks) - 1 - st.at; i >= 0 {
		s = c.socks[i]
	}
	switch {
	case st.do == "publish":
		w.publishNext(st.n)
	case st.do == "burst":
		for range st.n / 10 {
			w.publishNext(st.n / 5)
		}
	case st.do == "gate" && w.held:
		w.openGate()
	case st.do == "gate":
		w.hold()
		w.held = true
	case st.do == "pass":
		w.pass(time.Duration(st.n) * 100 * time.Millisecond)
	case st.do == "connect":
		w.connectClient(c, len(answer)+st.n)
	case s == nil:
	case st.do == "room":
		s.give(st.n)
	case st.do == "plenty":
		s.give(plenty)
	case st.do == "hang up":
		s.hangUp()
	case st.do == "reset":
		s.reset()
	case st.do == "close":
		s.send(stream("88:\x03\xe8"))
	case st.do == "fault":
		s.send(stream("x:ff"))
	case st.do == "ping":
		s.send(stream("89:" + strings.Repeat("p", st.n/2)))
	case st.do == "pong":
		s.send(stream("8a:"))
	}
}

func (w *randomWorld) checkAll() error {
	for i := range w.clients {
		if _, err := w.check(&w.clients[i]); err != nil {
			return fmt.Errorf("client %d: %w", i, err)
		}
	}
	waiting := make(map[*courier]int)
	for _, c := range w.clients {
		for _, s := range c.socks {
			waiting[s.conn.courier] += s.conn.queued()
		}
	}
	for i, k := range w.server.couriers {
		if k.stats.Waiting != waiting[k] {
			return fmt.Errorf("courier %d counts %d bytes that wait; there are %d", i, k.stats.Waiting, waiting[k])
		}
	}
	return nil
}

// check checks everything that a client got and returns the number of the
// event that it gets next. The first event of a connection may be one that the
// connection before was in the middle of.
func (w *randomWorld) check(c *randomClient) (next int, err error) {
	next = c.since + 1
	for i, s := range c.socks {
		whole, part, err := s.frames()
		if err != nil {
			return 0, err
		}
		started, closed := false, false
		for _, m := range whole {
			if closed {
				return 0, fmt.Errorf("connection %d: a frame after the Close frame", i)
			}
			closed = m.op == opClose
			if m.op != opText {
				continue
			}
			number, _, _ := strings.Cut(string(m.data), ".")
			n, _ := strconv.Atoi(number)
			if !started && i > 0 && n == next-1 {
				next--
			}
			started = true
			if n != next || string(m.data) != w.published[n-1] {
				return 0, fmt.Errorf("connection %d: got %q; want event %d", i, m.data, next)
			}
			next++
		}
		switch {
		case closed && len(part) > 0:
			return 0, fmt.Errorf("connection %d: %q after the Close frame", i, part)
		case s.conn.queued() > randomBound+260: // an event's frame, or a pong and a Close frame
			return 0, fmt.Errorf("connection %d: %d bytes wait", i, s.conn.queued())
		}
	}
	return next, nil
}

// deliveries returns a courier without sockets, with n connections at rest, and
// a batch that brings all of them some events.
func deliveries(tb testing.TB, n, events int) (*courier, *hub.Batch) {
	l := testLimits()
	s := New(hub.New(l.Options), 1, l.transport)
	k := s.couriers[0]
	k.write = func(_ *conn, p []byte) (int, error) { return len(p), nil }
	state := hub.NewState(l.Options)
	state.Tick(time.Now())
	var socks []*fakeSock
	for i := range n {
		var id hub.ID
		binary.BigEndian.PutUint32(id[:], uint32(i+1))
		if _, err := state.Register(hub.Registration{ID: id, User: "1", Topics: []string{"news"}}); err != nil {
			tb.Fatal(err)
		}
		sock := newFakeSock(plenty)
		state.Attach(id, &newConn(tb, s, id, sock).Conn, hub.From{})
		socks = append(socks, sock)
	}
	tb.Cleanup(func() {
		close(k.done) // nobody listens to the readers any more
		for _, s := range socks {
			s.Close()
		}
	})
	k.apply(state.Take(0, &hub.Batch{}))
	k.flush()
	for range events {
		if _, err := state.Publish(hub.Event{Topic: "news", Time: time.Now(), Message: make([]byte, 128)}); err != nil {
			tb.Fatal(err)
		}
	}
	return k, state.Take(0, &hub.Batch{})
}

// Not parallel: allocations of others would count.
func TestDeliveriesAllocateNothing(t *testing.T) {
	const conns, runs = 100, 100
	for _, events := range []int{1, 4, 32} {
		synctest.Test(t, func(t *testing.T) {
			k, b := deliveries(t, conns, events)
			before := k.stats
			synctest.Wait() // for the readers to be at rest
			if allocs := testing.AllocsPerRun(runs-1, func() { k.apply(b); k.flush() }); allocs > 0 {
				t.Errorf("%d events to %d connections: %v allocations", events, conns, allocs)
			}
			frames, writes := k.stats.Delivered-before.Delivered, k.stats.Writes-before.Writes
			if frames != runs*conns*uint64(events) || writes != runs*conns {
				t.Errorf("%d events to %d connections, %d times: %d frames in %d writes", events, conns, runs, frames, writes)
			}
		})
	}
}

func BenchmarkDeliver(b *testing.B) {
	for _, events := range []int{1, 4, 32} {
		b.Run(fmt.Sprintf("events=%d/connections=1000", events), func(b *testing.B) {
			const conns = 1000
			k, batch := deliveries(b, conns, events)
			b.ReportAllocs()
			for b.Loop() {
				k.apply(batch)
				k.flush()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(conns*events), "ns/delivery")
		})
	}
}
