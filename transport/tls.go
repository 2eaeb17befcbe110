package transport

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"syscall"
)

// TLS through couriers. A tls.Conn writes and reads its socket as it likes, and
// waits for it. Here it is given a socket of ours below it that, once the HTTP
// server has let go of the connection, does neither: what is to be written is
// kept for the courier, and when there is nothing to read that is an error that
// passes.

// ListenTLS returns a listener whose connections speak TLS and can be taken over
// by couriers. The one below it is a [Listen]'s.
func ListenTLS(ln net.Listener, cfg *tls.Config) net.Listener {
	return tls.NewListener(tlsListener{ln}, cfg)
}

type tlsListener struct{ net.Listener }

// Accept implements [net.Listener].
func (l tlsListener) Accept() (net.Conn, error) {
	sock, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if tcp, ok := sock.(*net.TCPConn); ok {
		return &sealed{TCPConn: tcp}, nil
	}
	return sock, nil // which is of no use to couriers
}

// A sealed is the socket below a tls.Conn.
type sealed struct {
	*net.TCPConn
	raw   syscall.RawConn
	fd    int32
	taken bool // set before there is more than one goroutine

	mu  sync.Mutex // a reader may have to answer its peer's TLS at any time
	out []byte     // records that wait for the courier
}

// sealedSocket stands for the descriptor of a connection whose bytes are
// encrypted on their way to it.
const sealedSocket = -2

// take has the socket do nothing any more but by its courier.
func (s *sealed) take() (err error) {
	s.taken = true
	if s.raw, err = s.TCPConn.SyscallConn(); err != nil {
		return err
	}
	return s.raw.Control(func(fd uintptr) { s.fd = int32(fd) })
}

// Write keeps records.
func (s *sealed) Write(p []byte) (int, error) {
	if !s.taken {
		return s.TCPConn.Write(p)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out = append(s.out, p...)
	return len(p), nil
}

// records takes what is kept; spare is used for what comes.
func (s *sealed) records(spare []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.out
	s.out = spare[:0]
	return out
}

// notReady is the error of a read when nothing has come. To a tls.Conn it is one
// that passes, and half a record is kept.
type notReady struct{}

func (notReady) Error() string   { return "nothing to read" }
func (notReady) Timeout() bool   { return true }
func (notReady) Temporary() bool { return true }

// Read reads what has come.
func (s *sealed) Read(p []byte) (int, error) {
	if !s.taken {
		return s.TCPConn.Read(p)
	}
	return tryRead(s.fd, p)
}

// seal encrypts what waits for a connection and writes as much of it as the
// socket takes at once. It reports whether that was all.
func (k *courier) seal(c *conn) bool {
	p := c.waiting.next(k.scratch)
	s := c.below()
	_, err := c.sock.Write(p) // into its records
	records := s.records(k.records)
	n := 0
	if err == nil {
		n, err = tryWriteTo(s.fd, records)
		k.stats.Writes++
	}
	switch {
	case err != nil:
		k.end(c)
		return false
	case n == len(records):
		k.records = records[:0]
		k.advance(c, len(p))
		return true
	}
	k.records = nil // what is left goes with who waits for the socket
	c.stalled = true
	k.stats.Blocked++
	c.waiting.flight = len(p)
	k.elsewhere(c, func() {
		written := len(p)
		_, err := s.TCPConn.Write(records[n:])
		if err != nil {
			written = 0 // as far as can be told
		}
		k.tell(event{kind: evWritten, c: c, n: written, err: err})
	})
	return false
}

// below returns the socket below a connection's TLS.
func (c *conn) below() *sealed { return c.sock.(*tls.Conn).NetConn().(*sealed) }

// CloseWrite ends the sending side.
func (s *sealed) CloseWrite() error {
	_, _ = tryWriteTo(s.fd, s.records(nil)) // a peer that does not take so little will not miss it
	return s.TCPConn.CloseWrite()
}

// useTLS has a connection use one of TLS.
func (c *conn) useTLS(sock *tls.Conn) error {
	s, ok := sock.NetConn().(*sealed)
	if !ok {
		return errors.ErrUnsupported
	}
	if err := s.take(); err != nil {
		return err
	}
	c.sock, c.raw, c.fd = sock, s.raw, sealedSocket
	return nil
}
