package hub

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"
)

// What the hub refuses a command with.
var (
	ErrUnknownClient      = errors.New("no such client; register again")
	ErrDuplicateClient    = errors.New("the client id is taken")
	ErrTooManyClients     = errors.New("too many registered clients; try again later")
	ErrTooManyUserClients = errors.New("too many clients of one user; try again later")
	ErrTooManyConnections = errors.New("too many connections; try again later")
	ErrTooManyTopics      = errors.New("too many topics for one client")
	ErrTooManyReplays     = errors.New("too many replays of one client wait")
	ErrForbidden          = errors.New("this was not granted")
	ErrDraining           = errors.New("the broker is shutting down")
	ErrOverCapacity       = errors.New("there is no room now; try again later") // what others than the hub refuse with
)

// An ID is a client's secret name: whoever has it may connect as the client.
type ID [16]byte

// ParseID reads the 32 hexadecimal digits of a client id.
func ParseID(s string) (id ID, ok bool) {
	if len(s) != 2*len(id) {
		return ID{}, false
	}
	_, err := hex.Decode(id[:], []byte(s))
	return id, err == nil
}

func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Handle returns the public name that goes with an id.
func (id ID) Handle() Handle {
	sum := sha256.Sum256(id[:])
	return Handle(sum[:len(Handle{})])
}

// A Handle names a client in logs and to operators, without giving away its
// id: a prefix of the id's SHA-256.
type Handle [8]byte

// ParseHandle reads a handle's text.
func ParseHandle(s string) (h Handle, ok bool) {
	if len(s) != 2*len(h) {
		return Handle{}, false
	}
	_, err := hex.Decode(h[:], []byte(s))
	return h, err == nil
}

func (h Handle) String() string { return hex.EncodeToString(h[:]) }

// A client is one registration.
type client struct {
	// What a delivery needs comes first, to lie together in the cache.
	conn     *Conn    // the connection that may get events; nil when away
	seen     Position // last event delivered: overlapping subscriptions count once
	progress          // its mode first
	slot     int32    // its place in user.clients

	id        ID
	handle    Handle
	user      *user
	subs      []subscription
	deadline  deadline
	replays   []*replay                    // asked for while connected; read before all else, in order
	fleeting  bool                         // it has no registration to come back to
	grant     *Grant                       // nil: it may subscribe to everything, for ever
	slow      *slowness                    // nil: the connection keeps up
	lease     *lease                       // of a grant that ends; else nil
	row       int32                        // its place in the roll
	weight    int                          // bytes counted for what it is doing
	since     time.Time                    // of the connection, or else of its end or of the registration
	ended     Reason                       // why the last connection ended
	hasEnded  bool                         // one has
	takeovers *[maxTakeovers]time.Duration // the latest ones, as a ring; nil before the first
}

// A user has clients.
type user struct {
	name    string
	clients []*client
	here    map[*subject]int32 // connected ones, by exact topic; nil while it has one client
}

// State is the hub as a value: it does what the commands say and collects
// what is to be sent. It is not safe for concurrent use, and needs none.
type State struct {
	opts     Options
	now      time.Time     // by the clock of the machine, for what others know the time of
	age      time.Duration // how long the hub has been at work, for what ends after a time
	draining bool

	clients      map[ID]*client
	roll         roll[*client]
	topicRoll    roll[*topic]
	users        map[string]*user
	topics       map[string]*topic
	patterns     node
	patternCount int
	log          window
	authority    authority

	unconnected schedule // registered and never connected
	away        schedule // disconnected, may still come back
	changes     Changes  // of grants, the latest
	leases      leases   // connected for a limited time

	reading  deque[*client] // those that read, in turn; may hold clients that do so no longer
	polls    map[*Poll]struct{}
	woken    []*Poll            // to be told so
	ahead    matching           // of the next event
	releases deque[Release]     // of which it is not known yet how far they came
	asked    map[*Conn][]func() // what waits for the beginning of connections: few ask before it
	late     []func()           // to be done at the end of the step
	news     news
	outboxes []outbox
	stats    Stats
	held     int    // bytes for clients, topics without events, and requests that wait
	work     uint64 // comparisons made
	overdue  bool   // the last tick has left something
	step     uint64 // of them in a step: stepWork
	turn     uint64 // comparisons at which the turn is over; 0: there are no turns
	kind     int    // of work that was gone on with last

	// Scratch space, valid within one command.
	found   []*entry
	sources []source
	losses  lossSearch
	mine    []*topic
}

// NewState returns an empty hub.
func NewState(opts Options) *State {
	s := &State{
		opts:        opts,
		step:        stepWork,
		ahead:       matching{marks: true},
		clients:     make(map[ID]*client),
		users:       make(map[string]*user),
		topics:      make(map[string]*topic),
		polls:       make(map[*Poll]struct{}),
		asked:       make(map[*Conn][]func()),
		authority:   authority{epoch: opts.Epoch, keys: dedupe{records: make(map[[16]byte]*record)}},
		log:         window{retention: retention{maxEvents: opts.HistoryEvents, maxAge: opts.HistoryAge, maxBytes: opts.HistoryBytes}},
		unconnected: schedule{wait: opts.RegisterTTL},
		away:        schedule{wait: opts.ResumeWindow},
		outboxes:    make([]outbox, opts.Couriers),
	}
	for i := range s.outboxes {
		s.outboxes[i] = outbox{batch: &Batch{}, gather: make([][]*Conn, len(opts.Encoders))}
	}
	s.stats.Disconnects = make([]uint64, reasons)
	s.stats.Removals = make([]uint64, reasons)
	return s
}

// A Registration asks for a client.
type Registration struct {
	ID     ID       // unguessable
	User   string   // up to 255 bytes; "" is nobody in particular
	Topics []string // patterns, each well-formed by [CheckPattern]
	Grant  *Grant   // nil: everything, for ever; shared, and not changed any more
}

// Registered is what became of a [Registration].
type Registered struct {
	ExpiresAt time.Time // when it is forgotten unless it has connected
}

// Register adds a client. It fails with [ErrDuplicateClient],
// [ErrTooManyClients], [ErrTooManyUserClients], [ErrTooManyTopics],
// [ErrForbidden] or [ErrDraining].
func (s *State) Register(r Registration) (Registered, error) {
	grant, revoked := s.changes.of(r.Grant)
	r.Grant = grant
	switch {
	case s.draining:
		return Registered{}, ErrDraining
	case s.clients[r.ID] != nil:
		return Registered{}, ErrDuplicateClient
	case len(s.clients) >= s.opts.MaxClients:
		return Registered{}, ErrTooManyClients
	case s.crowded(r.User):
		return Registered{}, ErrTooManyUserClients
	case len(r.Topics) > s.opts.MaxSubscriptions:
		return Registered{}, ErrTooManyTopics
	case revoked || !s.admits(r.Grant, r.Topics...):
		return Registered{}, ErrForbidden
	}
	c := s.add(r)
	s.unconnected.add(c, s.age)
	s.stats.Registered++
	return Registered{ExpiresAt: s.now.Add(s.opts.RegisterTTL)}, nil
}

// crowded reports whether a user has as many clients as it may.
func (s *State) crowded(name string) bool {
	u := s.users[name]
	return u != nil && name != "" && s.opts.MaxUserClients > 0 && len(u.clients) >= s.opts.MaxUserClients
}

// SetLimits replaces the limits. Nobody loses what it has.
func (s *State) SetLimits(l Limits) { s.opts.Limits = l }

// add adds a client.
func (s *State) add(r Registration) *client {
	u := s.users[r.User]
	if u == nil {
		u = &user{name: r.User}
		s.users[r.User] = u
		s.held += u.size()
	}
	c := &client{id: r.ID, handle: r.ID.Handle(), user: u, slot: int32(len(u.clients))}
	u.clients = append(u.clients, c)
	s.recount(u)
	c.since = s.now
	s.clients[c.id] = c
	s.held += clientOverhead
	s.roll.add(c)
	topics := s.unique(r.Topics)
	c.subs = make([]subscription, 0, len(topics))
	for _, name := range topics {
		s.join(c, name)
	}
	s.limit(c, r.Grant)
	return c
}

// Unregister forgets a client, closes its connection, and reports whether it
// was there.
func (s *State) Unregister(id ID) bool {
	c := s.clients[id]
	if c == nil {
		return false
	}
	if c.conn != nil {
		s.close(c.conn, Unregistered)
	}
	s.forget(c, Unregistered)
	return true
}

// UnregisterUser forgets clients of a user, as far as a step may, and closes their
// connections. It returns how many they were, and whether there are more.
func (s *State) UnregisterUser(name string) (removed int, more bool) {
	for end := s.allowance(); s.users[name] != nil; removed++ {
		if s.work >= end {
			return removed, true
		}
		clients := s.users[name].clients
		s.Unregister(clients[len(clients)-1].id)
	}
	return removed, false
}

// forget removes a client and everything about it.
func (s *State) forget(c *client, why Reason) {
	s.spend(8)
	c.cancel()
	s.unlimit(c)
	c.replays = nil
	s.leaveAll(c, func(string) bool { return true })
	u := c.user
	last := len(u.clients) - 1
	u.clients[c.slot] = u.clients[last]
	u.clients[c.slot].slot = c.slot
	u.clients[last] = nil
	u.clients = u.clients[:last]
	if s.recount(u); last == 0 {
		delete(s.users, u.name)
		s.held -= u.size()
	}
	if c.conn != nil {
		s.answer(c.conn)
		c.conn.client, c.conn = nil, nil
		s.stats.Connected--
	}
	delete(s.clients, c.id)
	s.held -= clientOverhead + c.weight
	c.weight = 0
	from, to := s.roll.remove(c)
	s.spend(to - from)
	s.toGone(c)
	s.stats.Removals[why]++
}

// SetTopics replaces the topics of the client behind a connection, for
// everything published from now on. Topics that it keeps are not interrupted.
// It reports whether that was done: not for a connection that has ended or was
// taken over, nor for more topics or others than the client may have.
func (s *State) SetTopics(conn *Conn, names []string) bool {
	c := conn.client
	if c == nil || c.conn != conn || len(names) > s.opts.MaxSubscriptions || !s.admits(c.grant, names...) {
		return false
	}
	defer s.together(names)()
	keep := s.set(names)
	s.leaveAll(c, func(name string) bool { return !keep[name] })
	for _, name := range s.fresh(c, names) {
		s.join(c, name)
	}
	return true
}

// AddTopic subscribes a client to one more topic. It fails with
// [ErrUnknownClient], [ErrTooManyTopics] or [ErrForbidden].
func (s *State) AddTopic(id ID, name string) error {
	c := s.clients[id]
	if c == nil {
		return ErrUnknownClient
	}
	s.spend(len(c.subs))
	switch {
	case c.subscription(name) >= 0:
		s.keep(c, map[string]bool{name: true})
		return nil
	case len(c.subs) >= s.opts.MaxSubscriptions:
		return ErrTooManyTopics
	case !s.admits(c.grant, name):
		return ErrForbidden
	}
	s.join(c, name)
	return nil
}

// RemoveTopic ends a client's subscription, if it has it. It fails with
// [ErrUnknownClient].
func (s *State) RemoveTopic(id ID, name string) error {
	c := s.clients[id]
	if c == nil {
		return ErrUnknownClient
	}
	s.leaveAll(c, func(has string) bool { return has == name })
	return nil
}

// set returns names as a set.
func (s *State) set(names []string) map[string]bool {
	s.spend(len(names))
	set := make(map[string]bool, len(names))
	for _, name := range names {
		set[name] = true
	}
	return set
}

// unique returns names without repetitions, in order.
func (s *State) unique(names []string) []string {
	return s.missing(make(map[string]bool, len(names)), names)
}

// fresh returns those of the names that a client has no subscription of, without
// repetitions, in order.
func (s *State) fresh(c *client, names []string) []string {
	return s.missing(s.set(s.topicsOf(c)), names)
}

// missing adds names to a set and returns those that were not there.
func (s *State) missing(set map[string]bool, names []string) []string {
	s.spend(len(names))
	missing := make([]string, 0, len(names))
	for _, name := range names {
		if !set[name] {
			set[name] = true
			missing = append(missing, name)
		}
	}
	return missing
}
