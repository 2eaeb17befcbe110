package hub

import "strings"

// What has been lost and can still be told of is indexed by the levels of its
// topics: one tree for everybody's events and one for each user's, of the streams
// that have lost something and still hold something. So the floor of a pattern is
// found below the nodes that the pattern names, and only where something was lost
// that a reader has not been told of.

// A lossTree is what a tree is for.
type lossTree struct {
	user     string
	reserved bool // the broker's own topics, which wildcards at the first level do not reach
}

// A loss is a node: a level of topics of which something is lost.
type loss struct {
	tree   lossTree
	level  string
	up     *loss
	levels map[string]*loss

	own   Position // floor of the stream that ends here; 0: none does
	below Position // no floor of a stream below is higher, but for those of forgotten streams
	at    uint64   // number of the latest loss here or below

	newest     *loss // of the levels, the one with the latest loss
	prev, next *loss // levels beside it: next lost something before. Next stays when a node is removed, for searches that stand there
}

func treeOf(topic, user string) lossTree { return lossTree{user, reserved(topic)} }

// lose takes note of a stream's floor.
func (l *log) lose(st *stream) {
	if st.loss == nil {
		st.loss = l.lossOf(st)
	}
	n := st.loss
	n.own = st.floor
	for n.at = l.losses; n.up != nil; n = n.up {
		n.up.at = l.losses
		n.up.below = max(n.up.below, st.floor)
		if n.up.newest != n {
			n.unlink()
			n.link()
		}
	}
}

// lossOf returns a stream's node, made if it is new.
func (l *log) lossOf(st *stream) *loss {
	tree := treeOf(st.topic.name, st.user)
	n := l.lossy[tree]
	if n == nil {
		if l.lossy == nil {
			l.lossy = make(map[lossTree]*loss)
		}
		n = &loss{tree: tree}
		l.lossy[tree] = n
	}
	for level := range strings.SplitSeq(st.topic.name, ".") {
		child := n.levels[level]
		if child == nil {
			child = &loss{level: level, up: n}
			if n.levels == nil {
				n.levels = make(map[string]*loss)
			}
			n.levels[level] = child
			child.link()
		}
		n = child
	}
	return n
}

// forget takes a stream out of the tree. Its floor is the log's by now.
func (l *log) forget(st *stream) {
	n := st.loss
	if n == nil {
		return
	}
	st.loss, n.own = nil, 0
	for n.own == 0 && len(n.levels) == 0 {
		if n.up == nil {
			delete(l.lossy, n.tree)
			return
		}
		n.unlink()
		delete(n.up.levels, n.level)
		n = n.up
	}
}

// link puts a node in front of the levels beside it.
func (n *loss) link() {
	n.prev, n.next = nil, n.up.newest
	if n.next != nil {
		n.next.prev = n
	}
	n.up.newest = n
}

func (n *loss) unlink() {
	if n.next != nil {
		n.next.prev = n.prev
	}
	if n.prev != nil {
		n.prev.next = n.next
	} else {
		n.up.newest = n.next
	}
}

// A lossSearch looks for what a reader has lost of its subscriptions, one after the
// other, and keeps its place between two steps.
type lossSearch struct {
	pos    Position // of the reader
	since  uint64   // losses up to this one were looked at before
	upTo   uint64   // the latest loss when it began
	sub    int      // number of the subscription
	begun  bool     // with that one
	floor  Position // highest one found of it
	places []lossPlace
	work   int // not counted yet
}

// A lossPlace is where a search has come to among the levels that a '*' stands for.
type lossPlace struct {
	next *loss
	rest string // of the pattern
	more bool   // there is a rest
}

// begin begins to look for the floor of a pattern, for everybody's events and a
// user's. Floors that are not above one that is known do not matter.
func (f *lossSearch) begin(l *log, pattern, user string, known Position) {
	f.begun, f.floor, f.places = true, known, f.places[:0]
	for _, name := range [2]string{"", user} {
		if n := l.lossy[treeOf(pattern, name)]; n != nil && n.at > f.since {
			f.below(n, pattern)
		}
		if user == "" {
			return
		}
	}
}

// below looks below a node for what a pattern's rest matches.
func (f *lossSearch) below(n *loss, rest string) {
	level, rest, more := strings.Cut(rest, ".")
	switch level {
	case anyTail:
		f.floor = max(f.floor, n.below)
	case anyLevel:
		f.places = append(f.places, lossPlace{n.newest, rest, more})
	default:
		f.visit(n.levels[level], rest, more)
	}
}

// visit looks at a node, if there is something there that the reader has not been
// told of.
func (f *lossSearch) visit(n *loss, rest string, more bool) {
	f.work++
	switch {
	case n == nil || n.at <= f.since || max(n.own, n.below) <= f.floor:
	case more:
		f.below(n, rest)
	default:
		f.floor = max(f.floor, n.own)
	}
}

// search goes on until a step's work is done, and reports whether the floor is found.
func (s *State) search(f *lossSearch, end uint64) bool {
	for {
		s.spend(f.work)
		f.work = 0
		last := len(f.places) - 1
		if last < 0 || s.work >= end {
			return last < 0
		}
		p := &f.places[last]
		n := p.next
		if n == nil || n.at <= f.since {
			f.places = f.places[:last]
			continue
		}
		p.next = n.next
		f.visit(n, p.rest, p.more)
	}
}

// keep returns a search to go on with in another step.
func (f *lossSearch) keep() *lossSearch {
	kept := *f
	f.places = nil
	return &kept
}
