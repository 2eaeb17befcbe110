package transport

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"belfry/hub"
)

// Cases that simulations have found, or should have: each with the fewest steps.

// small returns a simulation in which nothing happens by itself.
func small(t *testing.T, adjust func(*sim)) *sim {
	l := testLimits()
	s := &sim{rng: rand.New(rand.NewPCG(1, 1)), opts: l.Options, transport: l.transport, size: 1, room: 1 << 20, now: time.Unix(1e9, 0)}
	adjust(s)
	s.begin()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%d events, %d commands wait", s.events, len(s.inbox))
		}
	})
	return s
}

// run does a case; what a peer finds wrong fails the test.
func run(t *testing.T, test func()) {
	defer func() {
		if fault, is := recover().(simFault); is {
			t.Fatal(fault)
		}
	}()
	test()
}

// goOn does what there is to do for the hub and its couriers.
func (s *sim) goOn() {
	for range 4 {
		s.serve(100)
		for s.state.Busy() {
			s.read()
		}
		for _, p := range s.posts {
			p.work()
		}
	}
}

// to publishes events to topic a, one after the other.
func (s *sim) to(n int) {
	for range n {
		last := len(s.logs) - 1
		s.logs[last] = append(s.logs[last], simEvent{number: s.events})
		message := bytes.Repeat([]byte("."), 100)
		message[0] = byte('0' + s.events%10)
		if _, err := s.state.Publish(hub.Event{ID: "x", Topic: simTopics[0], Time: s.now, Message: message, Text: true}); err != nil {
			s.failf("%v", err)
		}
		s.events++
	}
	s.goOn()
}

func (s *sim) peer(topics ...string) *peer {
	p := &peer{sim: s, name: "the peer", kind: v1{}, topics: topics}
	s.peers = append(s.peers, p)
	return p
}

func (p *peer) connectAnd(room int) {
	p.sim.room = room
	p.connect()
	p.sim.goOn()
}

// readAll has the peer read to the end of its line, or of what there is.
func (p *peer) readAll() {
	p.sim.room = 1 << 20
	for range 10 {
		p.read(1 << 20)
		p.sim.goOn()
	}
}

func cursorIs(t *testing.T, p *peer, want hub.Position) {
	t.Helper()
	if p.cursor != (hub.Cursor{Epoch: 1, Position: want}) {
		t.Errorf("the peer is at %v, want %d", p.cursor, want)
	}
	if p.line != nil {
		t.Error("the connection has not ended")
	}
}

// The closing message must not name a position before an event that goes out
// whole in front of it.
func TestClosingBehindAnEventThatWasBegun(t *testing.T) {
	t.Parallel()
	run(t, func() {
		s := small(t, func(s *sim) { s.transport.ClientQueueBytes = 800 })
		p := s.peer("a")
		p.connectAnd(1 << 20)
		p.read(1 << 20)
		s.room = 300 // one event and a part of the next
		s.to(8)
		p.readAll()
		cursorIs(t, p, 2)
	})
}

// While the broker drains, all of the backlog goes out.
func TestClosingBehindTheBacklog(t *testing.T) {
	t.Parallel()
	run(t, func() {
		s := small(t, func(*sim) {})
		p := s.peer("a")
		p.connectAnd(1 << 20)
		p.read(1 << 20)
		p.ask(&request{op: "unsubscribe", topics: []string{"b"}})
		s.room = 100
		last := len(s.logs) - 1
		for range 3 { // in one batch with the end
			s.logs[last] = append(s.logs[last], simEvent{number: s.events})
			_, _ = s.state.Publish(hub.Event{ID: "x", Topic: "a", Time: s.now, Message: []byte{byte('0' + s.events)}, Text: true})
			s.events++
		}
		s.state.Drain()
		s.goOn()
		p.readAll()
		cursorIs(t, p, 3)
	})
}

// What is replayed says nothing about how far the connection is.
func TestClosingInAReplay(t *testing.T) {
	t.Parallel()
	run(t, func() {
		s := small(t, func(s *sim) { s.transport.ClientQueueBytes = 800 })
		s.to(8)
		p := s.peer("b")
		p.connectAnd(1 << 20)
		p.read(1 << 20)
		w := &wish{[]string{"a"}, hub.From{After: &hub.Cursor{Epoch: 1}}}
		s.room = 100
		p.ask(&request{op: "subscribe", topics: w.topics, from: w.from, wish: w})
		s.goOn()
		p.readAll()
		cursorIs(t, p, 8)
	})
}

// A gap that the peer does not get has not been told.
func TestClosingBeforeAGap(t *testing.T) {
	t.Parallel()
	run(t, func() {
		s := small(t, func(s *sim) { s.transport.ClientQueueBytes, s.opts.HistoryEvents = 600, 3 })
		s.to(9)
		p := s.peer("a")
		p.cursor = hub.Cursor{Epoch: 1, Position: 2}
		p.connectAnd(20)
		p.readAll()
		cursorIs(t, p, 2)
	})
}

// Who is refused keeps the cursor that it has.
func TestClosingWithoutACursor(t *testing.T) {
	t.Parallel()
	run(t, func() {
		s := small(t, func(s *sim) { s.opts.MaxConnections = 1 })
		s.to(5)
		s.peer("a").connectAnd(1 << 20)
		p := s.peer("a")
		p.cursor = hub.Cursor{Epoch: 1, Position: 3}
		p.connectAnd(1 << 20)
		p.readAll()
		cursorIs(t, p, 3)
	})
}

// A connection that began after a cursor of the future has come to where the
// log is, not further.
func TestResumingFromTheFuture(t *testing.T) {
	t.Parallel()
	run(t, func() {
		s := small(t, func(*sim) {})
		id := s.id()
		if _, err := s.state.Register(hub.Registration{ID: id, Topics: []string{"a"}}); err != nil {
			t.Fatal(err)
		}
		s.to(2)
		connect := func(from hub.From) *simSock {
			c := &conn{server: s.server, speaks: v1{}, opening: &opening{answer: []byte(answer)}}
			s.server.assign(c, hub.Want{Registered: true, ID: id})
			k := &simSock{sim: s, post: s.posts[0], conn: c}
			c.sock, c.sink = k, tcpSink{}
			s.state.Attach(id, &c.Conn, from)
			s.goOn()
			return k
		}
		k := connect(hub.From{After: &hub.Cursor{Epoch: 1, Position: 99}})
		k.kernel = nil // the peer has all of it
		k.gone()
		s.goOn()
		s.to(1)
		if k = connect(hub.From{}); !bytes.Contains(k.kernel, []byte(`"data":"2...`)) {
			t.Errorf("the next connection got %q", k.kernel)
		}
	})
}
