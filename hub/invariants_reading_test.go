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
	return c.mode == modeLocatingNewest
}

// checkLosses checks the trees of the streams that have lost something.
func checkLosses(s *State) error {
	n := 0
	for tree, root := range s.window.lossy {
		if root.in != nil || root.stream != nil || root.levels == nil || root.label != "" {
			return fmt.Errorf("losses: tree %+v is %+v", tree, root)
		}
		if err := checkLoss(s, root, tree, "", &n); err != nil {
			return err
		}
	}
	for _, t := range s.topics {
		for _, st := range append([]*stream{t.all}, slices.Collect(maps.Values(t.users))...) {
			if st != nil && st.loss != nil {
				n--
			}
		}
	}
	if n != 0 {
		return fmt.Errorf("losses: the trees and the streams differ by %d", n)
	}
	return nil
}

// checkLoss checks a node and what is below it.
func checkLoss(s *State, n *loss, tree lossTree, name string, streams *int) error {
	if st := n.stream; st != nil {
		*streams++
		if st.loss != n || st.topic.name != name || st.user != tree.user || s.topics[name] != st.topic || st.topic.stream(st.user) != st {
			return fmt.Errorf("losses: %q of user %q is of no stream", name, tree.user)
		}
	}
	if n.levels == nil {
		return nil
	}
	listed, later := 0, n.at
	var prev *loss
	for child := n.levels.newest; child != nil; prev, child = child, child.next {
		listed++
		switch {
		case child.in != n.levels || n.levels.of != n || child.prev != prev || n.levels.find(first(child.label)) != child:
			return fmt.Errorf("losses: %q has %+v below it, out of its place", name, child)
		case child.at == 0 || child.at > later || max(child.own(), child.below) > n.below:
			return fmt.Errorf("losses: %q has %+v below it, of a later loss", name, child)
		case child.stream == nil && (child.levels == nil || child.levels.n == 1):
			return fmt.Errorf("losses: %q has %+v below it for nothing", name, child)
		}
		later = child.at
		below := child.label
		if name != "" {
			below = name + "." + below
		}
		if err := checkLoss(s, child, tree, below, streams); err != nil {
			return err
		}
	}
	if listed != n.levels.n || n.levels.byName != nil && len(n.levels.byName) != listed {
		return fmt.Errorf("losses: %q has %d nodes below it, and counts %d", name, listed, n.levels.n)
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
			if r.pos > s.window.head || r.last != nil && r.last.bound > s.window.head {
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
	listed := 0
	for name, t := range s.topics {
		for slot, p := range t.polls {
			listed++
			if _, waits := s.polls[p]; !waits || p.topic != t || int(p.slot) != slot {
				return fmt.Errorf("poll %v of %q does not wait", p.Owner, name)
			}
		}
	}
	if listed != len(s.polls) {
		return fmt.Errorf("topics have %d polls, the hub %d", listed, len(s.polls))
	}
	for _, p := range s.woken {
		if _, counted := s.polls[p]; !counted {
			return fmt.Errorf("poll %v is woken and not counted", p.Owner)
		}
	}
	for p := range s.polls {
		woken := 0
		for _, w := range s.woken {
			if w == p {
				woken++
			}
		}
		if woken > 1 || (woken == 1) != p.woken {
			return fmt.Errorf("poll %v, woken: %v, is woken %d times", p.Owner, p.woken, woken)
		}
	}
	return nil
}

// checkReading checks that nobody who wants to read waits for ever.
func checkReading(s *State) error {
	for id, c := range s.clients {
		if !c.mode.reads() {
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
