package transport

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"belfry/hub"
)

// Streams of server-sent events over HTTP/2: their bytes go through the
// goroutine of their request.

// A fakeResponse is a response over HTTP/2 whose peer is the test.
type fakeResponse struct {
	mu     sync.Mutex
	header http.Header
	status int
	body   []byte
	broken bool // writes fail
	panics bool // writes do
}

func (r *fakeResponse) Header() http.Header { return r.header }

func (r *fakeResponse) WriteHeader(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

func (r *fakeResponse) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.panics {
		panic("write")
	}
	if r.broken {
		return 0, errors.New("the stream was reset")
	}
	r.body = append(r.body, p...)
	return len(p), nil
}

func (r *fakeResponse) FlushError() error                { return nil }
func (r *fakeResponse) SetWriteDeadline(time.Time) error { return nil }

// A fixedTail is what is below a stream whose peer has acknowledged all but that.
type fixedTail int

func (t fixedTail) unacked() int { return int(t) }

// A fakeStream is a request for a stream over HTTP/2.
type fakeStream struct {
	*fakeResponse
	conn     *conn
	leave    func()        // the peer resets the stream
	aborted  bool          // the request has ended by a panic of net/http's
	answered chan struct{} // closed when the request has been
}

// stream begins a request, without giving its connection to the hub.
func (w *world) stream(id hub.ID) *fakeStream {
	s := &fakeStream{fakeResponse: &fakeResponse{header: make(http.Header)}, answered: make(chan struct{})}
	st := newHTTPStream(s.fakeResponse, w.server.opts.StallTimeout, fixedTail(0))
	s.conn = &conn{server: w.server, speaks: sse{}, deaf: true, discards: true, sock: st, sink: http2Sink{st}}
	s.conn.opening = &opening{answer: []byte("retry: 1\n"), refuse: func(*conn, farewell) []byte { return nil }}
	w.server.assign(s.conn, hub.Want{Registered: true, ID: id})
	ctx, cancel := context.WithCancel(w.t.Context())
	s.leave = func() { cancel(); synctest.Wait() }
	w.server.expect(s.conn)
	go func() {
		defer close(s.answered)
		defer func() { s.aborted = recover() == http.ErrAbortHandler }()
		st.serve(ctx, s.conn)
	}()
	return s
}

func (w *world) attach(c *conn, id hub.ID) {
	if err := w.hub.Attach(id, &c.Conn, hub.From{}); err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait()
}

// ended reports whether the request has been answered.
func (s *fakeStream) ended() bool {
	select {
	case <-s.answered:
		return true
	default:
		return false
	}
}

// A peer that is gone before the hub has opened its connection: the end waits for
// the beginning.
func TestAStreamThatEndsBeforeItBegins(t *testing.T) {
	bubble(t, nil, func(t *testing.T, w *world) {
		id := w.register()
		for range 3 {
			s := w.stream(id)
			s.leave()
			if s.ended() {
				t.Error("it has ended before the hub knows of it")
			}
			w.attach(s.conn, id)
			if !s.ended() {
				t.Error("it has not ended")
			}
		}
		if st := w.stats(); st.Connected != 0 || st.Disconnects[hub.Disconnected] != 3 {
			t.Errorf("%d are connected, %v", st.Connected, st.Disconnects)
		}
		w.look(func() {
			k := w.server.couriers[0]
			if k.connections() != 0 || k.stats.Opened != 3 || k.stats.Closed != 3 || w.server.open.Load() != 0 {
				t.Errorf("the courier has %d connections: %+v", k.connections(), k.stats)
			}
		})
		if err := w.hub.Drain(); err != nil {
			t.Fatal(err)
		}
		w.server.WaitIdle(t.Context())
	})
}

// One that is gone while its answer is written, or later.
func TestAStreamThatEnds(t *testing.T) {
	bubble(t, nil, func(t *testing.T, w *world) {
		id := w.register()
		for _, leave := range []func(*fakeStream){
			func(s *fakeStream) { s.leave() },
			func(s *fakeStream) { s.mu.Lock(); s.broken = true; s.mu.Unlock(); w.publish("x") },
			func(s *fakeStream) { w.server.couriers[0].tell(report{kind: reportGone, c: s.conn}); s.leave() },
		} {
			s := w.stream(id)
			w.attach(s.conn, id)
			leave(s)
			if !s.ended() || w.stats().Connected != 0 {
				t.Errorf("ended: %v, %d are connected", s.ended(), w.stats().Connected)
			}
		}
	})
}

// When the broker ends, so do the streams that the hub has not opened.
func TestAStreamThatIsComingWhenTheBrokerEnds(t *testing.T) {
	bubble(t, nil, func(t *testing.T, w *world) {
		before, left := w.stream(w.register()), w.stream(w.register())
		left.leave()
		w.end()
		late := w.stream(hub.ID{})
		for _, s := range []*fakeStream{before, left, late} {
			synctest.Wait()
			if !s.ended() {
				t.Error("a stream has not ended")
			}
		}
		if n := w.server.open.Load(); n != 0 {
			t.Errorf("%d are open", n)
		}
	})
}

// Who waits for the last connection's end waits for those that are coming, too.
func TestIdleWithStreamsThatAreComing(t *testing.T) {
	bubble(t, nil, func(t *testing.T, w *world) {
		id := w.register()
		s := w.stream(id)
		idle := make(chan struct{})
		go func() { w.server.WaitIdle(t.Context()); close(idle) }()
		synctest.Wait()
		select {
		case <-idle:
			t.Error("a connection that is coming does not count")
		default:
		}
		w.attach(s.conn, id)
		s.leave()
		<-idle
	})
}

// Events that have expired while a stream could not be written to leave nothing
// to write. The stream is not lent that.
func TestAStreamOfExpiredEvents(t *testing.T) {
	t.Parallel()
	b := &tallyBroker{}
	l := testLimits()
	k := newCourier(0, b, &l.transport)
	st := newHTTPStream(&fakeResponse{}, time.Minute, nil)
	c := &conn{sock: st, sink: http2Sink{st}, speaks: sse{}, opening: &opening{}}
	c.phase = phaseOpen
	k.deliver(c, &hub.Frame{Position: 1, Bytes: []byte("gone"), Expires: time.Unix(1, 0)})
	k.flush()
	k.deliver(c, &hub.Frame{Position: 2, Bytes: []byte("gone"), Expires: time.Unix(1, 0)})
	k.flush()
	if c.waiting != nil || len(st.writes) != 0 || c.resume.written != 2 || k.stats.Waiting != 0 {
		t.Errorf("waiting: %v, %d lent, up to %d", c.waiting, len(st.writes), c.resume.written)
	}
}
