package transport

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"syscall"

	"belfry/hub"
)

// TLS through couriers. A tls.Conn writes and reads its socket when it likes, and waits for
// it. So it gets a tlsSocket below it. After the HTTP server has given up the connection,
// that one does not wait: it keeps what is to be written for the courier, and a read of
// nothing is a temporary error.

const (
	// recordBytes is how much one record can hold (RFC 8446 section 5.1). A connection
	// is given so much at a time: a peer can use a record only as a whole.
	recordBytes = 16 << 10
	// keptBytes bounds the records that are kept for a courier: one of its own, and
	// answers to the peer's TLS messages. The answers may wait for what is sent next
	// (RFC 8446 section 4.6.3), so a peer could cause any number of them.
	keptBytes = 2 * recordBytes
)

// ListenTLS returns a listener whose connections speak TLS and can be taken over by
// couriers. The listener below is like one of [Listen].
func ListenTLS(ln net.Listener, cfg *tls.Config) net.Listener {
	cfg = cfg.Clone()
	// Small records let a reader begin sooner, but it can't use a part of an event.
	cfg.DynamicRecordSizingDisabled = true
	return tls.NewListener(tlsListener{ln}, cfg)
}

type tlsListener struct{ net.Listener }

// Accept implements [net.Listener].
func (l tlsListener) Accept() (net.Conn, error) {
	sock, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &tlsSocket{Conn: sock}, nil
}

// A tlsSocket is the socket below a tls.Conn.
type tlsSocket struct {
	net.Conn
	raw   syscall.RawConn // nil until it is detached, while there is only one goroutine
	fd    int32           // for the courier
	mu    sync.Mutex      // a reader may have to answer TLS messages at any time
	out   []byte          // records for the courier
	flood bool            // there were too many of them
}

// visit returns the record of its admission.
func (s *tlsSocket) visit() Visit {
	if v, ok := s.Conn.(Visit); ok {
		return v
	}
	return unseen{}
}

// OnClose has f called when the connection has ended.
func (s *tlsSocket) OnClose(f func()) { s.visit().OnClose(f) }

// useTLS gives a connection a socket with TLS.
func (c *conn) useTLS(sock *tls.Conn) error {
	s, ok := sock.NetConn().(*tlsSocket)
	if !ok {
		return errors.ErrUnsupported
	}
	if err := s.detach(); err != nil {
		return err
	}
	c.sock, c.raw, c.sink = sock, s.raw, &tlsSink{sock, s}
	if c.Slow == hub.SlowLatest {
		limitUnsent(s.fd, unsentLatestBytes)
	}
	return nil
}

// detach leaves the socket to a courier.
func (s *tlsSocket) detach() (err error) {
	below, ok := s.Conn.(syscall.Conn)
	if !ok {
		return errors.ErrUnsupported
	}
	if s.raw, err = below.SyscallConn(); err != nil {
		return err
	}
	return s.raw.Control(func(fd uintptr) { s.fd = int32(fd) })
}

var errFlood = errors.New("too many TLS records have to be answered")

// Write keeps records.
func (s *tlsSocket) Write(p []byte) (int, error) {
	if s.raw == nil {
		return s.Conn.Write(p)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flood = s.flood || len(s.out)+len(p) > keptBytes; s.flood {
		return 0, errFlood
	}
	s.out = append(s.out, p...)
	return len(p), nil
}

// lendBuffer gives the socket a buffer for records, after those that it has.
func (s *tlsSocket) lendBuffer(buf []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out = append(buf[:0], s.out...)
}

// records returns the records that are kept, and keeps them no longer.
func (s *tlsSocket) records() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.out
	s.out = nil
	return out
}

// notReady is the error of a read when nothing has come. To a tls.Conn it is temporary: it
// keeps half a record.
type notReady struct{}

func (notReady) Error() string   { return "nothing to read" }
func (notReady) Timeout() bool   { return true }
func (notReady) Temporary() bool { return true }

// Read reads what has come.
func (s *tlsSocket) Read(p []byte) (n int, err error) {
	if s.raw == nil {
		return s.Conn.Read(p)
	}
	s.mu.Lock()
	flood := s.flood
	s.mu.Unlock()
	if flood {
		return 0, errFlood // else only the next write would say so
	}
	// The runtime's poller knows whether the descriptor is still this socket's: the
	// courier may close it during a read.
	failed := s.raw.Read(func(fd uintptr) (done bool) {
		n, err = tryRead(fd, p)
		return true
	})
	if failed != nil {
		return 0, failed
	}
	return n, err
}

// Close closes the socket. Before that it writes the records that the socket takes at once:
// the last ones are an alert or the end of TLS.
func (s *tlsSocket) Close() error {
	if s.raw != nil {
		_ = s.raw.Control(func(fd uintptr) { _, _ = tryWriteTo(int32(fd), s.records()) }) // without them the peer sees the end of the socket
	}
	return s.Conn.Close()
}

// SetLinger calls SetLinger of the socket, if it has that.
func (s *tlsSocket) SetLinger(seconds int) error {
	if below, ok := s.Conn.(interface{ SetLinger(int) error }); ok {
		return below.SetLinger(seconds)
	}
	return nil
}
