package transport

import (
	"crypto/tls"
	"time"
)

// A tlsSink is TLS over a socket.
type tlsSink struct {
	sock  *tls.Conn
	below *tlsSocket
}

// write encrypts what waits for a connection, a record of it, and writes that.
func (s *tlsSink) write(k *courier, c *conn) (more bool) {
	p := c.waiting.next(k.scratch[:0:recordBytes])
	p = p[:min(len(p), recordBytes)]
	s.below.lendBuffer(k.records)
	_, err := s.sock.Write(p)
	records, n := s.below.records(), 0
	if err == nil {
		n, err = tryWriteTo(s.below.fd, records)
		k.stats.Writes++
	}
	switch {
	case err != nil:
		k.end(c)
		return false
	case n == len(records):
		k.records = records[:0]
		k.advance(c, len(p), n)
		return true
	}
	k.records = nil // the goroutine that waits for the socket has them
	c.resume.wrote(done{after: n})
	k.block(c, len(p), cap(records), func() (int, int, error) {
		// A part of a record is of no use to the peer.
		if _, err := s.below.Conn.Write(records[n:]); err != nil {
			return 0, 0, err
		}
		return len(p), len(records) - n, nil
	})
	return false
}

func (s *tlsSink) pending(*conn) int {
	n, _ := unacknowledged(s.below.raw) // it is open: only its courier ends it
	return n
}

func (s *tlsSink) records() bool { return true }

// closeWrite ends the sending side of TLS (RFC 8446 section 6.1) and that of its
// socket. It may have to wait for room.
func (s *tlsSink) closeWrite(k *courier, c *conn) {
	k.elsewhere(c, func() {
		_ = s.sock.CloseWrite()                   // fails only for a connection that is gone
		_ = s.below.SetWriteDeadline(time.Time{}) // which the library has set
		if _, err := s.below.Conn.Write(s.below.records()); err == nil {
			closeWrite(s.below.Conn)
		}
	})
}

func (s *tlsSink) close(*conn) { s.sock.Close() }

// abort does not end TLS: that would say that the peer has everything.
func (s *tlsSink) abort(*conn) { abort(s.below) }
