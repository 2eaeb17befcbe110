package hub

import "time"

// Tick moves the clock and ends what has run out by then, as far as a step may: the
// rest follows with the next tick or by [State.Work].
func (s *State) Tick(now time.Time) {
	s.pass(now)
	end := s.allowance()
	for _, waiting := range [2]*schedule{&s.unconnected, &s.away} {
		for c := waiting.due(s.age); c != nil && s.work < end; c = waiting.due(s.age) {
			s.forget(c, Expired)
		}
	}
	s.expire(end)
	s.authority.keys.forget(s.age-s.opts.DedupeWindow, func() bool { s.spend(2); return s.work < end })
	s.overdue = !s.trimTo(end) || s.work >= end
}

// pass lets time pass. How much of it counts is bounded, so that nothing ends because
// the process was stopped or the clock was set: those who would have come in time are
// served first.
func (s *State) pass(now time.Time) {
	if !s.now.IsZero() {
		passed := now.Sub(s.now)
		if most := s.opts.MaxStep; most > 0 {
			passed = min(passed, most)
		}
		s.age += max(passed, 0)
	}
	s.now = now
}
