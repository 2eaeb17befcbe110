package hub

import (
	"math/bits"
	"slices"
	"strings"
)

// A conflation is a reader that wants the newest event of each topic only. It goes over
// the topics in rounds, in the order in which they came to be: so each has one turn
// in a round, however often it changes, and is given by what is then its newest.
//
// What it remembers is not by topic: a client chooses by its subscriptions how many
// there are.
type conflation struct {
	covered Position // what is up to here was handed over, or something newer of its topic
	upTo    Position // the head when the round began
	row     uint64   // topics up to this number of the list have had their turn
	last    uint64   // number of the last one when the round began
	round   uint32
	before  []mark      // of the last round, from where this one is
	now     []mark      // of this round; the last one is where it is
	late    []latecomer // subscriptions that were widened during the last round or this one
	lapsed  [2]lapsed   // of the topic whose turn it is, for everybody and for the user
}

// A lapsed is what is known of a stream whose newest events have expired, while more
// of them are looked at than a step may: those after one position, up to another.
type lapsed struct {
	stream   *stream
	to, from Position
}

// A mark says up to where the log was handed over of some topics in a round: those
// after the mark before it.
type mark struct {
	row   uint64   // number of the last of them
	head  Position // the newest of them up to here were handed over
	round uint32
}

// A latecomer is a subscription that a replay has widened, or came with. In its round and earlier
// ones only events after a position were handed over because of it.
type latecomer struct {
	subject *subject
	round   uint32
	since   Position
}

const (
	// conflationBytes is how many bytes of messages of a conflation are handed to a connection
	// at once: few, so that what comes later is still the newest when it leaves. In a
	// long round they grow up to [chunkBytes].
	conflationBytes = 4 << 10
	// conflationMarks bounds the marks of a round. A round that would need more, of about
	// 10 MiB, may give an event twice: one that came shortly before its topic's turn,
	// if there is none newer a round later.
	conflationMarks = 256
	// conflationGrowth is after how many marks what is handed over at once is doubled.
	conflationGrowth = 32
	// blockRows is how many topics of the list share an entry of [blocks].
	blockRows = 64
)

// blocks tell where in the list of topics there are new events: the head when one of
// a block of topics last had an event, or a later one.
type blocks []Position

// note takes note of a topic's event at the head.
func (n *blocks) note(row int32, head Position) {
	b := int(row / blockRows)
	for b >= len(*n) {
		*n = append(*n, 0)
	}
	(*n)[b] = head
}

// moved takes note that topics have other places in a list: those in the rows from one
// up to another, of so many. Which of them have new events is not known then.
func (n *blocks) moved(from, to, rows int, head Position) {
	for row := from; row < to; row++ {
		n.note(int32(row), head)
	}
	*n = (*n)[:min(len(*n), (rows+blockRows-1)/blockRows)]
}

// since reports whether there may be news after a position in the block that
// begins with a row.
func (n blocks) since(row int, p Position) bool {
	return row/blockRows < len(n) && n[row/blockRows] > p
}

// readLatest lets a client read the newest event of each topic.
func (s *State) readLatest(c *client) {
	if c.slow == nil {
		c.slow = &slowness{}
	}
	if !s.tellGaps(c, s.gapOfNewest(c), c.pos) {
		return
	}
	w := c.slow.conflation
	if w == nil {
		w = &conflation{}
		c.slow.conflation = w
		s.enqueue(c.conn, Op{Kind: OpCatchUp, At: c.pos})
		w.begin(c.pos, s.window.head, s.topicList.serial)
		s.toConflating(c)
	}
	t := turns{State: s, c: c, w: w, end: s.allowance(), chunk: w.chunk()}
	t.take()
	w.set(t.newest, s.window.head)
	switch {
	case t.bytes > 0:
		s.enqueue(c.conn, Op{Kind: OpReportWhenWritten})
		s.toWriting(c)
	case w.row < w.last:
		s.queue(c)
	default:
		s.endRound(c, w)
	}
}

// begin begins a round.
func (w *conflation) begin(covered, head Position, last uint64) {
	w.covered, w.upTo = covered, head
	w.row, w.last = 0, last
	w.round++
	w.now = []mark{{0, head, w.round}}
}

// chunk is how many bytes of messages are handed over at once.
func (w *conflation) chunk() int {
	return min(conflationBytes<<(len(w.now)/conflationGrowth), chunkBytes)
}

// set takes note of where the round is now, and of the newest event that was
// handed over since the last mark.
func (w *conflation) set(newest, head Position) {
	m := &w.now[len(w.now)-1]
	if newest > m.head && len(w.now) < conflationMarks {
		w.now = append(w.now, mark{w.row, head, w.round})
	} else {
		m.row = w.row
	}
}

// endRound begins the next round, or has the client go live.
func (s *State) endRound(c *client, w *conflation) {
	c.pos = w.upTo // invariant 3: or something newer was
	s.enqueue(c.conn, Op{Kind: OpCatchUp, At: c.pos})
	if c.pos == s.window.head {
		s.toLive(c)
		return
	}
	w.before, w.late = w.now, nil
	w.begin(c.pos, s.window.head, s.topicList.serial)
	s.queue(c)
}

// lookAgain begins a client's round anew, because with wider subscriptions it may see
// more of the topics that have had their turn.
func (s *State) lookAgain(c *client, wider []latecomer) {
	if c.slow == nil || c.slow.conflation == nil {
		return
	}
	w := c.slow.conflation
	s.spend(len(w.late) * (len(c.subs) + len(wider)))
	w.late = slices.DeleteFunc(w.late, func(l latecomer) bool {
		return c.subscription(l.subject.name) < 0 || slices.ContainsFunc(wider, func(n latecomer) bool { return n.subject == l.subject && n.since >= l.since })
	})
	for _, l := range wider {
		l.round = w.round
		w.late = append(w.late, l)
	}
	marks := append(w.now, w.before...)
	w.before = marks[:min(len(marks), conflationMarks)] // what is left out is looked at again
	w.begin(c.pos, s.window.head, s.topicList.serial)
}

// turns are a step of a round.
type turns struct {
	*State
	c     *client
	w     *conflation
	end   uint64 // of its work
	chunk int

	bytes  int      // handed over
	newest Position // of these events
}

// take gives topics their turns, as far as the bounds of a step go.
func (t *turns) take() {
	t.spend(len(t.c.subs))
	if v := (filter{subs: t.c.subs}); v.patterns() {
		t.takeAll()
	} else {
		t.takeExact()
	}
}

// spent reports whether the step has come to its bounds.
func (t *turns) spent() bool { return t.bytes >= t.chunk || t.work >= t.end }

// takeAll goes over the list of topics.
func (t *turns) takeAll() {
	r := &t.topicList
	for i := r.indexAfter(t.w.row); i < len(r.rows) && r.rows[i].serial <= t.w.last && !t.spent(); i = r.from(i + 1) {
		if next := i + blockRows; i%blockRows == 0 && (next <= r.kept || i >= r.looked) && !t.window.blocks.since(i, t.w.covered) {
			i = min(next, len(r.rows)) - 1
		} else if !r.rows[i].gone && !t.giveTurn(r.rows[i].of) {
			return
		}
		t.w.row = r.rows[i].serial
		t.spend(1)
	}
	if !t.spent() {
		t.w.row = max(t.w.row, t.w.last)
	}
}

// takeExact goes over the topics of a client without patterns, in the same order.
func (t *turns) takeExact() {
	mine := t.mine[:0]
	t.spend(len(t.c.subs) * bits.Len(uint(len(t.c.subs)))) // they are sorted
	for i := range t.c.subs {
		mine = append(mine, t.topics[t.c.subs[i].name])
	}
	slices.SortFunc(mine, func(a, b *topic) int { return int(a.row - b.row) })
	for _, topic := range mine {
		serial := t.topicList.rows[topic.row].serial
		if serial <= t.w.row || serial > t.w.last {
			continue
		}
		if t.spent() {
			break
		}
		if !t.giveTurn(topic) {
			break
		}
		t.w.row = serial
	}
	if !t.spent() {
		t.w.row = max(t.w.row, t.w.last)
	}
	clear(mine)
	t.mine = mine[:0]
}

// giveTurn gives a topic its turn: its newest event is handed over, if it was not yet. It
// reports whether that is done, or the turn goes on in the next step.
func (t *turns) giveTurn(topic *topic) (done bool) {
	w := t.w
	if topic.newest <= w.covered {
		return true
	}
	e, known := t.due(topic)
	if e == nil {
		return known
	}
	frame := &Frame{Bytes: t.encode(t.c.conn.Encoding, e, w.covered), Topic: e.Topic}
	t.enqueue(t.c.conn, Op{Kind: OpNewest, Frame: frame, At: w.covered})
	t.stats.Replayed++
	t.bytes += len(e.Message) + 1 // so that empty ones count
	t.newest = max(t.newest, e.position)
	return true
}

// due returns the newest event of a topic that the client may see, if it was not
// handed over yet, or nil. It reports whether that is known by now.
func (t *turns) due(topic *topic) (e *entry, known bool) {
	w, m := t.w, t.w.mark(t.topicList.rows[topic.row].serial)
	since, old := t.window.head, t.window.head // what is after them is visible; was so at the mark
	t.spend(len(t.c.subs) * (1 + strings.Count(topic.name, ".")))
	for i := range t.c.subs {
		if sub := &t.c.subs[i]; sub.matches(topic) {
			since = min(since, sub.since)
			t.spend(len(w.late))
			old = min(old, w.sinceIn(m.round, sub))
		}
	}
	e, known = t.newestOf(topic, max(since, w.covered))
	if e == nil || e.position <= m.head && e.position > old {
		return nil, known
	}
	return e, true
}

// mark returns the mark of the last round that a topic is before, or an empty one.
// It must be asked for in the order of the topics.
func (w *conflation) mark(row uint64) mark {
	for len(w.before) > 0 && w.before[0].row < row {
		w.before = w.before[1:]
	}
	if len(w.before) == 0 {
		return mark{}
	}
	return w.before[0]
}

// sinceIn returns the position after which events were for a subscription in a round.
func (w *conflation) sinceIn(round uint32, sub *subscription) Position {
	since := sub.since
	for _, l := range w.late {
		if l.subject == sub.subject && l.round >= round {
			since = max(since, l.since)
		}
	}
	return since
}

// matches reports whether a topic's events are for a subscription.
func (sub *subscription) matches(t *topic) bool {
	return sub.subject == &t.subject || sub.pattern && Match(sub.name, t.name)
}

// newestOf returns a topic's newest event after a position, or nil. It reports whether
// that is known by now.
func (t *turns) newestOf(topic *topic, p Position) (newest *entry, known bool) {
	v, n := filter{user: t.c.user.name}, 0
	known = true
	v.streams(topic, func(st *stream) {
		x := &t.w.lapsed[n]
		if n++; x.stream != st {
			*x = lapsed{stream: st}
		}
		if known {
			var e *entry
			if e, known = t.newestIn(x, p); e != nil {
				newest, p = e, e.position
			}
		}
	})
	if known {
		t.w.lapsed = [2]lapsed{}
		return newest, true
	}
	return nil, false
}

// newestIn does so for a stream: it looks at what came since it did so last, and then
// before what it found expired.
func (t *turns) newestIn(x *lapsed, p Position) (newest *entry, known bool) {
	entries := &x.stream.entries
	to := x.to
	look := func(e *entry) (more bool) {
		switch {
		case e.position <= p:
			to, known = p, true
		case !e.expired(t.now):
			to, newest, known = e.position, e, true
		default:
			to = e.position - 1
		}
		return !known
	}
	last, old := entries.len()-1, firstAfter(entries, x.from)-1
	i := t.walk(entries, last, old, t.end, look)
	switch {
	case known:
	case i == old:
		to = x.to
		i = t.walk(entries, firstAfter(entries, x.to)-1, -1, t.end, look)
		known = known || i < 0
	}
	x.to, x.from = to, entries.at(last).position
	return newest, known
}
