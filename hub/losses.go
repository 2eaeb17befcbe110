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

// A loss is a node: levels that topics with losses have in common. Only where
// topics part, or one ends, there is a node.
type loss struct {
	label  string      // its levels; "" of a root
	in     *lossLevels // where it stands; nil of a root
	levels *lossLevels // what is below; nil if that is nothing
	stream *stream     // that ends here, or nil
	below  Position    // no floor of a stream below is higher; it may be of one that is forgotten
	at     uint64      // number of the latest loss here or below

	// next lost something before it. It stays when a node is removed, for searches
	// that stand there.
	prev, next *loss
}

// lossLevels are the nodes below one.
type lossLevels struct {
	of     *loss
	newest *loss
	n      int
	byName map[string]*loss // by their first level; nil while they are few
}

// fewLosses is how many nodes are looked through one by one.
const fewLosses = 8

func treeOf(topic, user string) lossTree { return lossTree{user, reserved(topic)} }

// own returns the floor of the stream that ends at a node, 0 if none does.
func (n *loss) own() Position {
	if n.stream == nil {
		return 0
	}
	return n.stream.floor
}

// first returns the first level of some.
func first(levels string) string {
	level, _, _ := strings.Cut(levels, ".")
	return level
}

// lose takes note of a stream's floor, and returns how many nodes it has looked at.
func (l *window) lose(st *stream) (nodes int) {
	if st.loss == nil {
		nodes += l.place(st)
	}
	n := st.loss
	for n.at = l.losses; n.in != nil; nodes++ {
		in := n.in
		if in.newest != n {
			in.unlink(n)
			in.link(n)
		}
		n = in.of
		n.at, n.below = l.losses, max(n.below, st.floor)
	}
	return nodes
}

// place gives a stream its node, and returns how many it has looked at.
func (l *window) place(st *stream) (nodes int) {
	tree, rest := treeOf(st.topic.name, st.user), st.topic.name
	n := l.lossy[tree]
	if n == nil {
		if l.lossy == nil {
			l.lossy = make(map[lossTree]*loss)
		}
		n = &loss{}
		l.lossy[tree] = n
	}
	for {
		nodes += fewLosses
		child := n.levels.find(first(rest))
		if child == nil {
			st.loss = &loss{label: rest, stream: st}
			n.add(st.loss)
			return nodes
		}
		common := commonLevels(child.label, rest)
		if common < len(child.label) {
			child.split(common)
		}
		if common == len(rest) {
			child.stream, st.loss = st, child
			return nodes
		}
		n, rest = child, rest[common+1:]
	}
}

// commonLevels returns the length of the levels with which two names both begin.
func commonLevels(a, b string) (n int) {
	for i := range min(len(a), len(b)) {
		switch {
		case a[i] != b[i]:
			return n
		case a[i] == '.':
			n = i
		}
	}
	switch {
	case len(a) == len(b), len(a) < len(b) && b[len(a)] == '.', len(a) > len(b) && a[len(b)] == '.':
		return min(len(a), len(b))
	}
	return n
}

// forget takes a stream out of the tree, and returns how many nodes it has looked at.
// The stream's floor is the log's by now.
func (l *window) forget(st *stream) (nodes int) {
	n := st.loss
	if n == nil {
		return 0
	}
	for st.loss, n.stream = nil, nil; n.stream == nil && n.levels == nil; nodes++ {
		in := n.in
		if in == nil {
			delete(l.lossy, treeOf(st.topic.name, st.user))
			return nodes
		}
		in.remove(n)
		n = in.of
	}
	if n.stream == nil && n.in != nil && n.levels.n == 1 {
		n.merge(n.levels.newest)
	}
	return nodes
}

// split has a node end after some of its levels, with another for the rest.
func (n *loss) split(at int) {
	rest := &loss{label: n.label[at+1:], below: n.below, at: n.at}
	rest.take(n)
	n.label, n.stream, n.levels, n.below = n.label[:at], nil, nil, max(rest.own(), rest.below)
	n.add(rest)
}

// merge joins a node with the only one below it.
func (n *loss) merge(rest *loss) {
	n.label, n.below = n.label+"."+rest.label, rest.below
	n.take(rest)
}

// take gives a node another's stream and what is below that.
func (n *loss) take(other *loss) {
	if n.stream = other.stream; n.stream != nil {
		n.stream.loss = n
	}
	if n.levels = other.levels; n.levels != nil {
		n.levels.of = n
	}
}

// find returns the node that begins with a level, or nil.
func (l *lossLevels) find(level string) *loss {
	switch {
	case l == nil:
		return nil
	case l.byName != nil:
		return l.byName[level]
	}
	n := l.newest
	for n != nil && first(n.label) != level {
		n = n.next
	}
	return n
}

// add puts a node below another.
func (n *loss) add(child *loss) {
	if n.levels == nil {
		n.levels = &lossLevels{of: n}
	}
	l := n.levels
	l.link(child)
	l.n++
	switch {
	case l.byName != nil:
		l.byName[first(child.label)] = child
	case l.n > fewLosses:
		l.byName = make(map[string]*loss)
		for c := l.newest; c != nil; c = c.next {
			l.byName[first(c.label)] = c
		}
	}
}

func (l *lossLevels) remove(n *loss) {
	l.unlink(n)
	delete(l.byName, first(n.label))
	if l.n--; l.n == 0 {
		l.of.levels = nil
	}
}

// link puts a node in front.
func (l *lossLevels) link(n *loss) {
	n.in, n.prev, n.next = l, nil, l.newest
	if n.next != nil {
		n.next.prev = n
	}
	l.newest = n
}

func (l *lossLevels) unlink(n *loss) {
	if n.next != nil {
		n.next.prev = n.prev
	}
	if n.prev != nil {
		n.prev.next = n.next
	} else {
		l.newest = n.next
	}
}
