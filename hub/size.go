package hub

import "strings"

// What things cost in memory beside their payload, in bytes, rounded up: see
// TestAccounting.
const (
	entryOverhead   = 400 // of an event, and of its husk
	detailsOverhead = 128
	frameOverhead   = 96
	streamOverhead  = 256 // of the events of a topic for everybody, or for a user, and of its losses
	topicOverhead   = 192

	clientOverhead       = 576
	userOverhead         = 192
	subscriptionOverhead = 80
	levelOverhead        = 320 // of a level of a pattern
	patternOverhead      = 160
	grantOverhead        = 24 // of a pattern that is granted
	pollOverhead         = 256
	replayOverhead       = 256
	wishOverhead         = 96 // of a topic of which the newest events are wanted
	conflationOverhead   = 640
	markOverhead         = 48
)

// size is what an event takes in the log.
func (ev *Event) size() int { return entryOverhead + len(ev.ID) + len(ev.Message) + ev.Details.size() }

func (d *Details) size() int {
	if d == nil {
		return 0
	}
	return detailsOverhead + len(d.Source) + len(d.Type) + len(d.Published) + len(d.TraceParent) + len(d.Attributes)
}

func (f *Frame) size() int { return frameOverhead + len(f.Bytes) }

// size is what a stream takes beside its events.
func (st *stream) size() int { return streamOverhead + len(st.user) }

// size is what a topic takes beside its subscribers and events.
func (t *topic) size() int { return topicOverhead + len(t.name) }

// empty reports whether nothing is retained of a topic. One that is not empty counts
// as part of the log, others as part of what is held for clients.
func (t *topic) empty() bool { return t.all == nil && len(t.users) == 0 }

func (u *user) size() int { return userOverhead + len(u.name) }

// patternSize is what a pattern takes beside its subscribers, if none of its levels is
// shared with others.
func patternSize(name string) int {
	return patternOverhead + len(name) + levelOverhead*(1+strings.Count(name, "."))
}

func (g *Grant) size() (n int) {
	if g == nil {
		return 0
	}
	for _, p := range g.Subscribe {
		n += grantOverhead + len(p)
	}
	return n
}

// size is what a reading takes.
func (rd *reading) size() int {
	if rd.last == nil {
		return 0
	}
	return wishOverhead * (1 + len(rd.last.after))
}

func (r *replay) size() int {
	return replayOverhead + len(r.ref) + subscriptionOverhead*len(r.subs) + r.reading.size()
}

func (w *conflation) size() int {
	return conflationOverhead + markOverhead*(len(w.before)+len(w.now)+len(w.late))
}

// extra is what a client takes for what it is doing, beside its registration.
func (c *client) extra() int {
	n := c.grant.size() + c.reading.size()
	for _, r := range c.replays {
		n += r.size()
	}
	if c.slow != nil && c.slow.conflation != nil {
		n += c.slow.conflation.size()
	}
	return n
}

// weigh counts anew what a client takes for what it is doing.
func (s *State) weigh(c *client) {
	if s.clients[c.id] != c {
		return // it was forgotten
	}
	s.held -= c.weight
	s.spend(1 + len(c.replays))
	if c.grant != nil {
		s.spend(len(c.grant.Subscribe))
	}
	c.weight = c.extra()
	s.held += c.weight
}
