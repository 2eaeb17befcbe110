package hub

import (
	"errors"
	"time"
)

// With a store, an event is stored before anybody gets it, and before its receipt. The hub
// orders what is published into the next commit. It gathers that while the store has one,
// as it does for couriers: so what arrives meanwhile is stored together. What is stored it
// applies.

// What a publication fails with that could not be stored.
var (
	// ErrNotStored says that the store has refused the publication. It has no effect.
	ErrNotStored = errors.New("the log could not be written; the event was not published")
	// ErrUnsure says that it is not known in time whether the publication was stored. A
	// repeat with its key finds that out.
	ErrUnsure = errors.New("the log did not answer in time; the event may have been published")
	// ErrKeyPending says that a publication with the same key is being stored.
	ErrKeyPending = errors.New("a publication with this key is under way; try again when it is answered")
)

// A Commit is what is to be stored together: all of it, or nothing. It passes between the
// hub and the store, and belongs to whoever holds it.
type Commit struct {
	Events []Ordered   // by position
	Keys   []KeyRecord // of publications
	Given  Position    // the highest position given so far: none is given twice

	bytes int       // of the events, as the window counts them
	parts []*Taking // in order
}

// An Ordered event has its position in the log.
type Ordered struct {
	Position Position
	Event
}

// A KeyRecord is what is remembered of a publication with a key.
type KeyRecord struct {
	Key    Key
	Time   time.Time // when it was taken
	Events []KeyedEvent
}

// A KeyedEvent is one that was published with a key.
type KeyedEvent struct {
	ID       string
	Position Position
}

// Bounds of what is gathered while the store has a commit. Above them no more events are
// taken; one publication may go beyond.
const (
	commitEvents = 4096
	commitBytes  = 4 << 20
)

func (c *Commit) full() bool { return len(c.Events) >= commitEvents || c.bytes >= commitBytes }

// add puts an event into the commit, at the position that it was given.
func (c *Commit) add(at Position, ev Event) {
	c.Events = append(c.Events, Ordered{at, ev})
	c.bytes += ev.size()
	c.Given = at
}

// A storing is what a State with a store has under way.
type storing struct {
	next     *Commit   // gathers; nil: there is no store
	applying *Commit   // is stored, and not applied to its end; else nil
	part     int       // of it that is applied next
	answers  []*Taking // what became of them is known
}

// Full reports whether so much waits for the store that no more events should be taken.
func (s *State) Full() bool { return s.storing.next != nil && s.storing.next.full() }

// Order gives the events of a publication their positions and puts them into the next
// commit. It fails as [State.Begin] does, and with [ErrKeyPending]. A publication that is
// a repeat as a whole is answered at once: see [State.Answers].
func (s *State) Order(p Publication) (*Taking, error) {
	t, err := s.Begin(p)
	switch {
	case err != nil:
		return nil, err
	case t.receipts != nil && t.Events == nil:
		s.storing.answers = append(s.storing.answers, t)
		return t, nil
	}
	t.at = make([]Position, len(t.Events))
	for i := range t.Events {
		key := t.key(i)
		if key != nil {
			if r, _ := s.authority.keys.find(key); r != nil { // of the same event: Begin has checked it
				if t.repeats == nil {
					t.repeats = make(map[int]*record)
				}
				t.repeats[i] = r
				continue
			}
		}
		t.at[i] = s.authority.order()
		s.storing.next.add(t.at[i], t.Events[i])
		if key != nil {
			s.pend(*key, t, i, i+1)
		}
	}
	if t.Key.given() {
		s.pend(t.Key, t, 0, len(t.Events))
	}
	s.storing.next.parts = append(s.storing.next.parts, t)
	return t, nil
}

// pend remembers a key of some events that are not stored yet.
func (s *State) pend(k Key, t *Taking, from, to int) {
	receipts := make([]Receipt, 0, to-from)
	record := KeyRecord{Key: k, Time: s.now}
	for i := from; i < to; i++ {
		r := t.uncounted(s, i)
		receipts = append(receipts, r)
		record.Events = append(record.Events, KeyedEvent{r.ID, r.Cursor.Position})
	}
	s.spend(to - from)
	t.keys = append(t.keys, s.authority.keys.pend(k, receipts))
	s.storing.next.Keys = append(s.storing.next.Keys, record)
}

// TakeCommit returns what waits for the store, nil if that is nothing, and gathers anew.
func (s *State) TakeCommit() *Commit {
	c := s.storing.next
	if c == nil || len(c.parts) == 0 {
		return nil
	}
	s.storing.next = &Commit{Given: c.Given}
	return c
}

// Committed takes note that a commit is stored, and applies it as far as a step may. The
// one before has been applied: see [State.Applying].
func (s *State) Committed(c *Commit) {
	invariant(s.storing.applying == nil, "a commit is stored before the one before it is applied")
	s.storing.applying, s.storing.part = c, 0
	for _, t := range c.parts {
		t.stored = true
		s.spend(1 + len(t.keys))
		for _, k := range t.keys {
			s.authority.keys.keep(k, s.age)
		}
	}
	s.applyCommit()
}

// Refused takes note that a commit is not stored, and will not be.
func (s *State) Refused(c *Commit, err error) {
	for _, t := range c.parts {
		s.spend(1 + len(t.keys))
		for _, k := range t.keys {
			s.authority.keys.drop(k)
		}
		t.err = err
		s.storing.answers = append(s.storing.answers, t)
	}
}

// Applying reports whether a commit is not applied to its end.
func (s *State) Applying() bool { return s.storing.applying != nil }

// applyCommit goes on with applying a commit, as far as a step may and couriers keep up.
func (s *State) applyCommit() {
	w := &s.storing
	for end := s.allowance(); w.applying != nil && s.work < end && !s.Congested(); {
		t := w.applying.parts[w.part]
		if !s.Continue(t) {
			continue
		}
		w.answers = append(w.answers, t)
		if w.part++; w.part == len(w.applying.parts) {
			w.applying = nil
		}
	}
}

// Answers returns the publications of which it has become known what became of them. They
// are the caller's until the next call.
func (s *State) Answers() []*Taking {
	answers := s.storing.answers
	s.storing.answers = nil
	return answers
}

// commitOutput puts an event of the hub itself into the next commit.
func (s *State) commitOutput(ev Event) {
	t := &Taking{Publication: Publication{Events: []Event{ev}}, at: []Position{s.authority.orderOutput(&ev)}}
	t.Events[0].ID = ev.ID
	s.storing.next.add(t.at[0], ev)
	s.storing.next.parts = append(s.storing.next.parts, t)
}
