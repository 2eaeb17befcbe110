package transport

import (
	"strings"
	"testing"
	"time"

	"belfry/hub"
)

// partial is what is counted of messages that are not whole.
func (w *world) partial() int { return w.server.Stats(w.t.Context()).Partial }

// A message that is under way has its time, however it comes; what is held of all
// of them is counted, and nothing is left of that.
func TestUnfinishedMessages(t *testing.T) {
	const many, size = 2000, 900
	bubble(t, nil, func(t *testing.T, w *world) {
		limit := w.server.opts.MessageTimeout
		quiet := w.connect(w.register(), plenty)
		socks := make([]*fakeSock, many)
		for i := range socks {
			socks[i] = w.connect(w.register(), plenty)
			socks[i].send(stream("01:" + strings.Repeat("x", size))) // more is to come
		}
		if got := w.partial(); got < many*size || got > 2*many*size {
			t.Errorf("%d bytes are counted of %d messages of %d", got, many, size)
		}
		w.pass(limit / 2)
		for i, s := range socks {
			switch i % 4 {
			case 0: // it ends in time
				s.send(stream("80:x"))
			case 1: // it goes on
				s.send(stream("00:x"))
			case 2: // other frames are of no use to it
				s.send(stream("89:hi"))
			}
		}
		w.pass(limit/2 + courierTick)
		for i, s := range socks {
			got := s.got()
			if closed := strings.HasSuffix(got, "<close 4102 message_timeout>"); closed != (i%4 > 0) {
				t.Fatalf("number %d got %s", i, got)
			}
		}
		if n := w.stats().Disconnects[hub.MessageTimeout]; n != many*3/4 {
			t.Errorf("%d connections were closed for it", n)
		}
		w.pass(w.server.opts.CloseTimeout + courierTick)
		if got := w.partial(); got != 0 || quiet.isClosed() || socks[0].isClosed() {
			t.Errorf("%d bytes are held; closed: %v, %v", got, quiet.isClosed(), socks[0].isClosed())
		}
		w.look(func() {
			if k := w.server.couriers[0]; k.partials.n != 0 {
				t.Errorf("%d messages are awaited", k.partials.n)
			}
		})
	})
}

// Each message has its time: one that begins when another ends, in the same bytes,
// has all of it. Half a header is a message under way, too.
func TestMessagesOneAfterTheOther(t *testing.T) {
	bubble(t, func(l *limits) { l.transport.PingInterval = time.Hour }, func(t *testing.T, w *world) {
		limit := w.server.opts.MessageTimeout
		s := w.connect(w.register(), plenty)
		whole := stream("81:ping")
		s.send(whole[:1])
		for range 5 {
			w.pass(limit - time.Second)
			s.send(append(whole[1:len(whole):len(whole)], whole[0]))
		}
		if got := s.got(); got != "" {
			t.Errorf("got %s", got)
		}
		w.pass(limit + courierTick)
		if got := s.got(); !strings.HasSuffix(got, "<close 4102 message_timeout>") {
			t.Errorf("got %s", got)
		}
	})
}

// However a connection with a message under way ends, nothing of it is left.
func TestEndingsInTheMiddleOfAMessage(t *testing.T) {
	for name, ending := range endings {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, w *world) {
				id := w.register()
				s := w.connect(id, plenty)
				s.send(stream("01:half"))
				if w.partial() == 0 {
					t.Error("nothing is counted")
				}
				ending.do(w, id, s)
				w.pass(w.server.opts.CloseTimeout + courierTick)
				w.look(func() {
					if k := w.server.couriers[0]; k.partials.n != 0 || !s.isClosed() {
						t.Errorf("%d messages are awaited; closed: %v", k.partials.n, s.isClosed())
					}
				})
				if n := w.partial(); n != 0 {
					t.Errorf("%d bytes are held", n)
				}
			})
		})
	}
}
