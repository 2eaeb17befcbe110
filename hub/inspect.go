package hub

import (
	"maps"
	"slices"
	"time"
)

// What operators see. Each question costs the hub one short command: those about
// many are answered in parts.

// inspectRows bounds what one command looks at.
const inspectRows = 1024

// A ClientInfo is what is known of a client.
type ClientInfo struct {
	ID        ID // secret: not to be shown
	Handle    Handle
	User      string
	Topics    []string
	State     string    // "new", "away", "reading" or "live"
	Conn      *Conn     // nil while it is not connected
	Position  Cursor    // up to it everything was handed over; zero before the first connection
	Behind    Position  // positions between that and the head
	Since     time.Time // of the connection, or of the registration
	Expires   time.Time // of what was granted; zero is never
	Fleeting  bool      // it has no registration
	Connected int       // connections so far
	Ended     Reason    // why the last connection ended, if one has
	HasEnded  bool
}

// place implements the roll's row.
func (c *client) place() *int32 { return &c.row }

func (s *State) info(c *client) ClientInfo {
	info := ClientInfo{
		ID: c.id, Handle: c.handle, User: c.user.name, Topics: c.topics(), State: "new", Conn: c.conn,
		Since: c.since, Fleeting: c.fleeting, Connected: int(c.made), Ended: c.ended, HasEnded: c.hasEnded,
	}
	if c.grant != nil {
		info.Expires = c.grant.Expires
	}
	switch c.mode {
	case modeNew:
		return info
	case modeAway:
		info.State = "away"
	case modeLive:
		info.State = "live"
	default:
		info.State = "reading"
	}
	at := s.at(c)
	info.Position, info.Behind = s.cursor(at), s.log.head-at
	return info
}

// A ClientsQuery asks for clients, in the order in which they came.
type ClientsQuery struct {
	After uint64 // behind this number; 0 is from the first
	Limit int    // at most so many
	User  string // of this user; "" is of all
	Topic string // with this subscription; "" is with any
}

// A ClientsPage is a part of the answer.
type ClientsPage struct {
	Clients []ClientInfo
	Next    uint64 // the number to go on behind
	More    bool   // there may be more
}

// Clients returns clients.
func (s *State) Clients(q ClientsQuery) (page ClientsPage) {
	if q.Limit < 1 {
		return ClientsPage{Next: q.After, More: true}
	}
	page.Next, page.More = s.roll.after(q.After, inspectRows, func(c *client) bool {
		if (q.User == "" || c.user.name == q.User) && (q.Topic == "" || c.subscription(q.Topic) >= 0) {
			page.Clients = append(page.Clients, s.info(c))
		}
		return len(page.Clients) < q.Limit
	})
	return page
}

// Client returns a client by its id. It fails with [ErrUnknownClient].
func (s *State) Client(id ID) (ClientInfo, error) {
	c := s.clients[id]
	if c == nil {
		return ClientInfo{}, ErrUnknownClient
	}
	return s.info(c), nil
}

// Find looks for a client by its handle among those behind a number. Of the parts
// of a search the last one reports no more.
func (s *State) Find(h Handle, after uint64) (found *ClientInfo, next uint64, more bool) {
	next, more = s.roll.after(after, inspectRows, func(c *client) bool {
		if c.handle == h {
			info := s.info(c)
			found = &info
		}
		return found == nil
	})
	return found, next, more
}

// A TopicInfo is what is known of an exact topic.
type TopicInfo struct {
	Name        string
	Subscribers int       // with a subscription of this name
	Patterns    []string  // that match it and have subscribers; of one topic only
	Retained    int       // events
	Users       int       // with events for them alone
	Published   uint64    // events since the topic is there
	Last        time.Time // when the newest that is retained was published; zero without
}

func (t *topic) place() *int32 { return &t.row }

func (t *topic) info() TopicInfo {
	info := TopicInfo{Name: t.name, Subscribers: len(t.members), Users: len(t.users), Published: t.published}
	count := func(st *stream) {
		info.Retained += st.entries.len()
		if at := st.entries.at(st.entries.len() - 1).Time; at.After(info.Last) {
			info.Last = at
		}
	}
	if t.all != nil {
		count(t.all)
	}
	for _, st := range t.users {
		count(st)
	}
	return info
}

// A TopicsPage is a part of all topics.
type TopicsPage struct {
	Topics []TopicInfo
	Next   uint64
	More   bool
}

// Topics returns topics behind a number, at most so many, that a pattern matches;
// "" is all.
func (s *State) Topics(after uint64, limit int, pattern string) (page TopicsPage) {
	page.Next, page.More = s.topicRoll.after(after, inspectRows, func(t *topic) bool {
		if pattern == "" || Match(pattern, t.name) {
			page.Topics = append(page.Topics, t.info())
		}
		return len(page.Topics) < limit
	})
	return page
}

// Topic returns what is known of a topic, and reports whether there is anything.
func (s *State) Topic(name string) (TopicInfo, bool) {
	info := TopicInfo{Name: name}
	t := s.topics[name]
	if t != nil {
		info = t.info()
	}
	for _, p := range s.matchingPatterns(name) {
		info.Patterns = append(info.Patterns, p.name)
	}
	slices.Sort(info.Patterns)
	return info, t != nil || len(info.Patterns) > 0
}

// A Presence is a user who is there.
type Presence struct {
	User    string
	Clients int // connected ones
}

// Present returns the users with connected clients that get a topic, those of
// patterns too, in the order of their names; members before skip are left out. As it
// looks at each of them, a crowd is answered in parts.
func (s *State) Present(topic string, skip int) (present []Presence, next int, more bool) {
	counts := make(map[string]int)
	seen, looked := 0, 0
	count := func(members []member) bool {
		for _, m := range members {
			if seen++; seen <= skip {
				continue
			}
			if looked++; looked > inspectRows {
				return false
			}
			next = seen
			if m.client.conn != nil {
				counts[m.client.user.name]++
			}
		}
		return true
	}
	all := true
	if t := s.topics[topic]; t != nil {
		all = count(t.members)
	}
	for _, p := range s.matchingPatterns(topic) {
		all = all && count(p.members)
	}
	return sortedPresence(counts), max(next, skip), !all
}

func sortedPresence(counts map[string]int) (present []Presence) {
	for _, user := range slices.Sorted(maps.Keys(counts)) {
		present = append(present, Presence{user, counts[user]})
	}
	return present
}

// A ConnInfo is what a transport knows of a connection.
type ConnInfo struct {
	Protocol   string   // such as "belfry.v1"
	Address    string   // of the peer, as far as it is known
	QueueBytes int      // that wait for it
	Blocked    bool     // its socket is full
	Written    Position // of the last event that was written whole; 0 if none was
}
