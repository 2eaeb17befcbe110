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
	Ephemeral bool      // it has no registration
	Connected int       // connections so far
	Ended     Reason    // why the last connection ended, if one has
	HasEnded  bool
}

// place implements the list's row.
func (c *client) place() *int32 { return &c.row }

func (s *State) info(c *client) ClientInfo {
	info := ClientInfo{
		ID: c.id, Handle: c.handle, User: c.user.name, Topics: s.topicsOf(c), State: "new", Conn: c.conn,
		Since: c.since, Ephemeral: c.ephemeral, Connected: int(c.connections), Ended: c.ended, HasEnded: c.hasEnded,
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
	at := s.upTo(c)
	info.Position, info.Behind = s.cursor(at), s.window.head-at
	return info
}

// A ClientsQuery asks for clients, in the order in which they came.
type ClientsQuery struct {
	After uint64 // after this number; 0 is from the first
	Limit int    // at most so many
	User  string // of this user; "" is of all
	Topic string // with this subscription; "" is with any
}

// A ClientsPage is a part of the answer.
type ClientsPage struct {
	Clients []ClientInfo
	Next    uint64 // the number to go on after
	More    bool   // there may be more
}

// Clients returns clients.
func (s *State) Clients(q ClientsQuery) (page ClientsPage) {
	if q.Limit < 1 {
		return ClientsPage{Next: q.After, More: true}
	}
	end := s.allowance()
	page.Next, page.More = s.clientList.after(q.After, inspectRows, func(c *client) bool {
		s.spend(1 + len(c.subs))
		if (q.User == "" || c.user.name == q.User) && (q.Topic == "" || c.subscription(q.Topic) >= 0) {
			page.Clients = append(page.Clients, s.info(c))
		}
		return len(page.Clients) < q.Limit && s.work < end
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

// Find looks for a client by its handle among those after a number. Of the parts
// of a search the last one reports no more.
func (s *State) Find(h Handle, after uint64) (found *ClientInfo, next uint64, more bool) {
	next, more = s.clientList.after(after, inspectRows, func(c *client) bool {
		s.spend(1)
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
	return TopicInfo{
		Name: t.name, Subscribers: len(t.members), Retained: t.retained, Users: len(t.users), Published: t.published,
		Last: t.last.Time,
	}
}

// A TopicsPage is a part of all topics.
type TopicsPage struct {
	Topics []TopicInfo
	Next   uint64
	More   bool
}

// Topics returns topics after a number, at most so many, that a pattern matches;
// "" is all.
func (s *State) Topics(after uint64, limit int, pattern string) (page TopicsPage) {
	page.Next, page.More = s.topicList.after(after, inspectRows, func(t *topic) bool {
		is, work := true, 1
		if pattern != "" {
			is, work = match(pattern, t.name)
		}
		if s.spend(work); is {
			page.Topics = append(page.Topics, t.info())
		}
		return len(page.Topics) < limit
	})
	return page
}

// Topic returns what is known of a topic, and reports whether there is anything: but
// for its patterns, which take a [TopicSearch].
func (s *State) Topic(name string) (TopicInfo, bool) {
	if t := s.topics[name]; t != nil {
		return t.info(), true
	}
	return TopicInfo{Name: name}, false
}

// A TopicSearch looks for what there is of a topic, in steps.
type TopicSearch struct {
	topic    string
	matching matching
	matched  bool
	subject  int // number of what is looked at: of the topic itself, then of the patterns
	member   int // of it
	counted  map[*client]bool
}

// SearchTopic begins to look for a topic's patterns and members.
func SearchTopic(topic string) *TopicSearch {
	return &TopicSearch{topic: topic, counted: make(map[*client]bool)}
}

// Patterns returns the patterns that match the topic and have subscribers, in no order,
// and reports whether that took no more than a step: else it has to be asked again.
func (s *State) Patterns(q *TopicSearch) (names []string, done bool) {
	if !q.matched {
		if !s.prepare(&q.matching, q.topic, s.allowance()) {
			return nil, false
		}
		q.matched = true
	}
	s.spend(len(q.matching.found))
	for _, p := range q.matching.found {
		if len(p.members) > 0 {
			names = append(names, p.name)
		}
	}
	return names, true
}

// A Presence is a user with connected clients that get a topic.
type Presence struct {
	User    string
	Clients int // connected ones
}

// Present adds to counts the users with connected clients that get a topic, those of
// patterns too. As it looks at each member, a crowd takes several steps: it has to be
// asked again while there are more.
func (s *State) Present(q *TopicSearch, counts map[string]int) (more bool) {
	end := s.allowance()
	if q.matched = q.matched || s.prepare(&q.matching, q.topic, end); !q.matched {
		return true
	}
	for ; q.subject <= len(q.matching.found); q.subject, q.member = q.subject+1, 0 {
		var members []member
		if q.subject > 0 {
			members = q.matching.found[q.subject-1].members
		} else if t := s.topics[q.topic]; t != nil {
			members = t.members
		}
		for ; q.member < len(members); q.member++ {
			if s.work >= end {
				return true
			}
			s.spend(1)
			if c := members[q.member].client; c.conn != nil && !q.counted[c] { // however many of its subscriptions match
				q.counted[c] = true
				counts[c.user.name]++
			}
		}
	}
	return false
}

func sortedPresence(counts map[string]int) (present []Presence) {
	for _, user := range slices.Sorted(maps.Keys(counts)) {
		present = append(present, Presence{user, counts[user]})
	}
	return present
}
