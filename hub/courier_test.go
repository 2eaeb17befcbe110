package hub

// A simCourier does what a courier of the transport does, on the model test's
// orders: it takes batches late, writes as much as its peers' sockets take,
// and tells the hub what it has to tell some time later, in order.
type simCourier struct {
	number  int
	bound   int    // bytes that may wait for one connection
	spare   *Batch // emptied; nil while a batch is under way
	batch   *Batch // under way: taken and not done yet
	head    Position
	conns   []*simConn // open
	reports []report   // not yet taken by the hub
}

// A report is one of the three things a courier tells the hub: a batch done, a
// chunk written, a connection released.
type report struct {
	ready   *Batch
	drained *simConn
	release *ConnReport
}

// A simConn is a connection with its courier's side, the kernel and the peer.
type simConn struct {
	Conn
	courier *simCourier
	name    string

	// The courier's.
	open    bool
	live    bool
	chunk   bool
	waiting []*Frame
	written int // bytes of the first one that are in the kernel
	upTo    Position
	base    Position // everything up to here was handed over before
	trailer int      // bytes written after the last event

	// The kernel's.
	room  int         // bytes that it takes
	sent  int         // bytes that it took
	acked int         // of those, bytes that the peer has confirmed
	log   []sentEvent // events written whole

	model modelConn
}

// A sentEvent is an event that a connection wrote whole.
type sentEvent struct {
	position Position
	size     int // bytes
	end      int // bytes sent when it was
}

// hello and ping are frames that are no events; a gap's has a mark.
var (
	hello = &Frame{Bytes: []byte("hello")}
	ping  = &Frame{Bytes: []byte("pi")}
)

const gapMark Position = 1 << 63

// take asks the hub for work.
func (k *simCourier) take(s *State) (taken bool) {
	if k.spare == nil {
		return false
	}
	b := s.Take(k.number, k.spare)
	if b == nil {
		return false
	}
	k.spare, k.batch = nil, b
	return true
}

// apply does the batch under way.
func (k *simCourier) apply() {
	b := k.batch
	if b == nil {
		return
	}
	for i := range b.Ops {
		op := &b.Ops[i]
		for _, target := range b.Targets(i) {
			c := target.Owner.(*simConn)
			switch op.Kind {
			case OpOpen:
				c.open = true
				k.conns = append(k.conns, c)
				c.waiting = append(c.waiting, hello)
			case OpDeliver, OpChunk:
				c.chunk = c.chunk || op.Kind == OpChunk
				c.deliver(op.Frame)
			case OpLive:
				c.live = true
			case OpCatchUp:
				c.live, c.base = false, op.At
			case OpNote:
				c.note(op)
			case OpClose:
				c.flush()
				c.release(op.Reason)
			}
		}
	}
	for _, c := range append([]*simConn(nil), k.conns...) {
		c.flush()
	}
	k.head, k.batch = b.Head, nil
	k.reports = append(k.reports, report{ready: b})
}

func (c *simConn) deliver(f *Frame) {
	if !c.open {
		return
	}
	full := func() bool { return len(c.waiting) > 0 && c.backlog()+len(f.Bytes) > c.courier.bound }
	if full() {
		c.flush()
		if full() {
			c.release(SlowConsumer)
			return
		}
	}
	c.waiting = append(c.waiting, f)
}

// note queues a note. Nothing after a gap counts until that is written.
func (c *simConn) note(op *Op) {
	f := &Frame{Bytes: []byte("note")}
	switch op.Note.(type) {
	case Welcome:
		c.base = op.At
	case Gap:
		f.Position = gapMark | op.At
	}
	c.deliver(f)
}

func (c *simConn) backlog() int {
	n := -c.written
	for _, f := range c.waiting {
		n += len(f.Bytes)
	}
	return n
}

// flush writes what the socket takes.
func (c *simConn) flush() {
	if !c.open {
		return
	}
	for len(c.waiting) > 0 {
		f := c.waiting[0]
		n := min(c.room, len(f.Bytes)-c.written)
		c.room -= n
		c.sent += n
		if c.written += n; c.written < len(f.Bytes) {
			return
		}
		c.waiting, c.written = c.waiting[1:], 0
		if f.Position > 0 && f.Position < gapMark {
			c.upTo, c.trailer = f.Position, 0
			c.log = append(c.log, sentEvent{f.Position, len(f.Bytes), c.sent})
		} else if f.Position >= gapMark {
			c.trailer = 0 // it may have to be told again
		} else {
			c.trailer += len(f.Bytes)
		}
	}
	if c.chunk {
		c.chunk = false
		c.courier.reports = append(c.courier.reports, report{drained: c})
	}
}

// release ends a connection and reports how far it came, once.
func (c *simConn) release(why Reason) {
	if !c.open {
		return
	}
	upTo := max(c.upTo, c.base)
	if c.live {
		upTo = max(upTo, c.courier.head)
	}
	for _, f := range c.waiting {
		if f.Position >= gapMark {
			upTo = f.Position &^ gapMark
			break
		}
		if f.Position > 0 {
			upTo = f.Position - 1
			break
		}
	}
	k := c.courier
	k.reports = append(k.reports, report{release: &ConnReport{
		Conn:        &c.Conn,
		UpTo:        upTo,
		Last:        c.upTo,
		Unconfirmed: max(0, c.sent-c.acked-c.trailer-c.written),
		Reason:      why,
	}})
	c.open, c.waiting = false, nil
	for i := range k.conns {
		if k.conns[i] == c {
			k.conns = append(k.conns[:i:i], k.conns[i+1:]...)
			return
		}
	}
}
