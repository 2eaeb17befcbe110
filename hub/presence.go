package hub

import (
	"container/list"
	"slices"
	"strings"
)

// PresenceTopic is what the topics begin with that tell of users who come to a topic
// and leave it: the rest is that topic's name.
const PresenceTopic = "$presence."

// A PresenceChange is what such a topic tells.
type PresenceChange struct {
	Topic string
	User  string
	Joins bool // else it leaves
}

// An attendance is a user at a topic.
type attendance struct{ user, topic string }

// News are what has changed since it was last told, each attendance once: the latest
// counts, and what is again as it was told is no news. So they take no more memory
// than the subscriptions that there are or were.
type news struct {
	watchers int // subscriptions to presence topics; without one there is no news
	changed  map[attendance]*list.Element
	order    list.List // of changes
	ahead    matching  // of the first of them
}

// add takes note that a user came to a topic or left it.
func (n *news) add(c PresenceChange) {
	key := attendance{c.User, c.Topic}
	if e := n.changed[key]; e != nil {
		n.order.Remove(e)
		delete(n.changed, key)
		return
	}
	if n.changed == nil {
		n.changed = make(map[attendance]*list.Element)
	}
	n.changed[key] = n.order.PushBack(c)
}

// take removes the oldest change.
func (n *news) take() PresenceChange {
	c := n.order.Remove(n.order.Front()).(PresenceChange)
	delete(n.changed, attendance{c.User, c.Topic})
	return c
}

// clear forgets all news.
func (n *news) clear() {
	n.order.Init()
	clear(n.changed)
	n.ahead.topic = ""
}

func isPresence(name string) bool { return strings.HasPrefix(name, PresenceTopic) }

// watches counts subscriptions to presence topics. Who watches when there was nobody is
// not told of what was before.
func (n *news) watches(name string, by int) {
	if !isPresence(name) {
		return
	}
	if n.watchers += by; n.watchers == 0 {
		n.clear()
	}
}

// together has a command's changes be told to who watches at its end, whatever it begins
// and ends first. It returns what ends that.
func (s *State) together(names []string) (end func()) {
	if s.spend(len(names)); !slices.ContainsFunc(names, isPresence) {
		return func() {}
	}
	s.news.watches(PresenceTopic, 1)
	return func() { s.news.watches(PresenceTopic, -1) }
}

// present takes note that a connected client has a subscription, or not any more. It
// is news if it is the first of its user, or was the last. Users without a name
// and patterns are not told of.
func (s *State) present(c *client, sub *subject, here bool) {
	s.spend(1)
	u := c.user
	if sub.pattern || reserved(sub.name) || u.name == "" || s.draining || u.count(sub, here) {
		return
	}
	if s.news.watchers == 0 || len(PresenceTopic)+len(sub.name) > MaxTopicBytes {
		return
	}
	s.news.add(PresenceChange{sub.name, u.name, here})
}

// presentEverywhere does so for all of a client's subscriptions.
func (s *State) presentEverywhere(c *client, here bool) {
	for i := range c.subs {
		s.present(c, c.subs[i].subject, here)
	}
}

// count counts a user's connected clients with a subscription, and reports whether
// there are others than the one that comes or goes. A user with a single client
// needs no count.
func (u *user) count(sub *subject, here bool) (others bool) {
	if u.here == nil {
		return false
	}
	if here {
		u.here[sub]++
		return u.here[sub] > 1
	}
	if u.here[sub]--; u.here[sub] > 0 {
		return true
	}
	delete(u.here, sub)
	return false
}

// recount begins to count when a user gets a second client, and ends when one is
// left.
func (s *State) recount(u *user) {
	switch {
	case u.name == "" || len(u.clients) < 2:
		u.here = nil
	case u.here == nil:
		u.here = make(map[*subject]int32)
		for _, c := range u.clients {
			s.spend(1 + len(c.subs))
			for i := range c.subs {
				if sub := c.subs[i].subject; c.conn != nil && !sub.pattern && !reserved(sub.name) {
					u.count(sub, true)
				}
			}
		}
	}
}

// output returns the next event that the hub itself has to publish, as far as a step may
// look for it. Nothing of that is appended by a command: the authority orders it, as it
// does what others publish.
func (s *State) output(end uint64) (ev Event, ok bool) {
	n := &s.news
	for n.order.Len() > 0 && s.work < end && !s.Congested() && !s.Full() {
		topic := PresenceTopic + n.order.Front().Value.(PresenceChange).Topic
		if !s.prepare(&n.ahead, topic, end) {
			return ev, false
		}
		c := n.take()
		if t := s.topics[topic]; len(n.ahead.found) == 0 && (t == nil || len(t.members) == 0) {
			n.ahead.topic = ""
			continue // nobody watches it
		}
		s.spend(encodeWork)
		return Event{Topic: topic, Time: s.now, Message: s.opts.EncodePresence(c)}, true
	}
	return ev, false
}

// publishOutput publishes what the hub itself has to say, as much as a step may do.
func (s *State) publishOutput() {
	end := s.allowance()
	for ev, ok := s.output(end); ok; ev, ok = s.output(end) {
		if s.storing.next != nil {
			s.news.ahead.topic = ""
			s.commitOutput(ev)
			continue
		}
		at := s.authority.orderOutput(&ev)
		s.apply(at, ev, &s.news.ahead)
	}
}
