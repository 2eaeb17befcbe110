package transport

import (
	"crypto/tls"
	"io"
	"net"
	"runtime"
)

// A Visit is what those who admit connections know of one. The calls may come
// from any goroutine.
type Visit interface {
	Taken()           // it is a client's from now on
	Closed()          // it has ended; this may be told more than once
	OnClose(f func()) // f is to be called when it has ended
}

// An Admission decides about each connection that is accepted.
type Admission func(from net.Addr) (v Visit, ok bool)

// Admit returns a listener that closes at once what is not admitted. The one
// below it is a [Listen]'s.
func Admit(ln net.Listener, admit Admission) net.Listener { return &admission{ln, admit} }

type admission struct {
	net.Listener
	admit Admission
}

// Accept implements [net.Listener].
func (l *admission) Accept() (net.Conn, error) {
	for {
		sock, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		visit, ok := l.admit(sock.RemoteAddr())
		if !ok {
			abort(sock)
			runtime.Gosched() // as many as want to come, others have their turn
			continue
		}
		switch sock := sock.(type) {
		case *net.TCPConn:
			return &socket{TCPConn: sock, Visit: visit}, nil
		case *net.UnixConn:
			return &unixSocket{UnixConn: sock, Visit: visit}, nil
		}
		visit.Closed() // of another kind, whose end nobody would hear of
		sock.Close()
	}
}

// A socket is a TCP connection that was admitted.
type socket struct {
	*net.TCPConn
	Visit
	tail closedTail
}

func (s *socket) unacked() int { return s.tail.look(s.TCPConn) }

// Close closes the connection and says so.
func (s *socket) Close() error {
	defer s.Closed()
	s.unacked() // while it can be asked
	return s.TCPConn.Close()
}

// A unixSocket is one of a unix socket.
type unixSocket struct {
	*net.UnixConn
	Visit
	tail closedTail
}

func (s *unixSocket) unacked() int { return s.tail.look(s.UnixConn) }

// Close closes the connection and says so.
func (s *unixSocket) Close() error {
	defer s.Closed()
	s.unacked() // while it can be asked
	return s.UnixConn.Close()
}

// taken says that a socket is a client's from now on, if anybody wants to know.
func taken(sock io.Closer) {
	if secure, ok := sock.(*tls.Conn); ok {
		if s, ok := secure.NetConn().(*tlsSocket); ok {
			s.visit().Taken()
		}
		return
	}
	if v, ok := sock.(Visit); ok {
		v.Taken()
	}
}

// unseen is the visit of a connection that nobody counts. Its end nobody could tell.
type unseen struct{}

func (unseen) Taken()           {}
func (unseen) Closed()          {}
func (unseen) OnClose(f func()) { f() }
