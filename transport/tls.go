package transport

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"syscall"

	"belfry/hub"
)

// TLS through couriers. A tls.Conn writes and reads its socket as it likes, and
// waits for it. Here it is given a socket of ours below it that, once the HTTP
// server has let go of the connection, does neither: what is to be written is
// kept for the courier, and when there is nothing to read that is an error that
// passes.

const (
	// recordBytes are what one record holds at most (RFC 8446 section 5.1). A
	// connection is given no more at a time: a peer can use a record only when it
	// has all of it.
	recordBytes = 16 << 10
	// keptBytes bound the records that are kept for a courier: one of its own, and
	// answers to what the peer does to its TLS. They may wait for what is sent next
	// (RFC 8446 section 4.6.3), so a peer could have any number of them made.
	keptBytes = 2 * recordBytes
)

// ListenTLS returns a listener whose connections speak TLS and can be taken over
// by couriers. Those of the one below it are like a [Listen]'s.
func ListenTLS(ln net.Listener, cfg *tls.Config) net.Listener {
	cfg = cfg.Clone()
	// Small records would have a reader begin sooner with what it can't use before
	// it is whole.
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
	raw   syscall.RawConn // once it is taken; before there is more than one goroutine
	fd    int32           // for the courier
	mu    sync.Mutex      // a reader may have to answer its peer's TLS at any time
	out   []byte          // records that wait for the courier
	flood bool            // they were too many
}

// visit is what those who admit connections know of it.
func (s *tlsSocket) visit() Visit {
	if v, ok := s.Conn.(Visit); ok {
		return v
	}
	return unseen{}
}

// OnClose has f be called when the connection has ended.
func (s *tlsSocket) OnClose(f func()) { s.visit().OnClose(f) }

// useTLS has a connection use one of TLS.
func (c *conn) useTLS(sock *tls.Conn) error {
	s, ok := sock.NetConn().(*tlsSocket)
	if !ok {
		return errors.ErrUnsupported
	}
	if err := s.take(); err != nil {
		return err
	}
	c.sock, c.raw, c.sink = sock, s.raw, &tlsSink{sock, s}
	if c.Slow == hub.SlowLatest {
		limitUnsent(s.fd, unsentLatestBytes)
	}
	return nil
}

// take has the socket do nothing any more but by its courier.
func (s *tlsSocket) take() (err error) {
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

// lendBuffer has a buffer used for records, after those that are kept already.
func (s *tlsSocket) lendBuffer(buf []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out = append(buf[:0], s.out...)
}

// records takes what is kept.
func (s *tlsSocket) records() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.out
	s.out = nil
	return out
}

// notReady is the error of a read when nothing has come. To a tls.Conn it is one
// that passes, and half a record is kept.
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
		return 0, errFlood // else it would be surfaced by the next write only
	}
	// Through the runtime's poller, which knows whether the descriptor is still
	// this socket's: the courier closes it while others read.
	failed := s.raw.Read(func(fd uintptr) (done bool) {
		n, err = tryRead(fd, p)
		return true
	})
	if failed != nil {
		return 0, failed
	}
	return n, err
}

// Close closes the socket, behind records that it takes at once: the last ones
// are an alert or the end of TLS.
func (s *tlsSocket) Close() error {
	if s.raw != nil {
		_ = s.raw.Control(func(fd uintptr) { _, _ = tryWriteTo(int32(fd), s.records()) }) // the peer sees an end all the same
	}
	return s.Conn.Close()
}

// SetLinger is that of the socket, if it has one.
func (s *tlsSocket) SetLinger(seconds int) error {
	if below, ok := s.Conn.(interface{ SetLinger(int) error }); ok {
		return below.SetLinger(seconds)
	}
	return nil
}
