package transport

import (
	"errors"
	"io"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"

	"belfry/hub"
)

// A conn is one connection. Its write side and its end belong to its courier. Its read
// side belongs to one goroutine at a time. While nothing arrives, that is one that waits,
// with the smallest stack. A fresh one, which may go deep, takes what arrives. It starts
// the next one that waits when it is done.
type conn struct {
	hub.Conn // its place in the hub

	// Owned by the courier from its hub.OpOpen on. What a delivery needs comes
	// first, to lie together in the cache.
	waiting *backlog // nil when nothing waits
	sink    sink
	beat    *heartbeat // of a protocol that has them; nil without
	fd      int32      // of a plain socket, valid until the connection ends
	phase   phase
	lagging bool // the hub was told that it is slow
	chunk   bool // the hub waits to hear that nothing waits
	stalled bool // its socket was full since the last ping
	blocked bool // a goroutine waits for its socket
	// readerDone says that nobody reads: the peer has closed the connection, or is
	// gone.
	readerDone bool
	discards   bool       // the read side is deaf: the peer's Close frame will not be seen
	reason     hub.Reason // why it is closing
	resume     resume
	deadline   deadline
	partial    *deadline // of the end of a message that has begun, or nil
	opening    *opening  // nil after its request was answered

	// Static after construction.
	server  *Server
	courier *courier
	speaks  protocol
	sock    io.ReadWriteCloser
	raw     syscall.RawConn // nil: the peer sends nothing
	handle  hub.Handle
	address string // of the peer, if its socket does not tell

	// Owned by the read side.
	decoder    *decoder    // nil between messages
	second     int64       // a second of Unix time
	controls   int32       // control frames that came in it
	deaf       bool        // the peer broke a rule: what it sends is discarded
	admin      bool        // it may subscribe to the broker's own topics
	publishing *publishing // nil: it never was allowed to
}

// An opening is what a connection begins with.
type opening struct {
	answer []byte                       // to the request
	early  []byte                       // what had arrived with it
	refuse func(*conn, farewell) []byte // the answer if the hub refuses; nil: that is said in-band
}

// inputs are read buffers. Connections at rest do not have one.
var inputs = sync.Pool{New: func() any { return new([8 << 10]byte) }}

// start takes what came with the handshake, then reads what follows.
func (c *conn) start(early []byte) {
	defer c.recovered(true)
	switch more := early == nil || c.decode(early); {
	case !more:
	case c.sink.records(): // the rest may be decrypted already, together with the request
		c.read()
	case early == nil:
		c.wait()
	default:
		go c.wait()
	}
}

// wait parks until something arrives. Its stack stays small: another goroutine does the
// work.
func (c *conn) wait() {
	defer c.recovered(true)
	if c.raw.Read(readable) != nil {
		c.leave(report{kind: reportGone, c: c})
		return
	}
	go c.read()
}

// read takes what has arrived.
func (c *conn) read() {
	defer c.recovered(true)
	buf := inputs.Get().(*[8 << 10]byte)
	defer inputs.Put(buf)
	for {
		n, err := c.sock.Read(buf[:])
		switch more := c.decode(buf[:n]); {
		case !more:
			return
		case err == notReady{}:
			go c.wait()
			return
		case err != nil:
			c.leave(report{kind: reportGone, c: c})
			return
		case !c.sink.records():
			go c.wait() // it will see whether there is more
			return
		}
	}
}

// decode decodes bytes and acts on the messages in them. It reports whether
// reading goes on.
func (c *conn) decode(p []byte) (more bool) {
	if c.deaf {
		return true
	}
	d, began := c.decoder, c.decoder == nil // whether the message that is unfinished at the end began here
	if d == nil {
		limits := c.server.limits.Load()
		d = &decoder{maxMessage: limits.MaxMessage, maxFragments: limits.MaxFragments}
	}
	for len(p) > 0 {
		m, n, err := d.next(p)
		p = p[n:]
		if err == nil && m.op.control() {
			more, err = c.takeControl(m)
			if err == nil && !more {
				return false
			}
		}
		if err != nil {
			f, _ := errors.AsType[frameError](err) // the decoder's errors are all of this kind
			c.fault(f)
			return true
		}
		if m.op == opText || m.op == opBinary {
			if c.speaks.message(c, m); c.deaf {
				return true
			}
		}
		began = began || d.idle()
	}
	if d.idle() {
		d = nil
	}
	switch {
	case d != nil && began:
		c.courier.tell(report{kind: reportPartial, c: c})
	case d == nil && c.decoder != nil:
		c.courier.tell(report{kind: reportWhole, c: c})
	}
	c.keep(d)
	return true
}

// keep keeps the decoder of an unfinished message, or nil, and counts the bytes that it
// holds.
func (c *conn) keep(d *decoder) {
	before, after := 0, 0
	if c.decoder != nil {
		before = c.decoder.counted
	}
	if c.decoder = d; d != nil {
		after = cap(d.data) + cap(d.control)
		d.counted = after
	}
	if after != before {
		c.server.partial.Add(int64(after - before))
	}
}

// leave ends the read side. The event says why.
func (c *conn) leave(e report) {
	c.keep(nil)
	c.courier.tell(e)
}

// ignore counts and logs a message that was not understood.
func (c *conn) ignore(m message) {
	c.server.ignored.Add(1)
	if e := c.server.opts.Log.Check(zap.DebugLevel, "message ignored"); e != nil {
		e.Write(zap.Stringer("client", c.handle), zap.Int("bytes", len(m.data)))
	}
}

// checkTopics reports what is wrong with topics that the peer wants, as the hub's requests
// must not have it: a [*hub.TopicError].
func (c *conn) checkTopics(names []string) error {
	for _, name := range names {
		if err := hub.CheckPattern(name); err != nil && !(c.admin && hub.ForOperators(name)) {
			return err
		}
	}
	return nil
}

// fault has the connection closed because its peer broke a rule.
func (c *conn) fault(f frameError) {
	c.deaf = true
	c.keep(nil)
	c.courier.tell(report{kind: reportFault, c: c, code: f.code, text: f.reason})
}

var errControlRate = frameError{closePolicy, "too many control frames"}

// takeControl acts on a control frame. It reports whether reading goes on.
func (c *conn) takeControl(m message) (more bool, err error) {
	if second := time.Now().Unix(); second != c.second {
		c.second, c.controls = second, 0
	}
	if c.controls++; int(c.controls) > c.server.limits.Load().MaxControlRate {
		return false, errControlRate
	}
	switch m.op {
	case opPing:
		c.courier.tell(report{kind: reportPing, c: c, data: append([]byte(nil), m.data...)})
	case opPong:
		c.courier.tell(report{kind: reportPong, c: c})
	case opClose:
		code, err := closeCode(m.data)
		if err != nil {
			return false, err
		}
		c.leave(report{kind: reportClose, c: c, code: code})
		return false, nil
	}
	return true, nil
}
