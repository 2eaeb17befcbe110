package hub

import (
	"slices"
	"strings"
)

// A matching finds the patterns that cover a topic. There may be a node of the tree
// for each way to have its levels named or starred, so it keeps its place between two
// steps. Patterns that come meanwhile are added to it; those that go have no members.
type matching struct {
	topic  string // "" when there is nothing to do
	places []matchPlace
	found  []*subject
	marks  bool   // it marks what it finds
	mark   uint64 // with this number, which is this search's
}

// A matchPlace is a node that has not been looked at, and what of the topic is below.
type matchPlace struct {
	n    *node
	rest string
}

// prepare goes on with a matching, or begins that of another topic. It reports
// whether it is done.
func (s *State) prepare(m *matching, topic string, end uint64) bool {
	if m.topic != topic {
		s.seek(m, topic)
	}
	for len(m.places) > 0 {
		if s.work >= end {
			return false
		}
		last := len(m.places) - 1
		p := m.places[last]
		m.places = m.places[:last]
		s.spend(m.look(p.n, p.rest))
	}
	return true
}

// seek begins to look for a topic's patterns.
func (s *State) seek(m *matching, topic string) {
	m.topic, m.places, m.found = topic, m.places[:0], m.found[:0]
	m.mark++
	if s.patternCount == 0 {
		return
	}
	if !reserved(topic) {
		m.places = append(m.places, matchPlace{&s.patterns, topic})
	} else if level, rest, more := strings.Cut(topic, "."); more {
		// Wildcards at the first level do not reach the broker's own topics.
		if child := s.patterns.children[level]; child != nil {
			m.places = append(m.places, matchPlace{child, rest})
		}
	}
}

// look looks at a node and what is below it, only where something can match. Where
// that parts, one way is left for later. It returns how many nodes it has looked at.
func (m *matching) look(n *node, topic string) (nodes int) {
	for ; n != nil && len(n.children) > 0; nodes++ {
		m.add(n.children[anyTail])
		level, rest, more := strings.Cut(topic, ".")
		star, named := n.children[anyLevel], n.children[level]
		if !more {
			m.add(star)
			m.add(named)
			return nodes + 1
		}
		if n = named; n == nil {
			n = star
		} else if star != nil {
			m.places = append(m.places, matchPlace{star, rest})
		}
		topic = rest
	}
	return nodes + 1
}

// add takes the pattern that ends at a node, if one does.
func (m *matching) add(n *node) {
	if n != nil && n.subject != nil {
		m.take(n.subject)
	}
}

func (m *matching) take(sub *subject) {
	m.found = append(m.found, sub)
	if m.marks {
		sub.seen = m.mark
	}
}

// joined has a matching that is under way take note of a new pattern. It may find it
// a second time. It returns what that took. However long the matching waits, and however
// often clients come and go, it holds no more than twice the patterns that there are.
func (m *matching) joined(sub *subject) (work int) {
	if m.topic == "" {
		return 0
	}
	is, work := match(sub.name, m.topic)
	if !is {
		return work
	}
	if len(m.found) == cap(m.found) {
		work += len(m.found)
		m.found = slices.DeleteFunc(m.found, func(sub *subject) bool { return len(sub.members) == 0 })
		m.found = slices.Grow(m.found, len(m.found)+1)
	}
	m.take(sub)
	return work
}

// finish completes a matching and returns what it has found, valid until the next
// one begins.
func (s *State) finish(m *matching, topic string) []*subject {
	s.prepare(m, topic, noEnd)
	m.topic = ""
	return m.found
}

// noEnd is for what is done in one piece.
const noEnd = 1<<64 - 1
