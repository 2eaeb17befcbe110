package transport

import (
	"time"

	"belfry/hub"
)

// What happens in a simulation.

// step has something happen.
func (s *sim) step() {
	switch n := s.rng.IntN(100); {
	case n < 25:
		for range 1 + s.rng.IntN(3) {
			s.publish()
		}
		s.handOut()
	case n < 42:
		s.serve(1 + s.rng.IntN(8))
	case n < 50:
		for range 1 + s.rng.IntN(3) {
			s.read()
		}
	case n < 64:
		s.posts[s.rng.IntN(len(s.posts))].work()
	case n < 80:
		p := s.peers[s.rng.IntN(len(s.peers))]
		p.read(either(s, 1<<20, 1<<20, 10, 100))
	case n < 96:
		s.peers[s.rng.IntN(len(s.peers))].act()
	case n < 99:
		s.pass(either(s, 300*time.Millisecond, time.Second, 5*time.Second, 20*time.Second))
	default:
		s.upset()
	}
}

// read has the hub read a chunk for somebody.
func (s *sim) read() {
	if !s.state.Congested() && s.state.Busy() {
		s.state.Work()
		s.handOut()
	}
}

// upset does what does not happen often.
func (s *sim) upset() {
	switch s.rng.IntN(8) {
	case 0:
		s.restart()
	case 1:
		s.draining = true
		s.logf("drain")
		s.state.Drain()
		s.handOut()
		for range s.rng.IntN(4) {
			s.serve(100)
			for _, p := range s.posts {
				p.work()
			}
			for _, p := range s.peers {
				p.read(either(s, 1<<20, 50))
			}
		}
		s.restart()
	case 2, 3:
		if p := s.peers[s.rng.IntN(len(s.peers))]; p.registered {
			s.logf("%s is unregistered", p.name)
			s.state.Unregister(p.id)
			s.handOut()
		}
	default: // nobody reads for a while
		for range 30 {
			s.publish()
			s.serve(10)
			s.posts[s.rng.IntN(len(s.posts))].work()
		}
	}
}

// rest does all that can be done at once.
func (s *sim) rest() {
	for range 40 {
		s.serve(1 << 20)
		for s.state.Busy() && !s.state.Congested() {
			s.read()
			s.serve(1 << 20)
		}
		for _, p := range s.posts {
			p.work()
		}
		for _, p := range s.peers {
			if p.line != nil {
				p.line.stalled = false
				p.read(1 << 30)
			}
		}
		for _, k := range s.socks {
			if k.peer == nil && !k.told {
				k.gone()
			}
		}
		s.bounded()
	}
}

// settle lets everybody come back and get what there is, and compares each peer
// with what it may see.
func (s *sim) settle() {
	s.logf("-- settle")
	s.room = 1 << 24                       // or a peer that is far from the head would be slow again and again
	s.transport.ClientQueueBytes = 1 << 20 // the same for streams, which are lent less than there is room for
	for _, p := range s.posts {
		p.courier.queueBytes = s.transport.ClientQueueBytes
	}
	for range 4 {
		s.rest()
		s.pass(11 * time.Second) // takeovers are allowed again
		for _, p := range s.peers {
			if p.line == nil {
				p.connect()
			}
		}
	}
	s.rest()
	for range 3 { // heartbeats
		s.pass(s.transport.Heartbeat)
		s.rest()
	}
	for _, p := range s.peers {
		if p.line != nil {
			p.complete()
		} else if s.state.Stats().Connected < s.opts.MaxConnections {
			s.failf("%s is not connected", p.name)
		}
	}
}

// end has everything run out: nothing must be left.
func (s *sim) end() {
	s.logf("-- end")
	for _, p := range s.peers {
		p.cut()
	}
	s.rest()
	for range 3 {
		s.pass(2 * time.Hour)
		s.rest()
	}
	st := s.state.Stats()
	if st.Clients != 0 || st.Connected != 0 || st.Users != 0 || st.Topics != 0 || st.Patterns != 0 || st.Reading != 0 ||
		st.Retained != 0 || st.RetainedBytes != 0 || st.Deliveries != 0 {
		s.failf("the hub has left: %+v", st)
	}
	for _, p := range s.posts {
		k := p.courier
		if k.connections() != 0 || k.beats.n != 0 || k.stats.Waiting != 0 || k.stats.Blocked != 0 || len(k.dirty) != 0 || k.stats.Opened != k.stats.Closed {
			s.failf("a courier has left: %+v, %d connections, %d heartbeats", k.stats, k.connections(), k.beats.n)
		}
	}
	if n := s.server.open.Load(); n != 0 || len(s.socks) != 0 {
		s.failf("%d connections are open, %d sockets", n, len(s.socks))
	}
}

// position returns a cursor of this log or, rarely, of an earlier one.
func (s *sim) position() hub.Cursor {
	n := len(s.logs) - 1
	if s.rng.IntN(8) == 0 {
		n = s.rng.IntN(len(s.logs))
	}
	return hub.Cursor{Epoch: uint64(n + 1), Position: hub.Position(s.rng.IntN(len(s.logs[n]) + 1))}
}
