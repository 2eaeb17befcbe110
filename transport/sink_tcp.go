package transport

// A tcpSink is a socket as it is, of TCP or of a Unix socket.
type tcpSink struct{}

func (tcpSink) write(k *courier, c *conn) (more bool) {
	p := c.waiting.next(k.scratch)
	n, err := k.write(c, p)
	k.stats.Writes++
	k.advance(c, n, 0)
	switch {
	case err != nil:
		k.end(c)
		return false
	case n == len(p):
		return true
	}
	rest := c.waiting.rest()
	k.block(c, len(rest), 0, func() (n, wire int, err error) {
		n, err = c.sock.Write(rest)
		return n, 0, err
	})
	return false
}

func (tcpSink) pending(c *conn) int {
	n, _ := unacknowledged(c.raw) // it is open: only its courier ends it
	return n
}

func (tcpSink) records() bool { return false }

func (tcpSink) closeWrite(_ *courier, c *conn) { closeWrite(c.sock) }

func (tcpSink) close(c *conn) { c.sock.Close() }

func (tcpSink) abort(c *conn) { abort(c.sock) }
