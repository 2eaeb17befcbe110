// Package transport holds the connections of subscribers. Each is an actor
// that talks to the hub by messages: a reader takes what the peer sends, a
// courier, shared by many connections, writes what the hub has for it.
package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/go-json-experiment/json"
	"go.uber.org/zap"

	"belfry/hub"
)

// The encodings of events.
const (
	// Bare is the protocol without a name: each event is one text frame that
	// holds the message.
	Bare hub.Encoding = iota
)

// Encode returns an event in the form in which it goes over the wire. It is a
// pure function, for [hub.Options].
func Encode(_ hub.Encoding, ev *hub.Event) []byte {
	return appendFrame(make([]byte, 0, frameSize(len(ev.Message))), opText, ev.Message)
}

// Options are the limits of connections. All are above zero.
type Options struct {
	MaxMessage       int           // bytes of one message from a client
	MaxFragments     int           // frames of one message from a client
	MaxControlRate   int           // control frames per second from a client
	ClientQueueBytes int           // bytes that may wait for one connection
	Queue            int           // events waiting for a courier, above which readers wait
	PingInterval     time.Duration // from a sign of life to the next ping
	PongTimeout      time.Duration // from a ping to its pong
	CloseTimeout     time.Duration // from a Close frame to the end of the connection
	Log              *zap.Logger
}

// A Server takes WebSocket connections and holds them until they end.
type Server struct {
	hub      *hub.Hub
	opts     Options
	couriers []*courier
	open     atomic.Int64 // connections whose socket is not closed
	ignored  atomic.Uint64
	work     sync.WaitGroup // couriers, and what they have started
}

// New returns a server with as many couriers as the hub has.
func New(h *hub.Hub, couriers int, opts Options) *Server {
	s := &Server{hub: h, opts: opts}
	for i := range couriers {
		s.couriers = append(s.couriers, newCourier(i, h, &s.opts))
	}
	return s
}

// Run works until ctx ends; then it cuts the connections that are left.
func (s *Server) Run(ctx context.Context) {
	for _, k := range s.couriers {
		s.work.Go(func() { k.run(ctx) })
	}
	s.work.Wait()
}

// WaitIdle waits until no connection is left or ctx ends.
func (s *Server) WaitIdle(ctx context.Context) {
	for _, k := range s.couriers {
		k.ask(ctx, evIdle)
	}
}

// Accept answers the WebSocket handshake of a registered client and gives the
// connection to the hub. Whether a page's origin may connect is the caller's
// to check. It fails, before anything is answered, with the
// errors of [hub.Hub.Admit] or with a [*HandshakeError]. Protocols other than
// the bare one are not offered.
func (s *Server) Accept(w http.ResponseWriter, r *http.Request, id hub.ID) error {
	if err := s.hub.Admit(id); err != nil {
		return err
	}
	answer, err := negotiate(r)
	if err != nil {
		return err
	}
	sock, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return fmt.Errorf("take over the connection: %w", err)
	}
	c, err := s.newConn(id, sock, answer)
	if err == nil {
		err = c.raw.Control(func(fd uintptr) { c.fd = int32(fd) })
	}
	if err != nil {
		sock.Close()
		return nil // the peer is gone; there is nobody to answer
	}
	if n := buffered.Reader.Buffered(); n > 0 {
		early, _ := buffered.Reader.Peek(n) // cannot fail: they are there
		c.opening.early = bytes.Clone(early)
	}
	s.open.Add(1)
	if s.hub.Attach(id, &c.Conn) != nil {
		c.reason = hub.Draining
		c.finish(true)
	}
	return nil
}

func (s *Server) newConn(id hub.ID, sock net.Conn, answer []byte) (*conn, error) {
	sc, ok := sock.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil, err
	}
	// The same courier for all connections of a client.
	k := s.couriers[int(id[0])%len(s.couriers)]
	c := &conn{server: s, courier: k, sock: sock, raw: raw, handle: id.Handle(), opening: &opening{answer: answer}}
	c.Conn = hub.Conn{Owner: c, Encoding: Bare, Courier: int32(k.number)}
	return c, nil
}

// ended counts and logs a connection whose socket is closed.
func (s *Server) ended(c *conn) {
	s.open.Add(-1)
	if e := s.opts.Log.Check(zap.DebugLevel, "connection ended"); e != nil {
		e.Write(zap.Stringer("client", c.handle), zap.Stringer("reason", c.reason))
	}
}

// message acts on a text or binary message of a client. What says nothing
// known is ignored as a whole.
func (s *Server) message(c *conn, m message) {
	if m.op == opText {
		if text := string(m.data); text == "ping" || text == "ping\n" {
			return
		}
		topics, err := parseTopics(m.data)
		if err == nil {
			done, err := s.hub.SetTopics(&c.Conn, topics)
			if done || err != nil {
				return
			}
		}
	}
	s.ignored.Add(1)
	if e := s.opts.Log.Check(zap.DebugLevel, "message ignored"); e != nil {
		e.Write(zap.Stringer("client", c.handle), zap.Int("bytes", len(m.data)))
	}
}

// parseTopics reads the one command of the bare protocol.
func parseTopics(text []byte) ([]string, error) {
	var command struct {
		Topics *[]string `json:"topics"`
	}
	if err := json.Unmarshal(text, &command, json.RejectUnknownMembers(true)); err != nil {
		return nil, err
	}
	if command.Topics == nil {
		return nil, errNoTopics
	}
	for _, name := range *command.Topics {
		if err := hub.CheckPattern(name); err != nil {
			return nil, err
		}
	}
	return *command.Topics, nil
}

var errNoTopics = errors.New("want an object with the member topics")

// Stats are the transport's figures at one moment.
type Stats struct {
	CourierStats
	Ignored uint64 // counter: messages from clients that said nothing known
}

// Stats returns the figures of all couriers together, or what could be had
// before ctx ended.
func (s *Server) Stats(ctx context.Context) Stats {
	var sum Stats
	for _, k := range s.couriers {
		st := k.ask(ctx, evStats)
		sum.Connections += st.Connections
		sum.Blocked += st.Blocked
		sum.Events += st.Events
		sum.Waiting += st.Waiting
		sum.Opened += st.Opened
		sum.Closed += st.Closed
		sum.Writes += st.Writes
		sum.Frames += st.Frames
		sum.Bytes += st.Bytes
	}
	sum.Ignored = s.ignored.Load()
	return sum
}
