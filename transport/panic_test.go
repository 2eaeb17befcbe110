package transport

import (
	"testing"
	"testing/synctest"

	"go.uber.org/zap"

	"belfry/hub"
)

// A brittle protocol is one of a connection whose serving panics where the test
// wants it.
type brittle struct {
	protocol
	at string
}

func (p brittle) breaks(at string) {
	if p.at == at {
		panic(at)
	}
}

func (p brittle) note(c *conn, n hub.Note) []byte { p.breaks("note"); return p.protocol.note(c, n) }
func (p brittle) heartbeat(at hub.Cursor) []byte {
	p.breaks("heartbeat")
	return p.protocol.heartbeat(at)
}
func (p brittle) ping() []byte               { p.breaks("ping"); return p.protocol.ping() }
func (p brittle) message(c *conn, m message) { p.breaks("message"); p.protocol.message(c, m) }

func (p brittle) farewell(c *conn, f farewell) []byte {
	p.breaks("farewell")
	return p.protocol.farewell(c, f)
}

// A brittleSock is a socket the use of which panics.
type brittleSock struct {
	*fakeSock
	at string
}

func (s *brittleSock) Write(p []byte) (int, error) {
	if s.at == "write" {
		panic(s.at)
	}
	return s.fakeSock.Write(p)
}

func (s *brittleSock) Close() error {
	if s.at == "close" {
		defer panic(s.at)
	}
	return s.fakeSock.Close()
}

// TestPanics: wherever the serving of a connection panics, it ends, its client
// can come back, and nobody else sees anything of it.
func TestPanics(t *testing.T) {
	t.Parallel()
	for at, provoke := range map[string]func(w *world, id hub.ID, s *fakeSock){
		"note":      func(*world, hub.ID, *fakeSock) {}, // its welcome
		"heartbeat": func(w *world, _ hub.ID, _ *fakeSock) { w.pass(w.server.opts.Heartbeat + courierTick) },
		"ping":      func(w *world, _ hub.ID, _ *fakeSock) { w.pass(w.server.opts.PingInterval + courierTick) },
		"message":   func(_ *world, _ hub.ID, s *fakeSock) { s.send(stream("81:{}")) },
		"farewell":  func(w *world, id hub.ID, _ *fakeSock) { w.connect(id, plenty).hangUp() },
		"fault":     func(_ *world, _ hub.ID, s *fakeSock) { s.send(stream("x:8100")) },
		"raw write": func(w *world, _ hub.ID, _ *fakeSock) { w.publish("1") },
		"write":     func(w *world, _ hub.ID, s *fakeSock) { s.give(1); w.publish("1") },
		"close":     func(_ *world, _ hub.ID, s *fakeSock) { s.hangUp() },
	} {
		t.Run(at, func(t *testing.T) {
			var counted []any
			adjust := func(l *limits) {
				l.transport.Panicked = func(v any, where string, _ ...zap.Field) {
					if where != "connection" {
						t.Errorf("a panic of a %s", where)
					}
					counted = append(counted, v)
				}
			}
			bubble(t, adjust, func(t *testing.T, w *world) {
				id, other := w.register(), w.register()
				w.brittle(at)
				first, after := w.connect(other, plenty), w.connect(w.register(), plenty)
				s := newFakeSock(plenty)
				s.world, s.conn = w, newConn(w.t, w.server, id, s)
				s.conn.sock, s.conn.raw = &brittleSock{s, at}, fakeRaw{s}
				p := brittle{v1{}, at}
				if at == "fault" {
					p.at = "farewell"
				}
				s.conn.speaks, s.conn.Conn.Notes, s.conn.beat = p, true, &heartbeat{}
				w.server.expect(s.conn)
				w.attach(s.conn, id)
				provoke(w, id, s)
				if len(counted) != 1 || !s.isClosed() {
					t.Errorf("panics: %v, closed: %v", counted, s.isClosed())
				}
				w.publish("2")
				for _, bystander := range []*fakeSock{first, after} {
					if m, _, err := bystander.frames(); err != nil || string(m[len(m)-1].data) != "2" || bystander.isClosed() {
						t.Errorf("a bystander got %s", bystander.got())
					}
				}
				if back := w.connect(id, plenty); back.isClosed() {
					t.Error("the client can't come back")
				}
				// The hub may have heard of the end before.
				late := at == "farewell" || at == "fault" || at == "write" || at == "close"
				st := w.stats()
				if n := st.Disconnects[hub.InternalError]; st.Connected != 3 || n > 1 || (n == 0) != late {
					t.Errorf("%d are connected, %v", st.Connected, st.Disconnects)
				}
				if err := w.hub.Drain(); err != nil {
					t.Fatal(err)
				}
				w.server.WaitIdle(t.Context())
				synctest.Wait()
				if n := w.server.open.Load(); n != 0 {
					t.Errorf("%d are open", n)
				}
			})
		})
	}
}

// brittle has raw writes to a brittle socket panic, if they are what should.
func (w *world) brittle(at string) {
	for _, k := range w.server.couriers {
		k.write = func(c *conn, p []byte) (int, error) {
			s, is := c.sock.(*brittleSock)
			if !is {
				return c.sock.(*fakeSock).tryWrite(p)
			}
			if at == "raw write" && len(s.wire) > len(answer)+100 {
				panic(at)
			}
			return s.tryWrite(p)
		}
	}
}

// TestPanicOfAStream: the same of a stream over HTTP/2. Its handler does not return
// while the courier may use its response.
func TestPanicOfAStream(t *testing.T) {
	var counted int
	adjust := func(l *limits) { l.transport.Panicked = func(any, string, ...zap.Field) { counted++ } }
	bubble(t, adjust, func(t *testing.T, w *world) {
		id := w.register()
		s := w.stream(id)
		w.attach(s.conn, id)
		s.mu.Lock()
		s.panics = true
		s.mu.Unlock()
		w.publish("1")
		if counted != 1 || !s.ended() || !s.aborted || w.stats().Connected != 0 {
			t.Errorf("%d panics, ended: %v, aborted: %v, %d are connected", counted, s.ended(), s.aborted, w.stats().Connected)
		}
		w.server.WaitIdle(t.Context())
	})
}
