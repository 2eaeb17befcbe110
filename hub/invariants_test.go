package hub

import (
	"fmt"
	"slices"
	"strings"

	"pgregory.net/rapid"
)

// checkInvariants fails the test unless all that the state knows in two places
// agrees.
func checkInvariants(t rapid.TB, s *State) {
	t.Helper()
	for _, check := range []func(*State) error{
		checkClients, checkUsers, checkTopics, checkPatterns, checkLog, checkLosses, checkSchedules, checkHeld, checkReading, checkReplays, checkPolls, checkOutboxes,
	} {
		if err := check(s); err != nil {
			t.Fatal(err)
		}
	}
}

// checkEmpty fails the test if anything is left of clients, topics and events.
func checkEmpty(t rapid.TB, s *State) {
	t.Helper()
	checkInvariants(t, s)
	for _, err := range leftovers(s) {
		t.Error(err)
	}
}

// leftovers tells what an idle state without registrations and retained
// events still holds.
func leftovers(s *State) (left []error) {
	for _, has := range []struct {
		n    int
		what string
	}{
		{len(s.clients), "clients"},
		{len(s.users), "users"},
		{len(s.topics), "topics"},
		{len(s.patterns.children), "branches of patterns"},
		{s.patternCount, "patterns"},
		{s.window.entries.len(), "log entries"},
		{s.window.husks, "husks"},
		{s.window.bytes, "bytes of log"},
		{s.held, "bytes for clients"},
		{s.reading.len(), "readers"},
		{s.stats.Connected, "connections"},
		{len(s.polls), "polls"},
		{len(s.woken), "woken polls"},
	} {
		if has.n != 0 {
			left = append(left, fmt.Errorf("%d %s are left", has.n, has.what))
		}
	}
	for _, sched := range []*schedule{&s.unconnected, &s.away} {
		if sched.first != nil || sched.last != nil {
			left = append(left, fmt.Errorf("a client is left in a schedule"))
		}
	}
	return left
}

func checkClients(s *State) error {
	connected := 0
	for id, c := range s.clients {
		if err := checkClient(s, c); err != nil {
			return fmt.Errorf("client %v, mode %d: %w", id, c.mode, err)
		}
		if c.id != id || c.handle != id.Handle() {
			return fmt.Errorf("client %v is called %v, %v", id, c.id, c.handle)
		}
		if c.conn != nil {
			connected++
		}
	}
	if connected != s.stats.Connected {
		return fmt.Errorf("%d clients have a connection, Connected is %d", connected, s.stats.Connected)
	}
	return nil
}

func checkClient(s *State, c *client) error {
	u := s.users[c.user.name]
	switch {
	case u != c.user || int(c.slot) >= len(u.clients) || u.clients[c.slot] != c:
		return fmt.Errorf("not in slot %d of its user", c.slot)
	case max(c.pos, c.seen) > s.window.head:
		return fmt.Errorf("at %d, seen %d: after the head, %d", c.pos, c.seen, s.window.head)
	case len(c.subs) > s.opts.MaxSubscriptions:
		return fmt.Errorf("%d subscriptions", len(c.subs))
	}
	for i := range c.subs {
		sub := &c.subs[i]
		switch {
		case sub.members[sub.slot] != member{c, int32(i)}:
			return fmt.Errorf("subscription %q is not in its slot", sub.name)
		case c.subscription(sub.name) != i:
			return fmt.Errorf("subscribed to %q twice", sub.name)
		case sub.since > s.window.head:
			return fmt.Errorf("subscribed to %q since %d, the head is %d", sub.name, sub.since, s.window.head)
		case !sub.pattern && s.topics[sub.name] == nil, !sub.pattern && &s.topics[sub.name].subject != sub.subject:
			return fmt.Errorf("subscribed to a topic %q that is not the topic of that name", sub.name)
		case sub.pattern && findPattern(&s.patterns, sub.name) != sub.subject:
			return fmt.Errorf("subscribed to a pattern %q that is not in the tree", sub.name)
		}
	}
	return checkMode(s, c)
}

// checkMode checks what a client's mode says about its connections and its
// place in the schedules.
func checkMode(s *State, c *client) error {
	var due *schedule
	switch c.mode {
	case modeNew:
		due = &s.unconnected
	case modeAway:
		due = &s.away
	}
	switch {
	case c.deadline.in != due:
		return fmt.Errorf("in the wrong schedule")
	case (c.conn == nil) != (due != nil):
		return fmt.Errorf("connection %p", c.conn)
	case c.owed < 0, (c.mode == modeAwaitingReport) && c.owed == 0,
		c.mode > modeAwaitingReport && c.owed > 0 && c.placedBy < c.conn.number:
		// One that said from where it begins does not wait for earlier ones.
		return fmt.Errorf("%d earlier connections have not reported", c.owed)
	case c.placedBy > c.connections, c.conn != nil && c.conn.number != c.connections:
		return fmt.Errorf("connection %d of %d, placed by number %d", c.conn.number, c.connections, c.placedBy)
	case c.conn != nil && c.conn.client != c:
		return fmt.Errorf("its connection is another client's")
	case c.mode >= modeGone:
		return fmt.Errorf("it was forgotten")
	case (c.mode == modeConflating) != (c.mode.reads() && c.slow != nil && c.slow.conflation != nil):
		return fmt.Errorf("it is in a round of the newest, or is not")
	case c.conn != nil && c.conn.started != (c.mode > modeAwaitingReport && !choosing(c)), choosing(c) && c.last == nil:
		return fmt.Errorf("started: %v", c.conn.started)
	case c.conn != nil && c.conn.start > s.window.head:
		return fmt.Errorf("started after the head")
	case (c.mode.reads() || c.mode == modeWriting) && !choosing(c) && c.pos < c.conn.start:
		return fmt.Errorf("at %d, before its start, %d", c.pos, c.conn.start)
	case c.last != nil && (c.mode == modeLive || c.last.bound > s.window.head):
		return fmt.Errorf("wants the newest up to %d", c.last.bound)
	case c.ephemeral && c.conn == nil:
		return fmt.Errorf("it has neither a connection nor a registration")
	}
	return nil
}

func checkUsers(s *State) error {
	n := 0
	for name, u := range s.users {
		if u.name != name || len(u.clients) == 0 {
			return fmt.Errorf("user %q is called %q and has %d clients", name, u.name, len(u.clients))
		}
		for i, c := range u.clients {
			if s.clients[c.id] != c || c.user != u || int(c.slot) != i {
				return fmt.Errorf("user %q: slot %d holds %v, which is not registered there", name, i, c.id)
			}
		}
		n += len(u.clients)
	}
	if n != len(s.clients) {
		return fmt.Errorf("users have %d clients, the hub %d", n, len(s.clients))
	}
	return nil
}

func checkMembers(s *State, sub *subject) error {
	for i, m := range sub.members {
		c := m.client
		if s.clients[c.id] != c || int(m.sub) >= len(c.subs) || c.subs[m.sub].subject != sub || int(c.subs[m.sub].slot) != i {
			return fmt.Errorf("%q: member %d is not subscribed", sub.name, i)
		}
	}
	return nil
}

func checkTopics(s *State) error {
	retained := 0
	for name, t := range s.topics {
		switch {
		case t.name != name || t.pattern:
			return fmt.Errorf("topic %q is called %q", name, t.name)
		case len(t.members) == 0 && len(t.polls) == 0 && t.all == nil && len(t.users) == 0:
			return fmt.Errorf("topic %q has neither subscribers nor polls nor events", name)
		}
		if err := checkMembers(s, &t.subject); err != nil {
			return err
		}
		if t.all != nil {
			if err := checkStream(s, t, "", t.all); err != nil {
				return err
			}
			retained += t.all.entries.len()
		}
		for user, st := range t.users {
			if err := checkStream(s, t, user, st); err != nil {
				return err
			}
			retained += st.entries.len()
		}
	}
	if want := s.window.entries.len() - s.window.husks; retained != want {
		return fmt.Errorf("streams hold %d events, the log %d", retained, want)
	}
	return nil
}

func checkStream(s *State, t *topic, user string, st *stream) error {
	n := st.entries.len()
	if st.topic != t || st.user != user || n == 0 || n > s.opts.HistoryEvents {
		return fmt.Errorf("stream %q, user %q: %d entries, topic %q, user %q", t.name, user, n, st.topic.name, st.user)
	}
	last := st.floor
	for i := range n {
		e := st.entries.at(i)
		at := s.window.after(e.position - 1)
		switch {
		case e.position <= last:
			return fmt.Errorf("stream %q: %d comes after %d", t.name, e.position, last)
		case e.stream != st || e.Topic != t.name || e.User != user || e.evicted():
			return fmt.Errorf("stream %q holds another's event %d", t.name, e.position)
		case at == s.window.entries.len() || s.window.entries.at(at) != e:
			return fmt.Errorf("stream %q: %d is not in the log", t.name, e.position)
		}
		last = e.position
	}
	return nil
}

// findPattern returns the subject of a pattern in the tree below n, or nil.
func findPattern(n *node, pattern string) *subject {
	for _, level := range strings.Split(pattern, ".") {
		if n = n.children[level]; n == nil {
			return nil
		}
	}
	return n.subject
}

func checkPatterns(s *State) error {
	n := 0
	var walk func(n *node, path string) error
	walk = func(nd *node, path string) error {
		if sub := nd.subject; sub != nil {
			n++
			if sub.name != path || !sub.pattern || len(sub.members) == 0 {
				return fmt.Errorf("pattern %q at %q has %d members", sub.name, path, len(sub.members))
			}
			if err := checkMembers(s, sub); err != nil {
				return err
			}
		} else if len(nd.children) == 0 {
			return fmt.Errorf("the tree has an empty node at %q", path)
		}
		for level, child := range nd.children {
			if path != "" {
				level = path + "." + level
			}
			if err := walk(child, level); err != nil {
				return err
			}
		}
		return nil
	}
	if len(s.patterns.children) > 0 || s.patterns.subject != nil {
		if err := walk(&s.patterns, ""); err != nil {
			return err
		}
	}
	if n != s.patternCount {
		return fmt.Errorf("the tree has %d patterns, counted %d", n, s.patternCount)
	}
	return nil
}

func checkLog(s *State) error {
	l := &s.window
	streamed := make(map[*topic]bool)
	husks, bytes := 0, 0
	var last Position
	for i := range l.entries.len() {
		e := l.entries.at(i)
		if e.position <= last || e.position > l.head {
			return fmt.Errorf("log: %d comes after %d, the head is %d", e.position, last, l.head)
		}
		last = e.position
		if e.evicted() {
			husks++
			if e.stream != nil || e.Message != nil || e.frames != nil {
				return fmt.Errorf("log: husk %d holds on to something", e.position)
			}
			continue
		}
		size := entryOverhead + len(e.ID) + len(e.Message)
		for f := e.frames; f != nil; f = f.next {
			size += frameOverhead + len(f.Bytes)
		}
		if size != e.size {
			return fmt.Errorf("log: %d has %d bytes, counted %d", e.position, size, e.size)
		}
		bytes += size
		if e == e.stream.entries.at(0) {
			bytes += streamOverhead + len(e.User)
			streamed[e.stream.topic] = true
		}
	}
	for t := range streamed {
		bytes += topicOverhead + len(t.name)
	}
	switch {
	case husks != l.husks || bytes != l.bytes:
		return fmt.Errorf("log: %d husks, %d bytes; counted %d, %d", husks, bytes, l.husks, l.bytes)
	case l.floor > l.dropped || l.dropped > l.head || l.gone > l.dropped:
		return fmt.Errorf("log: floor %d, evicted %d, head %d", l.floor, l.dropped, l.head)
	case l.entries.len() > 0 && l.entries.at(0).evicted() && !s.overdue:
		return fmt.Errorf("log: the front is a husk")
	case husks > 64 && husks > l.entries.len()/2 && !s.overdue:
		return fmt.Errorf("log: %d of %d entries are husks", husks, l.entries.len())
	}
	return nil
}

// checkHeld checks what is counted for clients.
func checkHeld(s *State) error {
	held := clientOverhead*len(s.clients) + pollOverhead*len(s.polls)
	for _, c := range s.clients {
		held += subscriptionOverhead*len(c.subs) + c.weight
	}
	for name := range s.users {
		held += userOverhead + len(name)
	}
	for name, t := range s.topics {
		if t.all == nil && len(t.users) == 0 {
			held += topicOverhead + len(name)
		}
	}
	var walk func(n *node)
	walk = func(n *node) {
		if n.subject != nil {
			held += patternSize(n.subject.name)
		}
		for _, child := range n.children {
			walk(child)
		}
	}
	if walk(&s.patterns); held != s.held {
		return fmt.Errorf("%d bytes are held for clients, counted %d", held, s.held)
	}
	return nil
}

func checkSchedules(s *State) error {
	n := 0
	for _, sched := range []*schedule{&s.unconnected, &s.away} {
		var prev *client
		for c := sched.first; c != nil; prev, c = c, c.deadline.next {
			n++
			switch {
			case s.clients[c.id] != c || c.deadline.in != sched || c.deadline.prev != prev:
				return fmt.Errorf("client %v is in a schedule by mistake", c.id)
			case prev != nil && c.deadline.at < prev.deadline.at:
				return fmt.Errorf("client %v is due before the one in front of it", c.id)
			}
		}
		if sched.last != prev {
			return fmt.Errorf("the last client of a schedule is not its last")
		}
	}
	if unconnected := len(s.clients) - s.stats.Connected; n != unconnected {
		return fmt.Errorf("%d clients have a deadline, %d have no connection", n, unconnected)
	}
	return nil
}

func checkOutboxes(s *State) error {
	for i := range s.outboxes {
		b := s.outboxes[i].batch
		end, bytes := 0, 0
		for j := range b.Ops {
			op := &b.Ops[j]
			framed := op.Kind == OpDeliver || op.Kind == OpChunk || op.Kind == OpNewest
			switch {
			case op.to <= end:
				return fmt.Errorf("courier %d: op %d is for nobody", i, j)
			case framed != (op.Frame != nil), (op.Kind == OpNote) != (op.Note != nil):
				return fmt.Errorf("courier %d: op %d of kind %d has frame %p, note %v", i, j, op.Kind, op.Frame, op.Note)
			}
			for _, c := range b.Targets(j) {
				if op.Note != nil && !c.Notes {
					return fmt.Errorf("courier %d: op %d is a note to who takes none", i, j)
				}
				if int(c.Courier) != i {
					return fmt.Errorf("courier %d gets what courier %d should", i, c.Courier)
				}
			}
			if framed {
				bytes += len(op.Frame.Bytes)
			}
			end = op.to
		}
		if end != len(b.targets) || bytes != b.bytes {
			return fmt.Errorf("courier %d: %d targets, %d bytes; counted %d, %d", i, len(b.targets), b.bytes, end, bytes)
		}
		if n := len(s.outboxes[i].wanted); n > 0 {
			return fmt.Errorf("courier %d: %d encodings are left from an event", i, n)
		}
		for _, to := range s.outboxes[i].gather {
			if rest := to[:cap(to)]; len(to) > 0 || slices.ContainsFunc(rest, func(c *Conn) bool { return c != nil }) {
				return fmt.Errorf("courier %d: connections are left from an event", i)
			}
		}
	}
	return nil
}
