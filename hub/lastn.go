package hub

import "time"

// MaxLast is the most retained events that a reader that asks for the newest starts with.
const MaxLast = 1000

// A lastN is a reader's wish for only the newest events of each topic among
// those that are retained up to a bound. They are located by
// walking back through the log, a bounded number of entries in each step.
type lastN struct {
	bound Position // all events after it are wanted
	from  Position // entries after it were looked at; 0: all that there are
	each  int      // of one topic
	left  int      // of [MaxLast]
	count map[string]int
	after map[string]Position // by topic: those up to here are not wanted
}

func newLastN(each int, bound Position) *lastN {
	return &lastN{
		bound: bound, from: bound, each: min(each, MaxLast), left: MaxLast,
		count: make(map[string]int), after: make(map[string]Position),
	}
}

// wants reports whether an entry is wanted.
func (n *lastN) wants(e *entry) bool {
	if n == nil || e.position > n.bound {
		return true
	}
	after, some := n.after[e.Topic]
	return some && e.position > after
}

// before returns the position up to which nothing of a topic is wanted, p if
// all is.
func (n *lastN) before(topic string, p Position) Position {
	if n == nil {
		return p
	}
	if after, some := n.after[topic]; some {
		return after
	}
	return n.bound
}

// full reports whether all that is wanted of a topic is known.
func (n *lastN) full(topic string) bool { return n.count[topic] >= n.each }

// take counts an entry as wanted, the newest of its topic first.
func (n *lastN) take(e *entry, now time.Time) {
	if !e.expired(now) && !n.full(e.Topic) {
		n.count[e.Topic]++
		n.left--
		n.after[e.Topic] = e.position - 1
	}
}

// first returns the position before the oldest entry that is wanted.
func (n *lastN) first() Position {
	p := n.bound
	for _, after := range n.after {
		p = min(p, after)
	}
	return p
}

// locating reports whether it is not known yet which events a reading wants.
func (rd *reading) locating() bool { return rd.last != nil && rd.last.from > 0 }

// locateNewest goes on finding out which events a reading wants, and reports whether
// that is done: then the reading stands before the oldest of them.
func (s *State) locateNewest(v filter, rd *reading) bool {
	if !rd.locating() {
		return true
	}
	n := rd.last
	s.spend(len(v.subs))
	if v.patterns() {
		s.locateNewestByLog(v, n)
	} else {
		s.locateNewestByTopics(v, n)
	}
	if n.from > 0 {
		return false
	}
	s.spend(len(n.after))
	rd.pos = n.first()
	return true
}

// locateNewestByTopics walks back through the streams of exact topics, as far as a step may.
func (s *State) locateNewestByTopics(v filter, n *lastN) {
	sources := s.sources[:0]
	for i := range v.subs {
		sub := &v.subs[i]
		if sub.since >= n.bound || n.full(sub.name) {
			continue // it came after the wish, or is done with
		}
		v.streams(s.topics[sub.name], func(st *stream) {
			sources = append(sources, newSource(&st.entries, firstAfter(&st.entries, n.from)-1))
		})
	}
	s.sources = sources
	s.spend(len(v.subs))
	var at Position
	w := s.walkTogether(sources, backward)
	for e := w.next(); e != nil; e = w.next() {
		at = e.position
		if n.take(e, s.now); n.left == 0 {
			break
		}
		if n.full(e.Topic) {
			w.from.end()
		}
	}
	n.from = 0
	if !w.all && n.left > 0 {
		n.from = at - 1
	}
}

// locateNewestByLog walks back through the log, as far as a step may.
func (s *State) locateNewestByLog(v filter, n *lastN) {
	i := s.walk(&s.window.entries, s.window.after(n.from)-1, -1, s.allowance(), func(e *entry) (more bool) {
		if s.sees(&v, e) {
			n.take(e, s.now)
		}
		return n.left > 0
	})
	n.from = 0
	if i >= 0 && n.left > 0 {
		n.from = s.window.entries.at(i).position
	}
}
