package hub

import "time"

// MaxLast is the most events that a reader who asks for the newest is given
// before those that follow.
const MaxLast = 1000

// A newest is a reader's wish for only the newest events of each topic among
// those that are retained up to a bound. Which these are is found out by
// walking back through the log, in steps.
type newest struct {
	bound Position // events behind it are wanted all
	from  Position // entries behind it were looked at; 0: all that there are
	each  int      // of one topic
	left  int      // of [MaxLast]
	count map[string]int
	after map[string]Position // by topic: those up to here are not wanted
}

func newNewest(each int, bound Position) *newest {
	return &newest{
		bound: bound, from: bound, each: min(each, MaxLast), left: MaxLast,
		count: make(map[string]int), after: make(map[string]Position),
	}
}

// wants reports whether an entry is wanted.
func (n *newest) wants(e *entry) bool {
	if n == nil || e.position > n.bound {
		return true
	}
	after, some := n.after[e.Topic]
	return some && e.position > after
}

// before returns the position up to which nothing of a topic is wanted, p if
// all is.
func (n *newest) before(topic string, p Position) Position {
	if n == nil {
		return p
	}
	if after, some := n.after[topic]; some {
		return after
	}
	return n.bound
}

// take counts an entry as wanted, the newest of its topic first.
func (n *newest) take(e *entry, now time.Time) {
	if !e.expired(now) && n.count[e.Topic] < n.each {
		n.count[e.Topic]++
		n.left--
		n.after[e.Topic] = e.position - 1
	}
}

// first returns the position before the oldest entry that is wanted.
func (n *newest) first() Position {
	p := n.bound
	for _, after := range n.after {
		p = min(p, after)
	}
	return p
}

// choosing reports whether it is not known yet which events a reading wants.
func (rd *reading) choosing() bool { return rd.last != nil && rd.last.from > 0 }

// choose goes on finding out which events a reading wants, and reports whether
// that is done: then the reading stands before the oldest of them.
func (s *State) choose(v view, rd *reading) bool {
	if !rd.choosing() {
		return true
	}
	n := rd.last
	s.spend(len(v.subs))
	if v.patterns() {
		s.chooseByLog(v, n)
	} else {
		s.chooseByTopics(v, n)
	}
	if n.from > 0 {
		return false
	}
	s.spend(len(n.after))
	rd.pos = n.first()
	return true
}

// chooseByTopics walks back through the streams of exact topics side by side, as far
// as a step may.
func (s *State) chooseByTopics(v view, n *newest) {
	sources := s.sources[:0]
	for i := range v.subs {
		if v.subs[i].since >= n.bound {
			continue // it came after the wish
		}
		v.streams(s.topics[v.subs[i].name], func(st *stream) {
			sources = append(sources, source{&st.entries, firstAfter(&st.entries, n.from) - 1})
		})
	}
	s.sources = sources
	s.spend(len(v.subs) + 16*len(sources))
	n.from = 0
	for end := s.allowance(); n.left > 0; {
		s.spend(1 + len(sources))
		var last *entry
		var from *source
		for i := range sources {
			src := &sources[i]
			if src.i >= 0 {
				if e := src.entries.at(src.i); n.count[e.Topic] < n.each && (last == nil || e.position > last.position) {
					last, from = e, src
				}
			}
		}
		if last == nil {
			break
		}
		n.take(last, s.now)
		from.i--
		if s.work >= end {
			n.from = last.position - 1
			break
		}
	}
}

// chooseByLog walks back through the log, as far as a step may.
func (s *State) chooseByLog(v view, n *newest) {
	i := s.log.after(n.from) - 1
	if n.left > 0 {
		i = s.walk(i, -1, func(e *entry) bool {
			if s.sees(&v, e) {
				n.take(e, s.now)
			}
			return n.left > 0
		})
	}
	n.from = 0
	if i >= 0 && n.left > 0 {
		n.from = s.log.entries.at(i).position
	}
}
