package hub

import "strings"

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

// A lossPlace is where a search has come to among the nodes of which a '*' matches
// the first level.
type lossPlace struct {
	next *loss
	rest string // of the pattern
}

// begin begins to look for the floor of a pattern, for everybody's events and a
// user's. Floors that are not above one that is known do not matter.
func (f *lossSearch) begin(l *window, pattern, user string, known Position) {
	f.begun, f.floor, f.places = true, known, f.places[:0]
	for _, name := range [2]string{"", user} {
		if n := l.lossy[treeOf(pattern, name)]; n != nil && n.at > f.since {
			f.lookBelow(n, pattern)
		}
		if user == "" {
			return
		}
	}
}

// lookBelow looks below a node for what a pattern's rest matches.
func (f *lossSearch) lookBelow(n *loss, rest string) {
	switch level := first(rest); {
	case level == anyTail:
		f.floor = max(f.floor, n.below)
	case level != anyLevel:
		f.look(n.levels.find(level), rest)
	case n.levels != nil:
		f.places = append(f.places, lossPlace{n.levels.newest, rest})
	}
}

// look looks at a node, if there is something there that the reader has not been
// told of.
func (f *lossSearch) look(n *loss, rest string) {
	f.work++
	if n == nil || n.at <= f.since || max(n.own(), n.below) <= f.floor {
		return
	}
	for label, more := n.label, true; more; {
		var level, want string
		var wants bool
		f.work++
		level, label, more = strings.Cut(label, ".")
		want, rest, wants = strings.Cut(rest, ".")
		switch {
		case want == anyTail:
			f.floor = max(f.floor, n.own(), n.below)
			return
		case want != anyLevel && want != level, !wants && more:
			return
		case !wants:
			f.floor = max(f.floor, n.own())
			return
		}
	}
	f.lookBelow(n, rest)
}

// search goes on until a step's work is done, but not before the first node, and reports
// whether the floor is found. So a search always gets on.
func (s *State) search(f *lossSearch, end uint64) bool {
	for first := true; ; first = false {
		s.spend(f.work)
		f.work = 0
		last := len(f.places) - 1
		if last < 0 || s.work >= end && !first {
			return last < 0
		}
		p := &f.places[last]
		n := p.next
		if n == nil || n.at <= f.since {
			f.places = f.places[:last]
			continue
		}
		p.next = n.next
		f.look(n, p.rest)
	}
}

// keep returns a search to go on with in another step.
func (f *lossSearch) keep() *lossSearch {
	kept := *f
	f.places = nil
	return &kept
}
