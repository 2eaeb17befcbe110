package hub

import "strings"

// A subject is what clients subscribe to: an exact topic or a pattern.
type subject struct {
	name    string
	pattern bool
	members []member
	seen    uint64 // the latest search for an event's subjects that has found it
}

// A member is one subscriber of a subject: subscription number sub of client.
type member struct {
	client *client
	sub    int32
}

// A subscription is one subject of a client, which is member number slot
// there. Events up to since are not for it: they were published before.
type subscription struct {
	*subject
	slot  int32
	since Position
	told  Position // highest floor that the client was told of as a gap
}

// A topic is an exact name, held while it has subscribers, polls or retained events.
type topic struct {
	subject
	all   *stream            // events for everybody
	users map[string]*stream // events for one user
	polls []*Poll            // requests that wait for an event

	retained  int      // events
	published uint64   // events since it is there
	newest    Position // of these
	last      *entry   // of these; a husk if none is retained
	row       int32    // its place in the roll
}

// A node is one level of the tree of patterns. Wildcards are children like
// any other: no published topic has a level of their name.
type node struct {
	children map[string]*node
	subject  *subject // the pattern that ends here, or nil
}

// join subscribes c to a subject that it does not have yet.
func (s *State) join(c *client, name string) {
	s.spend(1 + strings.Count(name, "."))
	sub := s.subject(name)
	// Invariant 4: what was published before is not for it.
	c.subs = append(c.subs, subscription{subject: sub, slot: int32(len(sub.members)), since: s.window.head})
	sub.members = append(sub.members, member{client: c, sub: int32(len(c.subs) - 1)})
	s.held += subscriptionOverhead
	s.news.watches(name, 1)
	if c.conn != nil {
		s.present(c, sub, true)
	}
}

// leaveAll ends those subscriptions of a client that are done with.
func (s *State) leaveAll(c *client, done func(name string) bool) {
	gone := make(map[*subject]bool)
	s.spend(len(c.subs))
	for i := len(c.subs) - 1; i >= 0; i-- {
		if done(c.subs[i].name) {
			gone[c.subs[i].subject] = true
			s.leave(c, i)
		}
	}
	if len(gone) == 0 {
		return
	}
	for _, r := range c.replays {
		s.spend(1 + len(r.subs) + len(r.fresh))
		r.leave(gone)
	}
}

// leave ends subscription number i of c, which has no part in a replay. The last subscriptions of the client
// and of the subject move into the places that become free.
func (s *State) leave(c *client, i int) {
	sub := c.subs[i]
	s.spend(1 + strings.Count(sub.name, "."))
	s.held -= subscriptionOverhead
	s.news.watches(sub.name, -1)
	if c.conn != nil {
		s.present(c, sub.subject, false)
	}
	last := len(sub.members) - 1
	moved := sub.members[last]
	sub.members[sub.slot] = moved
	moved.client.subs[moved.sub].slot = sub.slot
	sub.members[last] = member{}
	sub.members = sub.members[:last]

	c.search = nil // it counts subscriptions
	end := len(c.subs) - 1
	if i != end {
		c.subs[i] = c.subs[end]
		c.subs[i].members[c.subs[i].slot].sub = int32(i)
	}
	c.subs[end] = subscription{}
	c.subs = c.subs[:end]

	if last > 0 {
		sub.members = shrink(sub.members)
		return
	}
	sub.members = nil
	if sub.pattern {
		s.patterns.remove(sub.name)
		s.patternCount--
		s.held -= patternSize(sub.name)
	} else {
		s.freeTopic(s.topics[sub.name])
	}
}

// shrink gives memory back after a crowd has left.
func shrink[T any](m []T) []T {
	if cap(m) > 64 && len(m) < cap(m)/4 {
		return append(make([]T, 0, 2*len(m)), m...)
	}
	return m
}

// subject returns the subject of that name, made if it is new.
func (s *State) subject(name string) *subject {
	if !isPattern(name) {
		return &s.topic(name).subject
	}
	n := &s.patterns
	for level := range strings.SplitSeq(name, ".") {
		child := n.children[level]
		if child == nil {
			child = &node{}
			if n.children == nil {
				n.children = make(map[string]*node)
			}
			n.children[level] = child
		}
		n = child
	}
	if n.subject == nil {
		n.subject = &subject{name: name, pattern: true}
		s.patternCount++
		s.held += patternSize(name)
		s.spend(s.ahead.joined(n.subject) + s.news.ahead.joined(n.subject))
	}
	return n.subject
}

// topic returns the topic of that name, made if it is new.
func (s *State) topic(name string) *topic {
	t := s.topics[name]
	if t == nil {
		t = &topic{subject: subject{name: name}, last: noEntry}
		s.topics[name] = t
		s.topicList.add(t)
		s.held += t.size()
	}
	return t
}

// freeTopic forgets a topic that nobody subscribes to or waits for, and that holds nothing.
func (s *State) freeTopic(t *topic) {
	if len(t.members) == 0 && len(t.polls) == 0 && t.empty() {
		delete(s.topics, t.name)
		s.held -= t.size()
		from, to := s.topicList.remove(t)
		s.spend(to - from)
		s.window.blocks.moved(from, to, len(s.topicList.rows), s.window.head)
	}
}

// remove drops a pattern below n, with the nodes that are then of no use, and
// reports whether n itself is one of them.
func (n *node) remove(pattern string) (empty bool) {
	level, rest, more := strings.Cut(pattern, ".")
	child := n.children[level]
	if !more {
		child.subject = nil
	}
	if (more && child.remove(rest)) || (!more && len(child.children) == 0) {
		delete(n.children, level)
	}
	return n.subject == nil && len(n.children) == 0
}

// subscription returns the number of c's subscription of that name, or -1.
func (c *client) subscription(name string) int {
	for i := range c.subs {
		if c.subs[i].name == name {
			return i
		}
	}
	return -1
}
