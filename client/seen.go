package client

import (
	"crypto/sha256"
	"fmt"
)

// A likeness identifies an event of a replay, which has no cursor. The id alone is not
// enough: the publisher chooses it, and events may share it.
type likeness [16]byte

func likenessOf(f *frame) likeness {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %d", f.Topic, f.ID, string(f.UserID), f.Time.UnixNano()))
	return likeness(sum[:16])
}

// seen counts events that must not be passed on again, up to a bound. An event that was
// had n times is dropped at most n times.
type seen struct {
	had      map[likeness]int // events that may come once more
	now      map[likeness]int // events of the present pass of a replay, which the next pass would repeat
	overflow bool             // the bound was exceeded
}

// again prepares for another pass.
func (s *seen) again() {
	for p, n := range s.now {
		s.had = more(s.had, p, n)
	}
	s.now = nil
}

// repeats reports whether an event of a replay was had before.
func (s *seen) repeats(p likeness) bool {
	n := s.had[p]
	if n == 0 {
		return false
	}
	if s.had[p] = n - 1; n == 1 {
		delete(s.had, p)
	}
	s.now = more(s.now, p, 1)
	return true
}

// note remembers an event that a later replay would repeat.
func (s *seen) note(p likeness, limit int) {
	if s.room(p, limit) {
		s.had = more(s.had, p, 1)
	}
}

// pass remembers an event of the replay itself.
func (s *seen) pass(p likeness, limit int) {
	if s.room(p, limit) {
		s.now = more(s.now, p, 1)
	}
}

func (s *seen) room(p likeness, limit int) bool {
	s.overflow = s.overflow || len(s.had)+len(s.now) >= limit && s.had[p] == 0 && s.now[p] == 0
	return !s.overflow
}

func more(counts map[likeness]int, p likeness, n int) map[likeness]int {
	if counts == nil {
		counts = make(map[likeness]int)
	}
	counts[p] += n
	return counts
}
