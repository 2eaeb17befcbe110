package transport

import (
	"crypto/tls"
	"io"
	"net"
	"runtime"
)

// A Visit is the record of one connection that was admitted. The calls may come from
// any goroutine.
type Visit interface {
	Taken()           // the connection is a client's from now on
	Closed()          // the connection has ended; may be called more than once
	OnClose(f func()) // has f called when the connection has ended
}

// An Admission decides about each connection that is accepted.
type Admission func(from net.Addr) (v Visit, ok bool)

// Admit returns a listener that closes connections that are not admitted.
// The listener below is one of [Listen].
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
			runtime.Gosched() // let others have their turn, however many connect
			continue
		}
		switch sock := sock.(type) {
		case *net.TCPConn:
			return &socket{TCPConn: sock, Visit: visit}, nil
		case *net.UnixConn:
			return &unixSocket{UnixConn: sock, Visit: visit}, nil
		}
		visit.Closed() // of another kind: its end could not be seen
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
	s.unacked() // it can be asked only before it is closed
	return s.TCPConn.Close()
}

// A unixSocket is a connection of a unix socket that was admitted.
type unixSocket struct {
	*net.UnixConn
	Visit
	tail closedTail
}

func (s *unixSocket) unacked() int { return s.tail.look(s.UnixConn) }

// Close closes the connection and says so.
func (s *unixSocket) Close() error {
	defer s.Closed()
	s.unacked() // it can be asked only before it is closed
	return s.UnixConn.Close()
}

// taken says that a socket is a client's from now on, if it was admitted.
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

// unseen is the Visit of a connection that is not counted. Its end cannot be observed.
type unseen struct{}

func (unseen) Taken()           {}
func (unseen) Closed()          {}
func (unseen) OnClose(f func()) { f() }
