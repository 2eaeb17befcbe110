package hub

import (
	"iter"
	"time"
)

// A Restored is what a store has of a log when the broker starts.
type Restored struct {
	Head  Position // of the newest event
	Given Position // the highest position that was given; not below Head
	Floor Position // events up to here are gone, or are not among Events

	Events iter.Seq[Ordered]   // by position, after Floor
	Keys   iter.Seq[KeyRecord] // in the order of time
}

// Restore begins with what a store has. It is called once, before [Hub.Run].
func (h *Hub) Restore(r Restored) {
	h.state.Tick(h.opts.Clock())
	h.state.Restore(r)
}

// Restore begins with what a store has. Nobody else has given the State a command but the
// time.
func (s *State) Restore(r Restored) {
	w := &s.window
	w.floor, w.dropped, w.gone = r.Floor, r.Floor, r.Floor
	for ev := range r.Events {
		e := s.append(ev.Position, ev.Event)
		e.born = s.ageOf(ev.Time)
		s.window.bound(e.stream)
		s.trimTo(s.work + stepWork)
	}
	for !s.trimTo(s.work + stepWork) {
	}
	for k := range r.Keys {
		receipts := make([]Receipt, len(k.Events))
		for i, ev := range k.Events {
			receipts[i] = Receipt{ID: ev.ID, Cursor: s.cursor(ev.Position), Uncounted: true}
		}
		s.authority.keys.remember(k.Key, s.ageOf(k.Time), receipts)
	}
	w.head = max(w.head, r.Head)
	s.authority.head = max(r.Given, w.head)
	s.storing.next.Given = s.authority.head
}

// ageOf returns a time of the clock in the hub's time. It is below 0 before the hub began.
func (s *State) ageOf(t time.Time) time.Duration { return s.age - max(0, s.now.Sub(t)) }
