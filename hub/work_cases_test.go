package hub

import (
	"fmt"
	"strings"
	"time"
)

func (h *heavy) subscribeToTooMany() {
	s, names := h.s, make([]string, 10_800)
	for i := range names {
		names[i] = fmt.Sprint("n", i)
	}
	before := s.work
	if err := s.Subscribe(h.conns[0], Subscribe{Topics: names}); err != ErrTooManyTopics {
		h.t.Error(err)
	}
	if err := s.Unsubscribe(h.conns[0], names, nil); err != ErrTooManyTopics {
		h.t.Error(err)
	}
	s.SetTopics(h.conns[0], names)
	_, _ = s.Register(Registration{ID: testID("too many"), Topics: names})
	if n := s.work - before; n > 0 {
		h.t.Errorf("%d comparisons for nothing", n)
	}
}

// subscribeUnderGrant asks for as many topics as a client may have, of which only the
// last level shows that they are not of those granted before the last, or of none.
func (h *heavy) subscribeUnderGrant() {
	var names []string
	for i := range heavySubs {
		names = append(names, fmt.Sprint(deep, "asked", i))
	}
	grant := func(last string) *Grant {
		g := &Grant{Expires: h.now.Add(time.Hour), Holder: h}
		for i := range heavySubs - 1 {
			g.Subscribe = append(g.Subscribe, fmt.Sprint("*.", deep[2:], "granted", i))
		}
		g.Subscribe = append(g.Subscribe, last)
		return g
	}
	all, some := grant(deep+"*"), grant(deep+"none")
	h.step("register", func() {
		_, err := h.s.Register(Registration{ID: testID("registers"), Topics: names, Grant: all})
		h.fine(err)
	})
	h.step("a topic too many", func() {
		if _, err := h.s.Register(Registration{ID: testID("too many"), Topics: names, Grant: some}); err != ErrForbidden {
			h.t.Error(err)
		}
	})
	conn := &Conn{Owner: "connects", Notes: true}
	h.step("connect", func() {
		h.s.Connect(Registration{ID: testID("connects"), Topics: names, Grant: all}, conn, From{})
	})
	h.step("no topics", func() { h.s.SetTopics(conn, nil) })
	h.step("all of them", func() {
		if !h.s.SetTopics(conn, names) {
			h.t.Error("they are not set")
		}
	})
	h.step("subscribe", func() { h.fine(h.s.Subscribe(conn, Subscribe{Topics: names, From: h.after(1)})) })
	h.step("renew", func() { h.fine(h.s.Renew(conn, "", all, nil)) })
	h.step("renew for less", func() { h.fine(h.s.Renew(conn, "", some, nil)) })
	next := h.s.clientList.serial - 2 // those before are without a grant
	h.step("regrant", func() { h.s.Regrant(func(*Grant) *Grant { return some }, next) })
	if h.s.clients[testID("registers")] != nil {
		h.t.Error("a client keeps what it was granted before")
	}
	h.s.changes = nil
	for _, id := range []string{"registers", "connects"} {
		h.guests = append(h.guests, testID(id))
	}
}

func (h *heavy) reconnectCrowd() {
	for i := range 1000 {
		p := fmt.Sprint(deep[2:], "dev", i, ".*")
		before := h.s.work
		h.s.gaps([]subscription{{subject: &subject{name: p, pattern: true}}}, "devices", &reading{pos: 1})
		if n := h.s.work - before; n > 100 {
			h.t.Fatalf("%d comparisons for %s", n, p)
		}
	}
}

func (h *heavy) newestAndOperation() {
	conn := h.guest(From{Last: MaxLast}, manyPatterns("no")...)
	h.step("an operation", func() {
		if !h.s.Defer(conn, func() { h.s.Say(conn, &Frame{}) }) {
			h.t.Error("it does not wait for the beginning")
		}
	})
}

// exactTopics returns as many topics as one client may have.
func exactTopics() (topics []string) {
	for i := range heavySubs {
		topics = append(topics, heavyTopic(i))
	}
	return topics
}

func (h *heavy) newestOfExact() { h.guest(From{Last: MaxLast}, exactTopics()...) }

func (h *heavy) confirmedNothing() {
	conn := h.guest(From{}, manyPatterns("no")...)
	conn.start = 0
	h.s.ConnEnded(ConnReport{Conn: conn, UpTo: h.s.window.head, Last: h.s.window.head, Unconfirmed: 1})
}

func (h *heavy) takeovers() {
	s, many := h.s, testID("many")
	_, err := s.Register(Registration{ID: many, User: "many", Topics: manyPatterns("no")[1:]})
	h.fine(err)
	h.guests = append(h.guests, many)
	for range maxTakeovers + 2 {
		h.step("a takeover", func() { _ = s.Admit(many); s.Attach(many, &Conn{Notes: true}, h.after(1)) })
	}
	h.step("one topic", func() { h.fine(s.AddTopic(many, "one")); h.fine(s.RemoveTopic(many, "one")) })
	h.step("explained", func() {
		s.Explain(many, deep+"none")
		s.ExplainEvent(many, s.window.head)
		_, _ = s.Client(many)
	})
}

func (h *heavy) replays() {
	conn := h.guest(h.after(1), manyPatterns("yes")...)
	for range heavySubs {
		h.step("a replay", func() { h.fine(h.s.Subscribe(conn, Subscribe{Topics: manyPatterns("yes"), From: h.after(1)})) })
	}
	h.step("unsubscribe", func() { h.fine(h.s.Unsubscribe(conn, manyPatterns("yes"), nil)) })
}

// slow has a connection lag, of which all topics have changed since, and which
// subscribes to more meanwhile.
func (h *heavy) slow(policy SlowPolicy) { h.lag(policy, append(manyPatterns("no")[2:], ">")...) }

func (h *heavy) slowOfExact() { h.lag(SlowLatest, exactTopics()...) }

func (h *heavy) lag(policy SlowPolicy, topics ...string) {
	h.s.opts.MaxLagBytes = 1 << 20
	conn := &Conn{Owner: "slow", Notes: true, Slow: policy}
	h.s.Connect(Registration{ID: testID("slow"), Topics: topics}, conn, From{})
	h.guests = append(h.guests, testID("slow"))
	h.step("lag", func() { h.s.Lag(conn) })
	c := conn.client // all that is retained came since
	c.pos, conn.start, c.slow.waiting = 1, 1, amount{1 << 20, 1 << 30}
	for i := range c.subs {
		c.subs[i].since = 0
	}
	before := h.s.stats
	for i := range heavySteps {
		h.step("drained", func() { h.s.ChunkWritten(conn) })
		h.step("read", h.s.Work)
		if room := heavySubs - len(c.subs); i == 2 && room > 0 {
			h.step("more topics", func() {
				h.fine(h.s.Subscribe(conn, Subscribe{Topics: manyPatterns("x")[:room], From: h.after(h.s.window.head)}))
			})
		}
		h.s.Take(0, &Batch{})
	}
	switch dropped := h.s.stats.Dropped - before.Dropped; {
	case dropped > 0: // they have no bytes: however many there are, they may wait
		h.t.Errorf("%d events were dropped", dropped)
	case c.slow != nil && c.slow.tail != nil: // it is looked for still how many may wait
	case policy != SlowClose && h.s.stats.Replayed == before.Replayed:
		h.t.Error("no event was handed over")
	}
}

func (h *heavy) allPatterns() {
	if r := h.turn("an event", Event{Topic: deep + "none"}); r.Matched != heavyPatterns/128 {
		h.t.Errorf("%d clients got it", r.Matched)
	}
}

func (h *heavy) almostAllPatterns() { h.turn("an event", Event{Topic: deep + "other"}) }

// crowdedUser publishes to a user with as many clients as one may have, of as many
// subscriptions, none of which match before the last. All other patterns do.
func (h *heavy) crowdedUser() {
	topics := append([]string{"all"}, exactTopics()[2:]...)
	for i := range heavyUser {
		h.step("subscribe", func() { h.s.SetTopics(h.conns[i], append(topics, deep+"none")) })
	}
	if r := h.turn("an event", Event{Topic: deep + "none", User: "crowd"}); r.Matched != heavyUser {
		h.t.Errorf("%d clients got it", r.Matched)
	}
}

// publication publishes many events together, each with a key.
func (h *heavy) publication() {
	const n = 1000
	p := Publication{Events: make([]Event, n), Keys: make([]Key, n)}
	for i := range n {
		p.Events[i] = Event{ID: "id", Topic: deep + "none", Time: h.now}
		p.Keys[i].Name[0], p.Keys[i].Name[1], p.Keys[i].Name[2] = 1, byte(i), byte(i>>8)
	}
	h.s.opts.DedupeBytes = 1 << 30
	h.commit(p)
	var taking *Taking
	h.step("begin", func() {
		var err error
		taking, err = h.s.Begin(p)
		h.fine(err)
	})
	for range heavySteps {
		h.step("an event of many", func() { h.s.Continue(taking) })
		h.s.Take(0, &Batch{})
	}
}

// commit has the same publication stored elsewhere before it is applied.
func (h *heavy) commit(p Publication) {
	h.s.storing.next = new(Commit)
	defer func() { h.s.storing = storing{} }()
	var c *Commit
	order := func() {
		h.step("order", func() {
			_, err := h.s.Order(p)
			h.fine(err)
			h.s.Full()
		})
		h.step("take a commit", func() { c = h.s.TakeCommit() })
	}
	order()
	h.step("refused", func() { h.s.Refused(c, ErrNotStored) })
	order()
	h.step("committed", func() { h.s.Committed(c) })
	for range heavySteps {
		h.step("apply", h.s.applyCommit)
		h.s.Take(0, &Batch{})
	}
	if n := len(h.s.Answers()); n != 1 || !h.s.Applying() {
		h.t.Errorf("%d publications are answered", n)
	}
	for i := range p.Keys {
		p.Keys[i].Name[0]++ // those that follow are new
	}
}

func (h *heavy) polls() {
	var polls []*Poll
	for range heavyClients {
		poll, err := h.s.Await("polled", "")
		h.fine(err)
		polls = append(polls, poll)
	}
	h.step("one that gives up", func() { h.s.EndPoll(polls[0]) })
	h.step("an event", func() { h.publish(Event{Topic: "polled"}) })
	told := 1
	h.all("they are told", func() bool {
		woken, more := h.s.Woken()
		told += len(woken)
		return more
	})
	if told != heavyClients {
		h.t.Errorf("%d polls were told", told)
	}
}

func (h *heavy) watched() {
	h.guest(From{}, PresenceTopic+">")
	for i := range heavyUser {
		h.step("leave", func() { h.s.SetTopics(h.conns[i], nil) })
		h.step("join", func() { h.s.SetTopics(h.conns[i], []string{"all", "some"}) })
	}
}

func (h *heavy) topics() {
	after := uint64(0)
	h.all("topics", func() bool {
		page := h.s.Topics(after, 1000, strings.Repeat("*.", 15)+"none")
		after = page.Next
		return page.More
	})
}

func (h *heavy) presence() {
	q := SearchTopic("all")
	h.all("presence", func() bool { return h.s.Present(q, map[string]int{}) })
}

func (h *heavy) clients() {
	q := ClientsQuery{Limit: 1000, Topic: "none"}
	h.all("clients", func() bool {
		page := h.s.Clients(q)
		q.After = page.Next
		return page.More
	})
}

func (h *heavy) handle() {
	after := uint64(0)
	h.all("a client", func() (more bool) {
		_, after, more = h.s.Find(Handle{}, after)
		return more
	})
}

func (h *heavy) renew() {
	conn := &Conn{Owner: "granted", Notes: true}
	grant := &Grant{Subscribe: append(manyPatterns("x")[:60:60], ">"), Expires: h.now.Add(time.Hour)}
	h.s.Connect(Registration{ID: testID("granted"), User: "u", Topics: manyPatterns("no"), Grant: grant}, conn, From{})
	h.guests = append(h.guests, testID("granted"))
	h.step("renewed", func() { h.fine(h.s.Renew(conn, "u", grant, nil)) })
}

func (h *heavy) regrant() {
	after := uint64(0)
	h.all("clients", func() (more bool) {
		_, after, more = h.s.Regrant(func(g *Grant) *Grant { return g }, after)
		return more
	})
}

func (h *heavy) unregisterUser() {
	removed := 0
	h.all("clients", func() bool {
		n, more := h.s.UnregisterUser("crowd")
		removed += n
		return more
	})
	if removed != heavyUser {
		h.t.Errorf("%d were removed", removed)
	}
}

func (h *heavy) runOut() {
	h.s.opts.HistoryAge = time.Hour
	h.now = h.now.Add(2 * time.Hour)
	h.s.Tick(h.now)
}
