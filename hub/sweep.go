package hub

import (
	"cmp"
	"slices"
)

// A sweep is one round of a reader that wants the newest event of each topic
// only: each topic that has a new one has its turn, and is given by what is then
// its newest.
type sweep struct {
	covered Position // what is up to here was handed over, or something newer of its topic
	upTo    Position // the head when the round began
	looked  Position // up to here the log was looked through for topics
	found   map[string]bool
	todo    []string // topics that have not had their turn

	handed map[string]Position // by topic: the event that was handed over last
	turns  map[string]int      // by topic: its turn in the last round
}

// sweepBytes is how many bytes of messages of a sweep are handed to a connection
// at once: few, so that what comes later is still the newest when it leaves.
const sweepBytes = 4 << 10

// readLatest lets a client read the newest event of each topic.
func (s *State) readLatest(c *client) {
	if c.slow == nil {
		c.slow = &slowness{}
	}
	if !s.tellGaps(c, s.gapOfNewest(c), c.pos) {
		return
	}
	w := c.slow.sweep
	if w == nil {
		w = &sweep{handed: make(map[string]Position), turns: make(map[string]int)}
		c.slow.sweep = w
		s.tell(c.conn, Op{Kind: OpPause, At: c.pos})
		w.begin(c.pos, s.log.head)
	}
	if s.look(c, w) {
		s.handNewest(c, w)
	} else {
		s.reading.push(c)
	}
}

func (w *sweep) begin(covered, head Position) {
	w.covered, w.upTo, w.looked = covered, head, covered
	w.found, w.todo = make(map[string]bool), nil
	for topic, p := range w.handed {
		if p <= covered {
			delete(w.handed, topic)
		}
	}
}

// lookAgain begins a client's round anew: it may see more now.
func (s *State) lookAgain(c *client) {
	if c.slow != nil && c.slow.sweep != nil {
		c.slow.sweep.begin(c.pos, s.log.head)
	}
}

// look goes on looking for topics with new events, and reports whether that is
// done. Who was early in the last round is early in this one, so that the time
// between two turns is about the same for all.
func (s *State) look(c *client, w *sweep) bool {
	if w.looked == w.upTo {
		return true
	}
	v := view{subs: c.subs, user: c.user.name}
	if !v.patterns() {
		for i := range c.subs {
			if e := s.newestOf(v, c.subs[i].name); e != nil && e.position > w.covered {
				w.found[e.Topic] = true
			}
		}
		w.looked = w.upTo
	}
	first := s.log.after(w.looked)
	for i := first; w.looked < w.upTo; i++ {
		if i == s.log.entries.len() || s.log.entries.at(i).position > w.upTo {
			w.looked = w.upTo
			break
		}
		if i-first == chunkScan {
			return false
		}
		e := s.log.entries.at(i)
		w.looked = e.position
		if v.visible(e) {
			w.found[e.Topic] = true
		}
	}
	w.todo = make([]string, 0, len(w.found))
	for topic := range w.found {
		w.todo = append(w.todo, topic)
	}
	last := len(w.turns)
	turn := func(topic string) int {
		if n, had := w.turns[topic]; had {
			return n
		}
		return last
	}
	slices.SortFunc(w.todo, func(a, b string) int { return cmp.Or(turn(a)-turn(b), cmp.Compare(a, b)) })
	clear(w.turns)
	for i, topic := range w.todo {
		w.turns[topic] = i
	}
	return true
}

// newestOf returns the newest event of a topic that a reader may see, or nil.
func (s *State) newestOf(v view, topic string) (newest *entry) {
	v.streams(s.topics[topic], func(st *stream) {
		for i := st.entries.len() - 1; i >= 0; i-- {
			e := st.entries.at(i)
			if newest != nil && e.position < newest.position {
				break
			}
			if v.visible(e) && !e.expired(s.now) {
				newest = e
				break
			}
		}
	})
	return newest
}

// handNewest gives a connection the newest events of the next topics. When all
// have had their turn, and nothing has come since, it goes live.
func (s *State) handNewest(c *client, w *sweep) {
	v := view{subs: c.subs, user: c.user.name}
	bytes := 0
	for len(w.todo) > 0 && bytes < sweepBytes {
		topic := w.todo[0]
		w.todo = w.todo[1:]
		e := s.newestOf(v, topic)
		if e == nil || e.position <= max(w.covered, w.handed[topic]) {
			continue
		}
		w.handed[topic] = e.position
		frame := &Frame{Bytes: s.opts.Encode(c.conn.Encoding, &e.Event, s.cursor(w.covered)), Topic: e.Topic}
		s.tell(c.conn, Op{Kind: OpNewest, Frame: frame, At: w.covered})
		s.stats.Replayed++
		bytes += len(e.Message) + 1 // so that empty ones count
	}
	switch {
	case bytes > 0:
		s.tell(c.conn, Op{Kind: OpReport})
		c.mode = modeDraining
	case len(w.todo) > 0:
		s.reading.push(c)
	default:
		s.endRound(c, w)
	}
}

// endRound begins the next round, or has the client go live.
func (s *State) endRound(c *client, w *sweep) {
	c.pos = w.upTo
	s.tell(c.conn, Op{Kind: OpPause, At: c.pos})
	if c.pos == s.log.head {
		s.goLive(c)
		return
	}
	w.begin(c.pos, s.log.head)
	s.reading.push(c)
}
