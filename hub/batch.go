package hub

// OpKind says what a courier has to do.
type OpKind uint8

// What an [Op] can be.
const (
	OpOpen              OpKind = iota // the connection is now the courier's
	OpDeliver                         // write a frame
	OpChunk                           // write a frame, and report by [Hub.ChunkWritten] when nothing waits any more
	OpNewest                          // write a frame of its own; up to At it has everything that it wants
	OpReportWhenWritten               // report by [Hub.ChunkWritten] when nothing waits any more
	OpLive                            // it has read up to the head; what follows comes as it is published
	OpCatchUp                         // it is not at the head any more; up to At it has everything
	OpNote                            // tell it a note
	OpClose                           // stop taking frames, report by [Hub.ConnEnded], close for a reason
)

// An Op is one thing that a courier has to do to some connections.
type Op struct {
	Kind   OpKind
	Reason Reason   // of OpClose
	Frame  *Frame   // of OpDeliver, OpChunk and OpNewest
	Note   Note     // of OpNote
	At     Position // of OpCatchUp, OpNewest and OpNote: up to it everything was handed over before
	to     int      // end of its targets in Batch.targets
}

// A Batch is what a courier has to do, in order. It passes between the hub
// and the courier, and belongs to whoever holds it.
type Batch struct {
	Ops  []Op
	Head Position // everything up to here that was to be delivered is in this batch or was in earlier ones

	targets []*Conn
	bytes   int // of frames, each counted once
}

// Targets returns the connections that op number i is for.
func (b *Batch) Targets(i int) []*Conn {
	from := 0
	if i > 0 {
		from = b.Ops[i-1].to
	}
	return b.targets[from:b.Ops[i].to]
}

// add appends an op for one connection.
func (b *Batch) add(op Op, c *Conn) {
	b.targets = append(b.targets, c)
	op.to = len(b.targets)
	b.Ops = append(b.Ops, op)
}

// addAll appends an op for many connections.
func (b *Batch) addAll(op Op, to []*Conn) {
	b.targets = append(b.targets, to...)
	op.to = len(b.targets)
	b.Ops = append(b.Ops, op)
}

// spentCapacity bounds what an emptied batch keeps for its next use.
const spentCapacity = 64 << 10

// empty makes a batch ready for its next use without holding on to frames and
// connections.
func (b *Batch) empty() *Batch {
	if cap(b.targets) > spentCapacity || cap(b.Ops) > spentCapacity {
		return &Batch{}
	}
	clear(b.Ops)
	clear(b.targets)
	*b = Batch{Ops: b.Ops[:0], targets: b.targets[:0]}
	return b
}

// An outbox is what waits for a courier.
type outbox struct {
	batch    *Batch
	sent     Position   // Head of the last batch taken
	announce bool       // take a batch even without ops, for its Head
	gather   [][]*Conn  // by encoding, targets of the event that is being delivered
	wanted   []Encoding // of those that have targets
}

// add gathers a connection for the event that is being delivered.
func (out *outbox) add(c *Conn) {
	to := &out.gather[c.Encoding]
	if len(*to) == 0 {
		out.wanted = append(out.wanted, c.Encoding)
	}
	*to = append(*to, c)
}

// seal turns the gathered targets of an entry into ops.
func (s *State) seal(e *entry) {
	for i := range s.outboxes {
		out := &s.outboxes[i]
		for _, enc := range out.wanted {
			to := out.gather[enc]
			f := s.frame(e, enc)
			out.batch.addAll(Op{Kind: OpDeliver, Frame: f}, to)
			out.batch.bytes += len(f.Bytes)
			clear(to)
			out.gather[enc] = to[:0]
		}
		out.wanted = out.wanted[:0]
	}
}

// enqueue appends an op for one connection to its courier's outbox.
func (s *State) enqueue(c *Conn, op Op) {
	b := s.outboxes[c.Courier].batch
	b.add(op, c)
	if op.Frame != nil {
		b.bytes += len(op.Frame.Bytes)
	}
}

// notify tells a connection something, if its protocol can. Up to a position
// everything was handed over before.
func (s *State) notify(c *Conn, n Note, at Position) {
	if c.Notes {
		s.enqueue(c, Op{Kind: OpNote, Note: n, At: at})
	}
}

// Waits reports whether there is something to take for a courier.
func (s *State) Waits(courier int) bool {
	out := &s.outboxes[courier]
	return len(out.batch.Ops) > 0 || out.announce
}

// Take removes what waits for a courier and puts spare, an emptied batch, in
// its place. It returns nil, and keeps spare, when nothing waits.
func (s *State) Take(courier int, spare *Batch) *Batch {
	out := &s.outboxes[courier]
	if !s.Waits(courier) {
		return nil
	}
	b := out.batch
	b.Head = s.window.head // invariant 7
	out.batch, out.sent, out.announce = spare, b.Head, false
	return b
}

// Announce lets couriers that had nothing to do for a while hear of the head,
// so that what they report of quiet connections is not out of date.
func (s *State) Announce() {
	for i := range s.outboxes {
		s.outboxes[i].announce = s.outboxes[i].sent < s.window.head
	}
}

// Congested reports whether so much waits for a courier that no more events
// should be taken.
func (s *State) Congested() bool {
	for i := range s.outboxes {
		b := s.outboxes[i].batch
		if len(b.targets) >= s.opts.Backlog || b.bytes >= s.opts.BacklogBytes {
			return true
		}
	}
	return false
}
