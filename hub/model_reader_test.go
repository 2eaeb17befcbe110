package hub

import (
	"maps"
	"slices"
)

// A modelReader reads the list of all events ever published.
type modelReader struct {
	user string
	subs map[string]Position // by subscription: events up to here are not for it
	pos  Position            // everything up to here was handed over
	last *modelLast          // nil: it wants everything
	told map[string]Position // by subscription: the end of the last gap
	lost map[Position]bool   // events that are gone, as it was told
}

// A modelLast is the wish for the newest events only.
type modelLast struct {
	bound  Position
	each   int
	chosen bool
	wanted map[Position]bool
}

// A modelReplay is what a connection asked for beside its reading.
type modelReplay struct {
	modelReader
	ref   string
	at    Position        // where the connection stood when it was asked for
	fresh map[string]bool // subscriptions that came with it
}

func newReader(user string, names []string, since Position) modelReader {
	r := modelReader{user: user, subs: make(map[string]Position), told: make(map[string]Position), lost: make(map[Position]bool)}
	for _, name := range names {
		r.subs[name] = since
	}
	return r
}

func (r *modelReader) names() []string { return slices.Sorted(maps.Keys(r.subs)) }

// covered reports whether an event is for a subscription.
func (r *modelReader) covered(name string, e *modelEvent) bool {
	return (e.user == "" || e.user == r.user) && e.position > r.subs[name] && naiveMatch(name, e.topic)
}

func (r *modelReader) sees(e *modelEvent) bool {
	for name := range r.subs {
		if r.covered(name, e) {
			return true
		}
	}
	return false
}

// wants reports whether an event is due if the reader sees it. Of what is older
// than a wish for the newest, it wants only what there is.
func (r *modelReader) wants(e *modelEvent) bool {
	return r.last == nil || e.position > r.last.bound || r.last.wanted[e.position] && !e.evicted
}

// due returns the next event up to a limit that has to be handed to a reader,
// or that it has to be told is gone; or nil.
func (w *world) due(r *modelReader, limit Position) *modelEvent {
	if r.pos >= limit {
		return nil
	}
	for _, e := range w.events[r.pos:limit] {
		if r.sees(e) && r.wants(e) && !r.lost[e.position] && !e.expired(w.now) {
			return e
		}
	}
	return nil
}

// after returns the position after which a subscription must not lose
// anything without a word.
func (r *modelReader) after(name string) Position {
	p := max(r.pos, r.subs[name], r.told[name])
	if r.last != nil {
		p = max(p, r.last.bound)
	}
	return p
}

// mayTell reports whether a gap of a subscription up to a position may be told:
// something is lost, or the hub cannot know that nothing is.
func (w *world) mayTell(r *modelReader, name string, to Position) bool {
	p := r.after(name)
	return to > p && (w.floor > p || slices.ContainsFunc(w.events[p:to], func(e *modelEvent) bool {
		return e.evicted && r.covered(name, e)
	}))
}

// mayTellAny reports whether any gap may be told.
func (w *world) mayTellAny(r *modelReader) bool {
	return slices.ContainsFunc(r.names(), func(name string) bool { return w.mayTell(r, name, w.head()) })
}

// tellGap has a reader take note of a gap, and returns the events in it.
func (w *world) tellGap(r *modelReader, g Gap) (gone []Position) {
	if g.Reason != GapExpired || g.From != w.cursor(r.pos) || g.To.Epoch != w.opts.Epoch || g.To.Position > w.head() || len(g.Topics) == 0 {
		w.t.Fatalf("a reader at %d is told: %s", r.pos, describeNote(g))
	}
	for _, name := range g.Topics {
		if _, has := r.subs[name]; !has || !w.mayTell(r, name, g.To.Position) {
			w.t.Fatalf("a reader at %d, of %v, is told without need: %s", r.pos, r.subs, describeNote(g))
		}
		for _, e := range w.events[r.pos:g.To.Position] {
			if e.evicted && r.covered(name, e) {
				r.lost[e.position] = true
				gone = append(gone, e.position)
			}
		}
		r.told[name] = g.To.Position
	}
	return gone
}

// lose evicts an event. Readers that were told of a gap that holds it, by each subscription
// that it is for, are told no more of it.
func (w *world) lose(e *modelEvent) {
	e.evicted = true
	w.stats.Evicted++
	for _, c := range w.clients {
		if c.modelReader.foretold(e) {
			c.lost[e.position], c.excused[e.position] = true, true
		}
		for _, r := range c.replays {
			if r.foretold(e) {
				r.lost[e.position] = true
				if e.position > r.at && e.position <= c.pos {
					c.excused[e.position] = true
				}
			}
		}
	}
}

// foretold reports whether a reader was told that an event may be gone before it was.
func (r *modelReader) foretold(e *modelEvent) bool {
	return r.sees(e) && e.position > r.pos && !slices.ContainsFunc(r.names(), func(name string) bool {
		return r.covered(name, e) && r.told[name] < e.position
	})
}

// choose finds out which events a reader wants.
func (w *world) choose(r *modelReader) {
	n := r.last
	if n == nil || n.chosen {
		return
	}
	n.chosen, n.wanted = true, make(map[Position]bool)
	each := make(map[string]int)
	r.pos = n.bound
	for _, e := range slices.Backward(w.events[:n.bound]) {
		if !e.evicted && !e.expired(w.now) && r.sees(e) && each[e.topic] < n.each && len(n.wanted) < MaxLast {
			each[e.topic]++
			n.wanted[e.position] = true
			r.pos = e.position - 1
		}
	}
}

func (w *world) cursor(p Position) Cursor { return Cursor{w.opts.Epoch, p} }

// place has a reader stand where a From says; the head, for who asks, is at.
func (w *world) place(r *modelReader, from From, at Position) (gap *Gap) {
	r.pos, r.last = at, nil
	if from.After == nil {
		if from.Last > 0 {
			r.last = &modelLast{bound: at, each: from.Last, chosen: at == 0}
		}
		return nil
	}
	switch after := *from.After; {
	case after.Epoch != w.opts.Epoch:
		r.pos = 0
	case after.Position > w.head():
		r.pos = w.head()
	default:
		r.pos = after.Position
		return nil
	}
	return &Gap{Topics: r.names(), From: *from.After, To: w.cursor(r.pos), Reason: GapRestarted}
}
