package transport

import (
	"context"
	"crypto/tls"
	"math"
	"net"
	"sync/atomic"
	"syscall"
)

// What is below streams over HTTP/2: they share a socket, which is the HTTP server's. It
// tells how much of what they wrote may have been lost when they ended.

// A tail is how much of what was written over a socket may not have come to its peer.
type tail interface{ unacked() int }

// gatheredBytes are what the HTTP server may hold of what streams have written, in bytes:
// it gathers small frames, and passes them on at once if the socket takes them.
const gatheredBytes = 4 << 10

// A closedTail is what the peer's TCP had not acknowledged when its socket was closed.
type closedTail struct{ bytes atomic.Int64 }

// look asks a socket, or says what it has said before it was closed.
func (t *closedTail) look(sock syscall.Conn) int {
	if raw, err := sock.SyscallConn(); err == nil {
		if n, err := unacknowledged(raw); err == nil {
			if t.bytes.Store(int64(n)); n == 0 {
				return 0 // it has taken all
			}
		}
	}
	return int(t.bytes.Load()) + gatheredBytes
}

type tailKey struct{}

// WithSocket has the streams of a connection know what they share. It is the ConnContext
// of an [net/http.Server].
func WithSocket(ctx context.Context, sock net.Conn) context.Context {
	if secure, ok := sock.(*tls.Conn); ok {
		sock = secure.NetConn()
	}
	if s, ok := sock.(*tlsSocket); ok {
		sock = s.Conn
	}
	if t, ok := sock.(tail); ok {
		return context.WithValue(ctx, tailKey{}, t)
	}
	return ctx
}

// tailOf returns what [WithSocket] has left in a request's context; nil is nothing.
func tailOf(ctx context.Context) tail {
	t, _ := ctx.Value(tailKey{}).(tail)
	return t
}

// unacked returns how much of what a stream has written may not have come to its peer.
// What other streams wrote counts, too: nobody can tell it apart.
func (st *httpStream) unacked() int {
	if st.below == nil {
		return math.MaxInt
	}
	return st.below.unacked()
}
