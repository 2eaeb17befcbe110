package hub

import "time"

// An entry is an event in the log.
type entry struct {
	Event
	position Position
	stream   *stream
	born     time.Duration // in the hub's time
	size     int           // bytes accounted for; 0 once evicted
	frames   *Frame        // one for each encoding that was asked for
}

// noEntry stands for the newest event of a topic that has had none.
var noEntry = &entry{}

func (e *entry) evicted() bool { return e.size == 0 }

// A stream is the part of the log that one topic and one user (or everybody)
// share: the index by which retention counts and readers read.
type stream struct {
	topic   *topic
	user    string
	entries deque[*entry]
	floor   Position // highest position evicted from this stream
	loss    *loss    // its place among those that have lost something; else nil
}

// A window is the part of the log that is in memory: the newest events, as far as
// retention goes. It knows neither clients nor a clock, and gives no positions: what is
// appended has its place in the log already. Positions grow; they need not be dense.
//
// Entries that are evicted from its middle stay as husks until they reach the front or
// are swept.
type window struct {
	retention // static

	entries deque[*entry]
	husks   int
	sweeping
	bytes  int      // accounted size of what is retained
	head   Position // of the newest event
	losses uint64   // evictions so far
	lossy  map[lossTree]*loss
	blocks blocks // of topics with news

	// Two floors bound what readers may have missed. Up to dropped, events may have left
	// the window. Up to gone, they may have left the log, and nobody can read them any
	// more. The log of a broker in memory is its window, so both are the same there.
	dropped Position
	gone    Position
	// floor is the highest position evicted from a stream that is forgotten. Readers at
	// a lower position may have missed events; it is not known any more of which topics.
	floor Position

	evictions uint64   // counter
	work      int      // comparisons that nobody has counted yet
	idle      []*topic // topics of which nothing is retained any more, for their owner to free
}

// A retention says how much a window keeps.
type retention struct {
	maxEvents int           // of each stream
	maxAge    time.Duration // of an event
	maxBytes  int           // in all, overhead counted
}

// stream returns the stream of a topic and user, or nil.
func (t *topic) stream(user string) *stream {
	if user == "" {
		return t.all
	}
	return t.users[user]
}

// append adds an event of a topic at a position, which is above all others. The caller
// enforces retention when it is done with the entry.
func (w *window) append(t *topic, at Position, ev Event, now time.Duration) *entry {
	st := t.stream(ev.User)
	if st == nil {
		// An earlier stream of that name may have been forgotten.
		st = &stream{topic: t, user: ev.User, floor: w.floor}
		if t.empty() {
			w.bytes += t.size()
		}
		if ev.User == "" {
			t.all = st
		} else {
			if t.users == nil {
				t.users = make(map[string]*stream)
			}
			t.users[ev.User] = st
		}
		w.bytes += st.size()
	}
	ev.Topic, ev.User = t.name, st.user // the request's copies need not be kept
	t.published++
	w.head, t.newest = at, at
	w.blocks.note(t.row, at)
	e := &entry{Event: ev, position: at, stream: st, born: now, size: ev.size()}
	w.bytes += e.size
	w.entries.push(e)
	st.entries.push(e)
	t.retained++
	t.last = e
	return e
}

// bound evicts what a stream holds above its bound.
func (w *window) bound(st *stream) {
	for st.entries.len() > w.maxEvents {
		w.evictOldest(st)
	}
}

// trim evicts from the front until the window is within its bounds of age and bytes, as
// far as that much work goes, and sweeps husks when they are the greater part. It reports
// whether that is all.
func (w *window) trim(now time.Duration, budget int) (done bool) {
	for oldest := now - w.maxAge; w.entries.len() > 0; {
		e := w.entries.at(0)
		switch {
		case w.work >= budget:
			return false
		case e.evicted():
			w.work++
			w.popHusk()
		case w.bytes > w.maxBytes || e.born < oldest:
			w.evictOldest(e.stream)
		default:
			w.work += w.sweep()
			return true
		}
	}
	return true
}

// evictOldest removes the oldest entry of a stream and, with the last one, the stream.
// Readers see by the floors what they have missed.
func (w *window) evictOldest(st *stream) {
	e := st.entries.pop()
	st.floor = e.position
	w.dropped = max(w.dropped, e.position)
	w.gone = w.dropped
	w.losses++
	w.evictions++
	w.bytes -= e.size
	w.husks++
	*e = entry{position: e.position}
	st.topic.retained--
	w.work += 2
	if st.entries.len() > 0 {
		w.work += w.lose(st)
		return
	}
	w.bytes -= st.size()
	w.floor = max(w.floor, st.floor)
	w.work += w.forget(st)
	if st.user == "" {
		st.topic.all = nil
	} else {
		delete(st.topic.users, st.user)
	}
	if t := st.topic; t.empty() {
		w.bytes -= t.size()
		w.idle = append(w.idle, t)
		w.work += idleWork
	}
}

// idleWork is what it counts to free a topic, at least.
const idleWork = 4

// after returns the index of the first entry after a position.
func (w *window) after(p Position) int { return firstAfter(&w.entries, p) }

func firstAfter(entries *deque[*entry], p Position) int {
	return entries.search(func(e *entry) bool { return e.position > p })
}
