package hub

import "time"

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
	ephemeral bool                         // it has no registration to come back to
	grant     *Grant                       // nil: it may subscribe to everything, for ever
	slow      *slowness                    // nil: the connection keeps up
	lease     *lease                       // of a grant that ends; else nil
	row       int32                        // its place in the list
	weight    int                          // bytes counted for what it is doing
	since     time.Time                    // of the connection, or else of its end or of the registration
	ended     Reason                       // why the last connection ended
	hasEnded  bool                         // one has
	takeovers *[maxTakeovers]time.Duration // the latest ones, as a ring; nil before the first
}

// A Registration asks for a client.
type Registration struct {
	ID     ID       // unguessable
	User   string   // up to 255 bytes; "" is anonymous
	Topics []string // patterns, each well-formed by [CheckPattern]
	Grant  *Grant   // nil: everything, for ever; shared, and never changed
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
	s.clientList.add(c)
	topics := s.unique(r.Topics)
	c.subs = make([]subscription, 0, len(topics))
	for _, name := range topics {
		s.join(c, name)
	}
	s.setGrant(c, r.Grant)
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

// forget removes a client and everything about it.
func (s *State) forget(c *client, why Reason) {
	s.spend(8)
	c.cancel()
	s.clearGrant(c)
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
	from, to := s.clientList.remove(c)
	s.spend(to - from)
	s.toGone(c)
	s.stats.Removals[why]++
}
