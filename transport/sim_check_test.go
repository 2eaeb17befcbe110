package transport

import (
	"maps"
	"slices"

	"belfry/hub"
)

// How what the peers of a simulation get is compared with what they may see: the
// list of all events of the log, from where they stood to where they are.

// at returns the event at a position of the log under way.
func (s *sim) at(p hub.Position) *simEvent { return &s.log()[p-1] }

// covered reports whether an event is for a subscription, and whether the peer
// was told that it is gone.
func (l *line) due(pos hub.Position, subs, excused map[string]hub.Position) (visible, due bool) {
	e := l.peer.sim.at(pos)
	if e.user != "" && e.user != l.peer.user {
		return false, false
	}
	for name, since := range subs {
		if pos > since && simMatches[name][e.topic] {
			visible = true
			due = due || pos > excused[name]
		}
	}
	return visible, due
}

// welcome has a connection begin.
func (l *line) welcome(at hub.Cursor, topics []string) {
	p := l.peer
	switch {
	case l.welcomed:
		l.failf("is welcomed again")
	case l.from.After != nil && at != *l.from.After:
		l.failf("begins at %v, after %v", at, *l.from.After)
	case l.from.After == nil && at.Epoch != p.sim.opts.Epoch:
		l.failf("begins at %v", at)
	case !p.registered && !slices.Equal(slices.Sorted(slices.Values(topics)), slices.Sorted(slices.Values(l.topics))):
		l.failf("begins with %v, its topics are %v", topics, l.topics)
	}
	l.welcomed, p.cursor = true, at
	if at.Epoch == p.sim.opts.Epoch {
		l.begun = at.Position
	}
	for _, name := range topics {
		l.subs[name] = 0
	}
	l.keepTopics()
	for _, w := range slices.Clone(p.wishes) {
		p.ask(&request{op: "subscribe", topics: w.topics, from: w.from, wish: w})
	}
}

// keepTopics has the peer come back with the topics that it has.
func (l *line) keepTopics() {
	if (l.peer.kind == v1{}) {
		l.peer.topics = slices.Sorted(maps.Keys(l.subs))
	}
}

// moveTo moves the resume point of a peer. All that it may see up to there it
// must have had.
func (l *line) moveTo(to hub.Cursor) {
	l.reach(to, to.Position)
	l.peer.cursor = to
}

// reach checks that nothing is missing from the resume point up to a position.
func (l *line) reach(to hub.Cursor, limit hub.Position) {
	p := l.peer
	from := p.cursor.Position
	switch {
	case to == p.cursor:
		return
	case to.Epoch != p.sim.opts.Epoch || int(to.Position) > len(p.sim.log()):
		l.failf("is told a cursor %v that is none", to)
	case to.Epoch != p.cursor.Epoch:
		if !l.restarted && len(l.subs) > 0 {
			l.failf("at %v is told %v and not of a gap", p.cursor, to)
		}
		from = 0
	case to.Position < from:
		l.failf("goes back from %v to %v", p.cursor, to)
	}
	for pos := max(from, l.sparse) + 1; pos <= limit; pos++ {
		if _, due := l.due(pos, l.subs, l.excused); due && !l.superseded(pos) {
			l.failf("did not get %d, going from %v to %v", pos, p.cursor, to)
		}
	}
}

// superseded reports whether a peer that wants the newest events only has had one
// as new as that, or is still to get one.
func (l *line) superseded(pos hub.Position) bool {
	if l.peer.slow != hub.SlowLatest {
		return false
	}
	log := l.peer.sim.log()
	topic := log[pos-1].topic
	if l.peer.newest[topic] >= pos {
		return true
	}
	for later := pos + 1; int(later) <= len(log); later++ {
		if _, due := l.due(later, l.subs, l.excused); due && log[later-1].topic == topic {
			return true
		}
	}
	return false
}

// newestEvent checks an event for a peer that wants the newest of each topic. Its
// cursor may be an earlier one.
func (l *line) newestEvent(at hub.Cursor, number int) {
	log := l.peer.sim.log()
	i, found := slices.BinarySearchFunc(log, number, func(e simEvent, n int) int { return e.number - n })
	pos := hub.Position(i + 1)
	if !found || pos < at.Position {
		l.failf("got number %d, at %d, with %v", number, pos, at)
	}
	topic := log[i].topic
	if visible, _ := l.due(pos, l.subs, nil); !visible || pos <= l.newest[topic] || len(l.replays) > 0 {
		l.failf("got number %d at %d after %d, visible: %v", number, pos, l.newest[topic], visible)
	}
	l.newest[topic] = pos
	l.peer.newest[topic] = max(l.peer.newest[topic], pos)
	l.moveTo(at)
}

// event checks an event.
func (l *line) event(at hub.Cursor, number int) {
	if l.peer.slow == hub.SlowLatest {
		l.newestEvent(at, number)
		return
	}
	if at == l.peer.cursor {
		l.failf("got number %d at %v again", number, at)
	}
	if at.Position == 0 {
		l.failf("got number %d at %v", number, at)
	}
	l.reach(at, at.Position-1)
	if visible, _ := l.due(at.Position, l.subs, l.excused); !visible || l.peer.sim.at(at.Position).number != number || len(l.replays) > 0 {
		l.failf("got number %d at %v, visible: %v, replays: %d", number, at, visible, len(l.replays))
	}
	l.peer.cursor = at
}

// gap takes note of a gap: of the first replay, if there is one, else of the
// connection itself.
func (l *line) gap(m v1Message) {
	from, to := l.cursor(m.From), l.cursor(m.To)
	excused, has := l.excused, l.subs
	if n := len(l.replays); n > 0 && m.Reason == "restarted" {
		r := l.replays[n-1] // which it follows at once
		r.gap = true
		return
	} else if n > 0 {
		r := l.replays[0]
		excused, has = r.excused, r.since()
	}
	if m.Reason == "dropped" && l.peer.slow != hub.SlowDropOldest {
		l.failf("is told of a gap: %+v", m)
	}
	if m.Reason == "restarted" {
		if from != l.peer.cursor || from.Epoch == to.Epoch || !l.asksFor(from) || len(m.Topics) != len(l.subs) {
			l.failf("at %v is told of a gap: %+v", l.peer.cursor, m)
		}
		l.restarted = true
		return
	}
	if from.Epoch != to.Epoch || from.Position >= to.Position || int(to.Position) > len(l.peer.sim.log()) || len(m.Topics) == 0 {
		l.failf("at %v is told of a gap: %+v", l.peer.cursor, m)
	}
	for _, name := range m.Topics {
		if _, ok := has[name]; !ok || to.Position <= excused[name] && m.Reason != "dropped" {
			l.failf("is told of a gap of %q: %+v", name, m)
		}
		excused[name] = max(excused[name], to.Position)
	}
}

func (l *line) asksFor(c hub.Cursor) bool { return l.from.After != nil && *l.from.After == c }

// answer checks the answer to a request.
func (l *line) answer(m v1Message) {
	if len(l.asked) == 0 || l.asked[0].ref != m.Ref {
		l.failf("got an answer to %q: %+v", m.Ref, l.asked)
	}
	r := l.asked[0]
	l.asked = l.asked[1:]
	switch {
	case m.Type == "error" && r.op == "subscribe":
		l.peer.drop(r.wish)
		return
	case m.Type == "error", (m.Type == "pong") != (r.op == "ping"):
		l.failf("got %+v for %+v", m, *r)
	case m.Type == "pong":
		return
	}
	l.moveTo(l.cursor(m.Cursor))
	switch {
	case r.op == "unsubscribe":
		l.unsubscribed(r.topics)
	case r.wish != nil:
		l.replays = append(l.replays, &simReplay{request: r, topics: slices.Clone(r.topics), at: l.peer.cursor, excused: make(map[string]hub.Position)})
	default:
		for _, name := range r.topics {
			if _, has := l.subs[name]; !has {
				l.subs[name] = l.pendingSince(name, r.head)
			}
		}
	}
	l.keepTopics()
}

// pendingSince returns since when a topic is subscribed: a replay of it may be
// under way.
func (l *line) pendingSince(name string, head hub.Position) hub.Position {
	for _, r := range l.replays {
		if slices.Contains(r.topics, name) {
			return max(r.at.Position, r.begin())
		}
	}
	return head
}

func (p *peer) drop(w *wish) {
	p.wishes = slices.DeleteFunc(p.wishes, func(other *wish) bool { return other == w })
}

func (l *line) unsubscribed(names []string) {
	gone := func(name string) bool { return slices.Contains(names, name) }
	for _, name := range names {
		delete(l.subs, name)
		delete(l.excused, name)
	}
	for topic := range l.newest { // what comes back to one that nothing covers may repeat an event
		if !slices.ContainsFunc(slices.Collect(maps.Keys(l.subs)), func(name string) bool { return simMatches[name][topic] }) {
			l.newest[topic] = 0
		}
	}
	for _, r := range l.replays {
		r.topics = slices.DeleteFunc(r.topics, gone)
		w := *r.wish // requests under way share it
		w.topics = slices.DeleteFunc(slices.Clone(w.topics), gone)
		if *r.wish = w; len(w.topics) == 0 {
			l.peer.drop(r.wish)
		}
	}
}

// since returns a replay's subscriptions, from their beginning on.
func (r *simReplay) since() map[string]hub.Position {
	subs := make(map[string]hub.Position)
	for _, name := range r.topics {
		subs[name] = 0
	}
	return subs
}

// replayed checks an event of a replay.
func (l *line) replayed(number int) {
	if len(l.replays) == 0 {
		l.failf("got number %d of no replay", number)
	}
	r := l.replays[0]
	log := l.peer.sim.log()
	i, found := slices.BinarySearchFunc(log, number, func(e simEvent, n int) int { return e.number - n })
	pos := hub.Position(i + 1)
	last := r.begin()
	if n := len(r.got); n > 0 {
		last = r.got[n-1]
	}
	if !found || pos <= last {
		l.failf("got number %d of a replay, at %d after %d", number, pos, last)
	}
	if visible, _ := l.due(pos, r.since(), r.excused); !visible {
		l.failf("got number %d of a replay of %v", number, r.topics)
	}
	r.got = append(r.got, pos)
}

// begin returns the position after which a replay begins.
func (r *simReplay) begin() hub.Position {
	if r.from.After != nil && r.from.After.Epoch == r.at.Epoch {
		return r.from.After.Position
	}
	return 0
}

// replayEnds checks that a replay is complete.
func (l *line) replayEnds(ref string, at hub.Cursor) {
	if len(l.replays) == 0 || l.replays[0].ref != ref {
		l.failf("is told that replay %q is over", ref)
	}
	r := l.replays[0]
	l.moveTo(at)
	counts := make(map[int]int)
	for pos := r.begin() + 1; pos <= at.Position; pos++ {
		got := slices.Contains(r.got, pos)
		_, due := l.due(pos, r.since(), r.excused)
		switch {
		case r.from.After != nil && due && !got:
			l.failf("did not get %d in a replay from %d to %v", pos, r.begin(), at)
		case r.from.Last > 0 && got && pos <= r.at.Position:
			counts[l.peer.sim.at(pos).topic]++
		}
	}
	for _, n := range counts {
		if n > r.from.Last {
			l.failf("got %d events of a topic, wanted %d", n, r.from.Last)
		}
	}
	switch {
	case r.from.After != nil && r.from.After.Epoch != at.Epoch && !r.gap && len(r.topics) > 0,
		len(r.got) > 0 && r.got[len(r.got)-1] > at.Position:
		l.failf("is told that a replay of %v is over at %v: %v", r.topics, at, r.got)
	}
	for _, name := range r.topics {
		since := max(r.at.Position, r.begin()) // after it reading on gives what the replay does not
		if had, has := l.subs[name]; has {
			since = min(since, had)
		}
		l.subs[name] = since
	}
	l.replays = l.replays[1:]
	l.peer.drop(r.wish)
	l.keepTopics()
}

// bareEvent checks an event without a cursor.
func (l *line) bareEvent(data []byte) {
	p := l.peer
	number := l.number(string(data))
	i, found := slices.BinarySearchFunc(p.sim.log(), number, func(e simEvent, n int) int { return e.number - n })
	pos := hub.Position(i + 1)
	if p.sim.told {
		p.sim.logf("%s < number %d, at %d", p.name, number, pos)
	}
	subs := l.bareSubs()
	if visible, _ := l.due(pos, subs, nil); !found || !visible || pos <= l.before {
		l.failf("got number %d, at %d after %d", number, pos, l.before)
	}
	l.before = pos
	l.bareReach(pos - 1)
	p.seen = max(p.seen, pos)
}

func (l *line) bareSubs() map[string]hub.Position {
	subs := make(map[string]hub.Position)
	for _, name := range l.topics {
		subs[name] = 0
	}
	return subs
}

func (l *line) bareReach(limit hub.Position) {
	subs := l.bareSubs()
	for pos := l.peer.seen + 1; pos <= limit; pos++ {
		if visible, _ := l.due(pos, subs, nil); visible {
			l.failf("did not get %d", pos)
		}
	}
}

// complete checks that a peer at rest has all there is.
func (p *peer) complete() {
	l, head := p.line, p.sim.log()
	if !p.cursors() {
		l.bareReach(hub.Position(len(head)))
		return
	}
	for pos := max(l.sparse, l.begun) + 1; p.slow == hub.SlowLatest && int(pos) <= len(head); pos++ {
		if _, due := l.due(pos, l.subs, l.excused); due && !l.superseded(pos) {
			l.failf("never had number %d at %d, nor a newer one", p.sim.at(pos).number, pos)
		}
	}
	if want := (hub.Cursor{Epoch: p.sim.opts.Epoch, Position: hub.Position(len(head))}); p.cursor != want || !l.welcomed {
		l.failf("is at %v, the head is %v", p.cursor, want)
	}
	if len(l.asked) > 0 || len(l.replays) > 0 || len(p.wishes) > 0 {
		l.failf("waits for %d answers, %d replays, %d wishes", len(l.asked), len(l.replays), len(p.wishes))
	}
}
