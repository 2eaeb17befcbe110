package hub

import (
	"fmt"
	"maps"
	"slices"
)

// Invariants of what is read from the log.

// choosing reports whether a client's reading has not begun because it is not
// known yet which events are the newest.
func choosing(c *client) bool {
	return c.mode == modeReading && c.last != nil && !c.conn.started
}

// checkLossy checks the list of the streams that have lost something.
func checkLossy(s *State) error {
	n, later := 0, s.log.losses+1
	var next *stream
	for st := s.log.lossy; st != nil; st, next, later = st.prev, st, st.lostAt {
		n++
		switch {
		case st.topic.stream(st.user) != st || s.topics[st.topic.name] != st.topic:
			return fmt.Errorf("lossy: stream %q, user %q is forgotten", st.topic.name, st.user)
		case st.next != next || st.lostAt >= later || st.lostAt == 0 || st.floor == 0:
			return fmt.Errorf("lossy: stream %q lost %d at %d, before %d", st.topic.name, st.floor, st.lostAt, later)
		}
	}
	for _, t := range s.topics {
		for _, st := range append([]*stream{t.all}, slices.Collect(maps.Values(t.users))...) {
			if st != nil && st.lostAt > 0 {
				n--
			}
		}
	}
	if n != 0 {
		return fmt.Errorf("lossy: the list and the streams differ by %d", n)
	}
	return nil
}

// checkReplays checks what clients have asked for while connected.
func checkReplays(s *State) error {
	for id, c := range s.clients {
		if len(c.replays) > 0 && (c.conn == nil || c.mode == modeLive || choosing(c)) {
			return fmt.Errorf("client %v, mode %d, has %d replays", id, c.mode, len(c.replays))
		}
		for _, r := range c.replays {
			if r.pos > s.log.head || r.last != nil && r.last.bound > s.log.head {
				return fmt.Errorf("client %v: a replay is at %d", id, r.pos)
			}
			for _, sub := range r.subs {
				if i := c.subscription(sub.name); i < 0 || c.subs[i].subject != sub.subject {
					return fmt.Errorf("client %v: a replay of %q, which it does not have", id, sub.name)
				}
			}
			for _, sub := range r.fresh {
				if i := c.subscription(sub.name); i < 0 || c.subs[i].subject != sub {
					return fmt.Errorf("client %v: %q came with a replay and is gone", id, sub.name)
				}
			}
		}
	}
	return nil
}

// checkPolls checks the requests that wait.
func checkPolls(s *State) error {
	for c, p := range s.polls {
		woken := 0
		for _, w := range s.woken {
			if w == p {
				woken++
			}
		}
		switch {
		case p.client != c || len(c.subs) != 1 || c.subs[0].pattern || c.subs[0].members[c.subs[0].slot].client != c:
			return fmt.Errorf("poll %v does not wait", p.Owner)
		case c.mode != modePoll && c.mode != modeWoken, woken > 1 || (woken == 1) != (c.mode == modeWoken):
			return fmt.Errorf("poll %v, mode %d, is woken %d times", p.Owner, c.mode, woken)
		}
	}
	return nil
}

// checkReading checks that nobody who wants to read waits for ever.
func checkReading(s *State) error {
	for id, c := range s.clients {
		if c.mode != modeReading {
			continue
		}
		inTurn := false
		for i := range s.reading.len() {
			inTurn = inTurn || s.reading.at(i) == c
		}
		if !inTurn {
			return fmt.Errorf("client %v wants to read and has no turn", id)
		}
	}
	return nil
}
