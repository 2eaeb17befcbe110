package transport

import (
	"errors"
	"io"
)

// A sink is where a connection's bytes go: a socket, TLS over one, or a stream of HTTP/2.
// Its courier calls it.
type sink interface {
	// write writes some of what waits for the connection, as much as goes out without
	// waiting. It reports whether there may be more to write at once.
	write(k *courier, c *conn) (more bool)
	// pending returns how many of the bytes that were written the peer may not have.
	pending(c *conn) int
	// records reports whether bytes come and go in records of TLS, which are of use as
	// a whole only.
	records() bool
	// closeWrite ends the sending side, after what was written.
	closeWrite(k *courier, c *conn)
	// close closes the connection in order. It may take a while.
	close(c *conn)
	// abort closes the connection without waiting for what is unsent.
	abort(c *conn)
}

// block leaves a full socket to a goroutine that waits for it. Its write is of the next
// bytes of the backlog, and holds some copied bytes beside it.
func (k *courier) block(c *conn, bytes, copied int, write func() (n, wire int, err error)) {
	c.stalled, c.blocked = true, true
	k.stats.Blocked++
	c.waiting.flight, c.waiting.copied = bytes, copied
	k.weigh(c)
	k.lag(c)
	k.elsewhere(c, func() {
		e := report{kind: reportWritten, c: c, err: errNotWritten}
		defer func() { k.tell(e) }()
		e.n, e.wire, e.err = write()
	})
}

// errNotWritten is the error of a write that did not return.
var errNotWritten = errors.New("the write has panicked")

// written goes on after a write that had to wait.
func (k *courier) written(c *conn, n, wire int, err error) {
	if c.blocked {
		c.blocked = false
		k.stats.Blocked--
	}
	if c.phase == phaseEnded {
		return
	}
	c.waiting.flight, c.waiting.copied = 0, 0
	k.advance(c, n, wire)
	if err != nil {
		k.end(c)
		return
	}
	k.flushOne(c)
}

// closeWrite ends the sending side of a socket (RFC 6455 section 7.1.1). It is for a peer
// whose Close frame will not be read: the peer sees the end. What the peer has sent does not
// turn that into a reset, which might overtake our Close frame.
func closeWrite(sock io.Closer) {
	if half, ok := sock.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // fails only for a socket that is gone
	}
}

// abort closes a socket without waiting for what it has not sent.
func abort(sock io.Closer) {
	if tcp, ok := sock.(interface{ SetLinger(seconds int) error }); ok {
		_ = tcp.SetLinger(0) // fails only for a socket that is gone
	}
	sock.Close()
}
