package transport

import (
	"context"
	"crypto/tls"
	"math"
	"net"
	"sync/atomic"
	"syscall"
)

// Streams of HTTP/2 share one socket, which is the HTTP server's. It tells how many of the
// bytes that they wrote may have been lost when they ended.

// A tail tells how many of the bytes written to a socket its peer may not have.
type tail interface{ unacked() int }

// gatheredBytes is how many bytes of streams the HTTP server may hold. It gathers small
// frames, and passes them on at once if the socket takes them.
const gatheredBytes = 4 << 10

// A closedTail is how many bytes the peer's TCP had not acknowledged when its socket was
// closed.
type closedTail struct{ bytes atomic.Int64 }

// look asks a socket. Of a closed one it returns the last answer.
func (t *closedTail) look(sock syscall.Conn) int {
	if raw, err := sock.SyscallConn(); err == nil {
		if n, err := unacknowledged(raw); err == nil {
			if t.bytes.Store(int64(n)); n == 0 {
				return 0 // the peer has all
			}
		}
	}
	return int(t.bytes.Load()) + gatheredBytes
}

type tailKey struct{}

// WithSocket lets the streams of a connection find the socket that they share. It is the
// ConnContext of an [net/http.Server].
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

// tailOf returns the tail that [WithSocket] has left in a request's context, or nil.
func tailOf(ctx context.Context) tail {
	t, _ := ctx.Value(tailKey{}).(tail)
	return t
}

// unacked returns how many of the bytes that a stream has written its peer may not have.
// Bytes of other streams of the same socket count, too: they can't be told apart.
func (st *httpStream) unacked() int {
	if st.below == nil {
		return math.MaxInt
	}
	return st.below.unacked()
}
