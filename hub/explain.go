package hub

// An Explanation says why a client has got an event, or has not: how far the event
// came, and what has stopped it. Positions that the hub does not know any more are
// said to be unknown.
type Explanation struct {
	Verdict    string // one of the Verdict constants
	Registered bool
	Connected  bool
	Subscribed []string // the subscriptions that the topic matches
	Permitted  bool     // by its grant, and as the user whom the event is for
	Event      *Stored  // nil if it was asked for a topic
	State      string   // of the client
	Position   Cursor   // of the client
	Conn       *Conn    // nil while it is not connected
	Ended      Reason   // why the last connection ended, if one has
	HasEnded   bool
}

// What an explanation can come to.
const (
	VerdictUnknownClient  = "unknown_client"   // there is no such client, or it was removed
	VerdictUnknownEvent   = "unknown_event"    // no longer retained, or never published
	VerdictNotSubscribed  = "not_subscribed"   // none of its subscriptions matches the topic
	VerdictNotPermitted   = "not_permitted"    // its grant does not cover the topic
	VerdictOtherUser      = "other_user"       // the event is for another user
	VerdictSubscribedLate = "subscribed_later" // the event was published before the subscription
	VerdictExpired        = "expired"          // the event had run out before its turn
	VerdictNeverConnected = "never_connected"  // the client has not connected yet
	VerdictAway           = "away"             // it gets the event when it comes back in time
	VerdictReading        = "reading"          // it reads from the log and has not come to the event
	VerdictQueued         = "queued"           // handed to its courier; whether it is written the courier knows
	VerdictWouldGet       = "would_get"        // an event of the topic would be delivered at once
	VerdictBeforeStart    = "before_start"     // the event was published before the connection began
)

// Explain says what becomes of events of a topic for a client.
func (s *State) Explain(id ID, topic string) Explanation {
	x := s.explain(id, topic)
	if x.Verdict != "" {
		return x
	}
	switch x.State {
	case "new":
		x.Verdict = VerdictNeverConnected
	case "away":
		x.Verdict = VerdictAway
	case "reading":
		x.Verdict = VerdictReading
	default:
		x.Verdict = VerdictWouldGet
	}
	return x
}

// explainClient begins an explanation with what is known of the client.
func (s *State) explainClient(id ID) (x Explanation, c *client) {
	if c = s.clients[id]; c == nil {
		return Explanation{Verdict: VerdictUnknownClient}, nil
	}
	info := s.info(c)
	return Explanation{
		Registered: !c.ephemeral, Connected: c.conn != nil,
		State: info.State, Position: info.Position, Conn: c.conn, Ended: c.ended, HasEnded: c.hasEnded,
	}, c
}

// explain looks at what does not depend on the event. Its verdict is "" if nothing
// of that stops it.
func (s *State) explain(id ID, topic string) Explanation {
	x, c := s.explainClient(id)
	if c == nil {
		return x
	}
	x.Permitted = s.admits(c.grant, topic)
	for i := range c.subs {
		is, levels := match(c.subs[i].name, topic)
		if s.spend(1 + levels); is {
			x.Subscribed = append(x.Subscribed, c.subs[i].name)
		}
	}
	switch {
	case len(x.Subscribed) == 0 && !x.Permitted:
		x.Verdict = VerdictNotPermitted
	case len(x.Subscribed) == 0:
		x.Verdict = VerdictNotSubscribed
	}
	return x
}

// FindEvent looks for an event by its id among those before a position, the newest
// first. 0 begins at the head. Of the parts of a search the last one has no next.
func (s *State) FindEvent(event string, before Position) (at Position, next Position) {
	i := s.window.entries.len() - 1
	if before > 0 {
		i = s.window.after(before-1) - 1
	}
	i = s.walk(&s.window.entries, i, -1, s.allowance(), func(e *entry) bool {
		if !e.evicted() && e.ID == event {
			at = e.position
		}
		return at == 0
	})
	if at > 0 || i < 0 {
		return at, 0
	}
	return 0, s.window.entries.at(i).position + 1
}

// ExplainEvent says what has become of an event, at a position, for a client.
func (s *State) ExplainEvent(id ID, at Position) Explanation {
	i := s.window.after(at) - 1
	if i < 0 || at == 0 || s.window.entries.at(i).position != at || s.window.entries.at(i).evicted() {
		x, c := s.explainClient(id)
		if c != nil {
			x.Verdict = VerdictUnknownEvent
		}
		return x
	}
	e := s.window.entries.at(i)
	x := s.explain(id, e.Topic)
	x.Event = &Stored{e.Event, s.cursor(at)}
	if x.Verdict != "" {
		return x
	}
	c := s.clients[id]
	x.Verdict = s.fate(c, e)
	if x.Verdict == VerdictOtherUser {
		x.Permitted = false
	}
	return x
}

// fate says what has become of an event for a client with a subscription that
// matches.
func (s *State) fate(c *client, e *entry) string {
	covered, work := coverage(c.subs, e.stream.topic, e.position)
	s.spend(work)
	switch {
	case e.User != "" && e.User != c.user.name:
		return VerdictOtherUser
	case !covered:
		return VerdictSubscribedLate
	case c.mode == modeNew:
		return VerdictNeverConnected
	case c.conn != nil && c.conn.started && e.position <= c.conn.start:
		return VerdictBeforeStart
	case e.expired(e.Time) || e.position > s.upTo(c) && e.expired(s.now):
		return VerdictExpired
	case e.position <= s.upTo(c):
		return VerdictQueued
	case c.mode == modeAway:
		return VerdictAway
	}
	return VerdictReading
}
