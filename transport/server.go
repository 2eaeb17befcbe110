// Package transport holds the connections of clients. Each is an actor that talks to the
// hub by messages. A reader takes what the peer sends. A courier, which many connections
// share, writes what the hub has for it.
//
//   - server.go, handshake.go, sse.go: how a connection begins
//   - conn.go, frame.go: its read side
//   - courier.go, writing.go, backlog.go, sink*.go: its write side
//   - closing.go, due.go, phase.go: its deadlines and its end
//   - resume.go: how far it is
//   - protocol.go, bare.go, v1*.go, cloudevents.go, sse.go, chunk.go: how it speaks
package transport

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"

	"belfry/hub"
)

// Options are the bounds of connections. All are above zero.
type Options struct {
	Limits
	SlowPolicy     hub.SlowPolicy // of connections that do not choose one
	BurstBytes     int            // of events that may be on their way to a courier: the hub's bound
	Queue          int            // events waiting for a courier, above which readers wait
	PingInterval   time.Duration  // from a sign of life to the next ping
	PongTimeout    time.Duration  // from a ping to its pong
	MessageTimeout time.Duration  // from a message's first bytes to its last
	CloseTimeout   time.Duration  // from a Close frame to the end of the connection
	Heartbeat      time.Duration  // the longest silence of a connection with heartbeats
	ReconnectDelay time.Duration  // the shortest wait of a client before it comes back
	StallTimeout   time.Duration  // the longest time that one write to an HTTP/2 stream may take
	// Authenticate returns the user of a token and what it grants, for a client that
	// renews its own.
	Authenticate func(token string) (user string, grant *hub.Grant, publish hub.Publisher, err error)
	CloudEvents  CloudEventDefaults
	Denied       func(code, reason, op string)                 // logs why the hub does not permit an operation
	Panicked     func(v any, where string, about ...zap.Field) // counts and logs what was recovered from
	Log          *zap.Logger
}

// Limits are the bounds that can change while the server runs.
type Limits struct {
	MaxMessage       int // bytes of one message from a client
	MaxFragments     int // frames of one message from a client
	MaxControlRate   int // control frames per second from a client
	MaxSubscriptions int // of a client; the hub's limit, for clients to know
	ClientQueueBytes int // bytes that may wait for one connection
}

// A Server takes connections and holds them until they end.
type Server struct {
	hub      *hub.Hub
	opts     Options
	limits   atomic.Pointer[Limits] // those in force
	couriers []*courier
	open     atomic.Int64 // connections whose socket is not closed
	partial  atomic.Int64 // bytes of unfinished messages
	ignored  atomic.Uint64
	pressure atomic.Int32   // see SetPressure
	work     sync.WaitGroup // couriers, and what they have started
}

// New returns a server with as many couriers as the hub has.
func New(h *hub.Hub, couriers int, opts Options) *Server {
	s := &Server{hub: h, opts: opts}
	s.limits.Store(&opts.Limits)
	for i := range couriers {
		s.couriers = append(s.couriers, newCourier(i, h, &s.opts))
	}
	return s
}

// SetLimits replaces the limits, from now on.
func (s *Server) SetLimits(l Limits) {
	s.limits.Store(&l)
	for _, k := range s.couriers {
		k.tell(report{kind: reportDo, work: func() { k.queueBytes = l.ClientQueueBytes }})
	}
}

// SetPressure says how short memory is. Each level halves what may wait for a connection.
// A connection for which more waits is slow as soon as there is more for it.
func (s *Server) SetPressure(level int) {
	if s.pressure.Swap(int32(level)) == int32(level) {
		return
	}
	for _, k := range s.couriers {
		k.tell(report{kind: reportDo, work: func() { k.pressure = level }})
	}
}

// Run works until ctx ends; then it aborts the connections that are left.
func (s *Server) Run(ctx context.Context) {
	for _, k := range s.couriers {
		s.work.Go(func() { k.run(ctx) })
	}
	s.work.Wait()
}

// WaitIdle waits until no connection is left or ctx ends.
func (s *Server) WaitIdle(ctx context.Context) {
	for _, k := range s.couriers {
		k.ask(ctx, reportIdle)
	}
}

// Accept answers the WebSocket handshake and gives the connection to the hub. The caller
// checks whether a page's origin may connect. If the caller has found the request invalid,
// it says so. Accept fails, before anything is answered, with invalid, with the errors of
// [hub.Hub.Admit] and [hub.Hub.AdmitNew], or with a [*HandshakeError]. A client that offers
// belfry.v1 is told all but the last in-band.
func (s *Server) Accept(w http.ResponseWriter, r *http.Request, want hub.Want, invalid error) error {
	speaks, refusal := subprotocolOf(r), invalid
	if !speaks.refusesInBand() {
		if refusal == nil {
			refusal = s.admit(want)
		}
		if refusal != nil {
			return refusal
		}
	}
	answer, err := negotiate(r, speaks.subprotocol())
	if err != nil {
		return err
	}
	c := &conn{server: s, speaks: speaks, opening: &opening{answer: answer}}
	if err := speaks.accept(c, want); err != nil {
		return err
	}
	s.assign(c, want)
	ok, err := s.takeSocket(w, c)
	switch {
	case !ok:
		return err
	case refusal != nil:
		s.refuse(c, refusal)
	default:
		s.attach(c, want)
	}
	return nil
}

// admit asks the hub whether a connection may be made.
func (s *Server) admit(want hub.Want) error {
	if want.Registered {
		return s.hub.Admit(want.ID)
	}
	return s.hub.AdmitNew(want.User, len(want.Topics))
}

// assign gives a connection its courier, the same for all connections of a client.
func (s *Server) assign(c *conn, want hub.Want) {
	c.courier = s.couriers[int(want.ID[0])%len(s.couriers)]
	c.handle, c.address = want.ID.Handle(), want.Address
	c.Conn = c.speaks.conn()
	if c.Notes {
		c.beat = &heartbeat{}
	}
	c.Conn.Owner, c.Conn.Courier = c, int32(c.courier.number)
	c.Conn.Slow = s.opts.SlowPolicy
	if want.Slow != nil {
		c.Conn.Slow = *want.Slow
	}
	if !c.Conn.Notes && c.Conn.Slow == hub.SlowDropOldest {
		c.Conn.Slow = hub.SlowClose // the protocol can't tell what was lost
	}
}

// takeSocket takes a connection's socket from the HTTP server. If the peer is gone, it
// reports neither success nor an error: nobody waits for an answer.
func (s *Server) takeSocket(w http.ResponseWriter, c *conn) (ok bool, err error) {
	sock, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return false, fmt.Errorf("take over the connection: %w", err)
	}
	defer func() {
		if !ok {
			sock.Close() // the HTTP server does not
		}
	}()
	if c.use(sock) != nil {
		return false, nil
	}
	if n := buffered.Reader.Buffered(); n > 0 {
		early, _ := buffered.Reader.Peek(n) // cannot fail: they are there
		c.opening.early = bytes.Clone(early)
	}
	return true, nil
}

// use gives a connection its socket.
func (c *conn) use(sock net.Conn) error {
	if secure, ok := sock.(*tls.Conn); ok {
		return c.useTLS(secure)
	}
	sc, ok := sock.(syscall.Conn)
	if !ok {
		return errors.ErrUnsupported
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return err
	}
	c.sock, c.raw, c.sink = sock, raw, tcpSink{}
	return raw.Control(func(fd uintptr) {
		c.fd = int32(fd)
		if c.Slow == hub.SlowLatest {
			limitUnsent(c.fd, unsentLatestBytes)
		}
	})
}

// attach gives a connection to the hub.
func (s *Server) attach(c *conn, want hub.Want) {
	taken(c.sock)
	if !s.expect(c) {
		return
	}
	var err error
	if want.Registered {
		err = s.hub.Attach(want.ID, &c.Conn, want.From)
	} else {
		err = s.hub.Connect(hub.Registration{ID: want.ID, User: want.User, Topics: want.Topics, Grant: want.Grant}, &c.Conn, want.From)
	}
	if err != nil && c.courier.coming.remove(c) { // the hub has ended
		c.abort()
	}
}

// expect tells a courier that a connection comes. It reports whether the courier still
// runs; else the connection is aborted.
func (s *Server) expect(c *conn) bool {
	s.open.Add(1)
	if c.courier.coming.add(c) {
		return true
	}
	c.abort()
	return false
}

// refuse has a connection closed that can't be accepted, and its peer told why.
func (s *Server) refuse(c *conn, err error) {
	if !s.expect(c) {
		return
	}
	e := report{kind: reportRefused, c: c, reason: hub.PolicyViolation, text: err.Error()}
	if topic, ok := errors.AsType[*hub.TopicError](err); ok && topic.Reserved {
		e.reason = hub.Forbidden
	} else if errors.Is(err, hub.ErrForbidden) {
		e.reason, e.text = hub.Forbidden, publicText(err)
	} else if errors.Is(err, hub.ErrOverCapacity) {
		e.reason, e.text = hub.OverCapacity, hub.OverCapacity.String()
	} else if errors.Is(err, hub.ErrUnknownClient) {
		e.reason, e.text = hub.UnknownClient, hub.UnknownClient.String()
	}
	e.code = closeCodes[e.reason]
	c.courier.tell(e)
}

// publicText returns the part of an error that clients may know.
func publicText(err error) string {
	if p, ok := errors.AsType[interface {
		error
		Public() string
	}](err); ok {
		return p.Public()
	}
	return err.Error()
}

// ended counts and logs a connection whose socket is closed.
func (s *Server) ended(c *conn) {
	s.open.Add(-1)
	if e := s.opts.Log.Check(zap.DebugLevel, "connection ended"); e != nil {
		e.Write(zap.Stringer("client", c.handle), zap.Stringer("reason", c.reason))
	}
}

// Stats are the transport's figures at one moment.
type Stats struct {
	CourierStats
	Partial int    // bytes of unfinished messages from clients
	Ignored uint64 // counter: client messages that were not understood
}

// Stats returns the sum of the figures of all couriers that answer before ctx ends.
func (s *Server) Stats(ctx context.Context) Stats {
	var sum Stats
	for _, k := range s.couriers {
		st := k.ask(ctx, reportStats)
		sum.Connections += st.Connections
		sum.Blocked += st.Blocked
		sum.Inbox += st.Inbox
		sum.Waiting += st.Waiting
		sum.Opened += st.Opened
		sum.Closed += st.Closed
		sum.Writes += st.Writes
		sum.Delivered += st.Delivered
		sum.Bytes += st.Bytes
	}
	sum.Partial, sum.Ignored = int(s.partial.Load()), s.ignored.Load()
	return sum
}
