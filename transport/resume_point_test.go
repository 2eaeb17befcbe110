package transport

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/go-json-experiment/json"

	"belfry/hub"
)

// connectV1 connects a client of belfry.v1.
func (w *world) connectV1(id hub.ID, room int) *fakeSock {
	s := newFakeSock(room)
	s.world = w
	s.conn = newConn(w.t, w.server, id, s)
	s.conn.speaks, s.conn.pulse = v1{}, &pulse{}
	w.server.assign(s.conn, hub.Want{Registered: true, ID: id})
	w.server.open.Add(1)
	if err := w.hub.Attach(id, &s.conn.Conn, hub.From{}); err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait()
	return s
}

// told returns the messages that a client of belfry.v1 got.
func told(t *testing.T, s *fakeSock) (all []v1Message) {
	t.Helper()
	whole, _, err := s.frames()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range whole {
		if m.op != opText {
			continue
		}
		var v v1Message
		if err := json.Unmarshal(m.data, &v); err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	return all
}

type v1Message struct {
	Type   string `json:"type"`
	Reason string `json:"reason"`
	Cursor string `json:"cursor"`
	Replay bool   `json:"replay"`
}

// The closing names no earlier point than what came before it: an event that
// was half written when its connection had to be closed comes whole, and must
// not come again.
func TestTheClosingIsBehindTheLastEvent(t *testing.T) {
	const frame = 300
	publish := func(w *world) {
		for range 8 {
			w.publish(`"` + strings.Repeat("x", frame) + `"`)
		}
	}
	ask := `81:{"op":"subscribe","topics":["news"],"after":"` + (hub.Cursor{Epoch: 1}).String() + `"}`
	for name, do := range map[string]func(w *world, s *fakeSock){
		"events": func(w *world, s *fakeSock) {
			s.give(frame / 2)
			publish(w)
		},
		"a replay": func(w *world, s *fakeSock) {
			publish(w)
			s.give(frame)
			s.send(stream(ask))
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(l *limits) { l.transport.ClientQueueBytes = 5 * frame }, func(t *testing.T, w *world) {
				s := w.connectV1(w.register(), plenty)
				do(w, s)
				s.give(plenty)
				last, closed := "", false
				for _, m := range told(t, s) {
					if m.Cursor != "" && m.Cursor < last {
						t.Errorf("%s: the resume point goes back from %s to %s", m.Type, last, m.Cursor)
					}
					last = max(last, m.Cursor)
					closed = closed || m.Type == "closing" && m.Reason == "slow_consumer"
				}
				if !closed {
					t.Errorf("it was not told why it is closed: %+v", told(t, s))
				}
			})
		})
	}
}

// A connection that the hub has not welcomed yet has no point to come back to:
// it is told of none, and an answer to a request begins with its head.
func TestNoResumePointBeforeTheWelcome(t *testing.T) {
	t.Run("refused", func(t *testing.T) {
		bubble(t, func(l *limits) { l.MaxConnections = 1 }, func(t *testing.T, w *world) {
			w.connectV1(w.register(), plenty)
			s := w.connectV1(w.register(), plenty)
			if all := told(t, s); len(all) != 1 || all[0] != (v1Message{Type: "closing", Reason: "over_capacity"}) {
				t.Errorf("it was told %+v", all)
			}
		})
	})
	t.Run("slowly", func(t *testing.T) {
		l := testLimits()
		server := New(hub.New(l.Options), 1, l.transport)
		k := server.couriers[0]
		stream := &httpStream{writes: make(chan []byte, 1)}
		c := &conn{server: server, courier: k, speaks: sse{}, sock: stream, fd: noSocket, pulse: &pulse{}}
		c.opening = &opening{answer: []byte("head"), refuse: func(*conn, farewell) []byte { return nil }}
		k.open(c)
		for range 3 {
			k.now += int64(l.transport.Heartbeat)
			k.sweep()
		}
		if c.waiting != nil {
			t.Errorf("it was told %q", c.waiting.rest())
		}
		k.note(c, hub.Welcome{})
		if c.waiting == nil || string(c.waiting.rest()) != "head" {
			t.Error("it was not told the answer first")
		}
	})
}
