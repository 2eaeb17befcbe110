package checker_test

import (
	"encoding/json"
	"fmt"
	"slices"

	"belfry/hub"
	"belfry/tests/harness"
)

// What the checker's subscribers of belfry.v1 ask for while they are connected.

// An asking is an operation.
type asking struct {
	op     string
	topics []string
	after  *hub.Cursor
	last   int

	ref   int
	acked *heard
	fresh []string // of its topics, those that were not subscribed to
	lived bool
}

func (a *asking) replays() bool { return a.after != nil || a.last > 0 }

// askAround asks for something, one time in so many. It reports whether a replay
// comes of it.
func (s *checked) askAround(l line, times int) (replay bool) {
	if !s.kind.asks || s.session.last > 0 || len(s.open) > 2 || s.random.IntN(times) > 0 {
		return false
	}
	a := &asking{op: "subscribe"}
	switch n := s.random.IntN(10); {
	case n < 4:
		a.topics, a.after = s.anyNames(), s.somewhere()
	case n < 6:
		a.topics, a.last = s.anyNames(), 1+s.random.IntN(20)
	case n < 8:
		// What comes with a replay that is cut goes, even if it was asked for
		// again.
		for _, name := range s.anyNames() {
			if !slices.ContainsFunc(s.open, func(o *asking) bool { return slices.Contains(o.topics, name) }) {
				a.topics = append(a.topics, name)
			}
		}
	default:
		a.op = "unsubscribe"
		name := s.have[s.random.IntN(len(s.have))]
		if len(s.open) == 0 && name != "end" && len(s.have) > 2 {
			a.topics = []string{name}
		}
	}
	if len(a.topics) == 0 || a.op == "subscribe" && len(s.have) > 7 {
		return false
	}
	s.repeat(l, a)
	return a.replays()
}

// anyNames returns what it may ask for, new or not.
func (s *checked) anyNames() (names []string) {
	for range 1 + s.random.IntN(3) {
		if s.random.IntN(3) == 0 {
			names = union(names, s.have[s.random.IntN(len(s.have))])
		} else {
			names = union(names, s.anyName())
		}
	}
	return names
}

// somewhere returns a cursor to have a replay from: mostly not from long ago.
func (s *checked) somewhere() *hub.Cursor {
	at := int(s.w.now())
	if s.random.IntN(12+s.w.count/1000) > 0 {
		at -= s.random.IntN(min(at+1, 2000))
	} else {
		at = s.random.IntN(at + 1)
	}
	epoch := s.w.epoch.Load()
	if epoch == 0 {
		epoch = s.cursor.Epoch // no receipt has come yet
	}
	return &hub.Cursor{Epoch: epoch, Position: hub.Position(at)}
}

// early returns what leaves together with the handshake of the next connection:
// the broker takes it when it has begun to read what was missed.
func (s *checked) early(of *session) (frame string) {
	if !s.kind.asks || of.after == nil || len(s.have) > 7 || s.random.IntN(2) > 0 {
		return ""
	}
	s.tally["early asks"]++
	of.early, frame = s.ask(&asking{op: "subscribe", topics: s.anyNames(), after: s.somewhere()})
	return frame
}

// repeat sends an operation, as if it were new.
func (s *checked) repeat(l line, like *asking) {
	a, frame := s.ask(like)
	l.say(frame)
	s.asked(a)
}

func (s *checked) asked(a *asking) {
	s.session.asks[a.ref] = a
	s.open = append(s.open, a)
}

func (s *checked) ask(like *asking) (a *asking, frame string) {
	s.refs++
	a = &asking{op: like.op, topics: like.topics, after: like.after, last: like.last, ref: s.refs}
	members := map[string]any{"op": a.op, "topics": a.topics, "ref": a.ref}
	if a.after != nil {
		members["after"] = a.after.String()
	}
	if a.last > 0 {
		members["last"] = a.last
	}
	text, _ := json.Marshal(members) // of these types it can
	return a, harness.Say(string(text))
}

// acked takes the answer to an operation: they come in order.
func (s *checked) acked(in *session, h heard) error {
	i := slices.IndexFunc(s.open, func(a *asking) bool { return a.acked == nil })
	if i < 0 || s.open[i].ref != h.detail.ref {
		return fmt.Errorf("%w: an ack for %d", errHeard, h.detail.ref)
	}
	a := s.open[i]
	a.acked = &h
	if a.op == "unsubscribe" {
		s.have = slices.DeleteFunc(slices.Clone(s.have), func(name string) bool { return slices.Contains(a.topics, name) })
	}
	if !a.replays() {
		s.open = slices.Delete(s.open, i, i+1)
	}
	if a.op == "unsubscribe" {
		return nil
	}
	for _, name := range a.topics {
		known := slices.Contains(s.have, name) ||
			slices.ContainsFunc(s.open[:i], func(o *asking) bool { return slices.Contains(o.fresh, name) })
		if !known {
			a.fresh = append(a.fresh, name)
		}
	}
	if !a.replays() {
		s.have = union(s.have, a.topics...)
	}
	return nil
}

// lived takes the end of a replay: they come one after another.
func (s *checked) lived(in *session, h heard) error {
	if len(s.open) == 0 || s.open[0].acked == nil || s.open[0].ref != h.detail.ref {
		return fmt.Errorf("%w: live for %d", errHeard, h.detail.ref)
	}
	a := s.open[0]
	a.lived = true
	s.open = s.open[1:]
	s.have = union(s.have, a.topics...)
	s.tally["replays"]++
	if a.last > 0 {
		s.tally["replays of the newest"]++
	}
	return nil
}

// abandon has the operations that a connection did not answer in full made
// again, or forgotten, by the next one.
func (s *checked) abandon(of *session) {
	for _, a := range s.open {
		switch {
		case !a.replays() && s.kind.registered:
			s.maybe = union(s.maybe, a.topics...)
		case !a.replays():
			// The next connection names its topics itself.
		default:
			s.again = append(s.again, a)
			s.tally["repeats of a subscribe"]++
			if a.acked != nil {
				of.unlived = append(of.unlived, a)
				s.tally["replays cut"]++
			}
			s.maybe = union(s.maybe, a.topics...)
		}
	}
	s.open = nil
}
