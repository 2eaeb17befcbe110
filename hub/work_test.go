package hub

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strings"
	"testing"
	"time"
)

// A heavy world is a state as large as it may be by default, made of what costs
// most: topics of many levels that differ in the last, patterns that agree with
// them up to there, clients with as many subscriptions as they may have.
type heavy struct {
	t      *testing.T
	s      *State
	now    time.Time
	conns  []*Conn // of the crowd
	most   uint64  // work of a step
	inner  uint64  // work of the steps within the one under way
	guests []ID    // clients of one case
}

const (
	heavyTopics   = 80_000
	heavyEvents   = 100_000
	heavyClients  = 40_000
	heavyPatterns = 1 << 14
	heavySubs     = 120  // of one client that asks for much
	heavyUser     = 1000 // clients of one user
)

// deep is all but the last of the levels of a topic.
var deep = strings.Repeat("a.", MaxTopicLevels-1)

func newHeavy(t *testing.T) *heavy {
	opts := testOptions()
	opts.MaxClients, opts.MaxConnections, opts.MaxUserClients = 1<<20, 1<<20, heavyUser
	opts.HistoryEvents, opts.HistoryBytes, opts.HistoryAge = 1, 1<<30, 6*time.Hour
	opts.RegisterTTL, opts.ResumeWindow = time.Hour, time.Hour
	opts.Backlog, opts.BacklogBytes = 1<<30, 1<<40
	h := &heavy{t: t, s: NewState(opts), now: epoch}
	h.s.Tick(h.now)
	// All topics have lost something, and so has one of many users.
	for range 2 {
		for i := range heavyTopics {
			h.publish(Event{Topic: heavyTopic(i)})
		}
		for i := range heavyEvents - heavyTopics {
			h.publish(Event{Topic: deep + "users", User: fmt.Sprint("user", i)})
		}
	}
	for i := range heavyClients {
		user := fmt.Sprint("user", i)
		if i < heavyUser {
			user = "crowd"
		}
		h.conns = append(h.conns, h.connect(fmt.Sprint("crowd", i), user, From{}, "all"))
	}
	// The last patterns differ from all topics in the last level only.
	var patterns []string
	for i := range heavyPatterns {
		levels := strings.Split(deep+"none", ".")
		for bit := range 14 {
			if i>>bit&1 != 0 {
				levels[bit] = anyLevel
			}
		}
		patterns = append(patterns, strings.Join(levels, "."))
	}
	for i := 0; len(patterns) > 0; i++ {
		h.connect(fmt.Sprint("star", i), fmt.Sprint("stars", i), From{}, patterns[:128]...)
		patterns = patterns[128:]
	}
	h.s.Take(0, &Batch{})
	return h
}

// heavyTopic returns topics of which half differ in the first level, and half in the
// last.
func heavyTopic(i int) string {
	if i%2 == 0 {
		return fmt.Sprint("w", i, ".", deep[2:], "x")
	}
	return fmt.Sprint(deep, "t", i)
}

func (h *heavy) publish(ev Event) {
	ev.Time = h.now
	if _, err := h.s.Publish(ev); err != nil {
		h.t.Fatal(err)
	}
}

func (h *heavy) connect(id, user string, from From, topics ...string) *Conn {
	conn := &Conn{Owner: id, Notes: true}
	h.s.Connect(Registration{ID: testID(id), User: user, Topics: topics}, conn, from)
	if conn.client == nil {
		h.t.Fatalf("%s was refused", id)
	}
	return conn
}

// patterns returns as many patterns as one client may have, none of which matches
// and none of which shows that before the last level.
func manyPatterns(of string) (patterns []string) {
	for i := range heavySubs {
		patterns = append(patterns, fmt.Sprint("*.", deep[2:], of, i))
	}
	return patterns
}

// step does a step and holds its work to the bound.
func (h *heavy) step(name string, do func()) {
	h.t.Helper()
	before, outer := h.s.work, h.inner
	h.inner = 0
	do()
	h.s.Settle()
	work := h.s.work - before - h.inner
	h.inner += outer + work
	h.most = max(h.most, work)
	if work > stepWork+pieceWork {
		h.t.Errorf("%s: a step of %d comparisons, want at most %d", name, work, stepWork+pieceWork)
	}
}

// heavySteps is how many steps are taken of what takes long. Those that follow are
// like them.
const heavySteps = 25

// run does a step and those that follow from it, and then removes who came for it.
func (h *heavy) run(name string, do func()) {
	h.t.Helper()
	h.most = 0
	h.step(name, do)
	steps := 1
	for ; h.s.Busy() && steps < heavySteps; steps++ {
		h.step(name, h.s.Work)
		h.s.Take(0, &Batch{})
	}
	h.t.Logf("%-40s %5d steps, the longest of %6d", name, steps, h.most)
	for _, id := range h.guests {
		h.step(name+", the end", func() { h.s.Unregister(id) })
	}
	h.guests = nil
}

// guest connects a client that is removed after its case.
func (h *heavy) guest(from From, topics ...string) *Conn {
	id := fmt.Sprint("guest", len(h.guests))
	h.guests = append(h.guests, testID(id))
	return h.connect(id, "guests", from, topics...)
}

// after returns where a reader begins after a position.
func (h *heavy) after(p Position) From {
	after := h.s.cursor(p)
	return From{After: &after}
}

// tails returns patterns for all that is below manyPatterns.
func tails() (patterns []string) {
	for i := range heavySubs {
		patterns = append(patterns, fmt.Sprint(strings.Repeat("*.", MaxTopicLevels-2), "no", i, ".>"))
	}
	return patterns
}

// No command costs a step more than the bound, whatever is asked for of however
// large a state. Only comparisons are counted, so that this does not depend on
// the machine.
func TestWork(t *testing.T) {
	t.Parallel()
	h := newHeavy(t)
	s := h.s
	for _, c := range []struct {
		name string
		do   func()
	}{
		{"subscribe to too many", func() {
			names := make([]string, 10_800)
			for i := range names {
				names[i] = fmt.Sprint("n", i)
			}
			before := s.work
			if err := s.Subscribe(h.conns[0], Subscribe{Topics: names}); err != ErrTooManyTopics {
				t.Error(err)
			}
			if err := s.Unsubscribe(h.conns[0], names, nil); err != ErrTooManyTopics {
				t.Error(err)
			}
			s.SetTopics(h.conns[0], names)
			_, _ = s.Register(Registration{ID: testID("too many"), Topics: names})
			if n := s.work - before; n > 0 {
				t.Errorf("%d comparisons for nothing", n)
			}
		}},
		{"reconnect", func() { h.guest(h.after(1), manyPatterns("no")...) }},
		{"reconnect, patterns that end in >", func() { h.guest(h.after(1), tails()...) }},
		{"reconnect of a crowd", func() {
			for i := range 1000 {
				p := fmt.Sprint(deep[2:], "dev", i, ".*")
				before := s.work
				s.gaps([]subscription{{subject: &subject{name: p, pattern: true}}}, "devices", &reading{pos: 1})
				if n := s.work - before; n > 100 {
					t.Fatalf("%d comparisons for %s", n, p)
				}
			}
		}},
		{"the newest, and an operation at once", func() {
			conn := h.guest(From{Last: MaxLast}, manyPatterns("no")...)
			h.step("an operation", func() {
				if !s.Defer(conn, func() { s.Say(conn, &Frame{}) }) {
					t.Error("it does not wait for the beginning")
				}
			})
		}},
		{"the newest of exact topics", func() {
			var topics []string
			for i := range heavySubs {
				topics = append(topics, heavyTopic(i))
			}
			h.guest(From{Last: MaxLast}, topics...)
		}},
		{"a connection that confirmed nothing", func() {
			conn := h.guest(From{}, manyPatterns("no")...)
			conn.start = 0
			s.Released(Release{Conn: conn, UpTo: s.log.head, Last: s.log.head, Unconfirmed: 1})
		}},
		{"an event that all get", func() { h.publish(Event{Topic: "all"}) }},
		{"an event for one of many clients", func() { h.publish(Event{Topic: deep + "none", User: "crowd"}) }},
		{"an event that many patterns almost match", func() {
			ev := Event{Topic: deep + "other", Time: h.now}
			for i := 0; !s.Prepare(&ev); i++ {
				if i == 10 {
					t.Fatal("no end")
				}
			}
			h.publish(ev)
		}},
		{"replays, and the end of their topics", func() {
			conn := h.guest(h.after(1), manyPatterns("yes")...)
			for range heavySubs {
				h.step("a replay", func() {
					if err := s.Subscribe(conn, Subscribe{Topics: manyPatterns("yes"), From: h.after(1)}); err != nil {
						t.Fatal(err)
					}
				})
			}
			h.step("unsubscribe", func() { _ = s.Unsubscribe(conn, manyPatterns("yes"), nil) })
		}},
		{"a user's clients, watched", func() {
			h.guest(From{}, PresenceTopic+">")
			for i := range heavyUser {
				h.step("leave", func() { s.SetTopics(h.conns[i], nil) })
				h.step("join", func() { s.SetTopics(h.conns[i], []string{"all", "some"}) })
			}
		}},
		{"an event by its id", func() { s.FindEvent("none", 0) }},
		{"a topic", func() { s.Topic(deep + "users"); s.Patterns(SearchTopic(deep + "none")) }},
		{"topics", func() { s.Topics(0, 1000, strings.Repeat("*.", 15)+"none") }},
		{"presence", func() { s.Present(SearchTopic("all"), map[string]int{}) }},
		{"clients", func() { s.Clients(ClientsQuery{Limit: 1000, Topic: "none"}) }},
		{"a client by its handle", func() { s.Find(Handle{}, 0) }},
		{"history", func() { _, _ = history(s, "all", From{Last: MaxLast}) }},
		{"figures", func() { s.Stats() }},
		{"limits", func() { s.SetLimits(s.opts.Limits) }},
		{"grants are replaced", func() { s.Regrant(func(g *Grant) *Grant { return g }, 0) }},
		{"a user is removed", func() { s.UnregisterUser("crowd") }},
		{"a publication with keys", func() { h.publication(1000) }},
		{"polls of one topic", func() {
			var polls []*Poll
			for range heavyClients {
				poll, err := s.Await("polled", "")
				if err != nil {
					t.Fatal(err)
				}
				polls = append(polls, poll)
			}
			h.step("one that gives up", func() { s.EndPoll(polls[0]) })
			h.step("an event", func() { h.publish(Event{Topic: "polled"}) })
			told := 1
			for more := true; more; {
				h.step("they are told", func() {
					var woken []*Poll
					woken, more = s.Woken()
					told += len(woken)
				})
			}
			if told != heavyClients {
				t.Errorf("%d polls were told", told)
			}
		}},
		{"takeovers", func() {
			if _, err := s.Register(Registration{ID: testID("many"), User: "many", Topics: manyPatterns("no")}); err != nil {
				t.Fatal(err)
			}
			h.guests = append(h.guests, testID("many"))
			for range maxTakeovers + 2 {
				h.step("a takeover", func() { _ = s.Admit(testID("many")); s.Attach(testID("many"), &Conn{Notes: true}, h.after(1)) })
			}
			h.step("one topic", func() { _, _ = s.AddTopic(testID("many"), "one"), s.RemoveTopic(testID("many"), "one") })
			h.step("explained", func() {
				s.Explain(testID("many"), deep+"none")
				s.ExplainEvent(testID("many"), s.log.head)
				_, _ = s.Client(testID("many"))
			})
		}},
		{"a slow connection, the newest of all topics", func() { h.slow(SlowLatest) }},
		{"a slow connection that drops", func() { h.slow(SlowDropOldest) }},
		{"another grant", func() {
			conn := &Conn{Owner: "granted", Notes: true}
			grant := &Grant{Subscribe: append(manyPatterns("x")[:60:60], ">"), Expires: h.now.Add(time.Hour)}
			s.Connect(Registration{ID: testID("granted"), User: "u", Topics: manyPatterns("no"), Grant: grant}, conn, From{})
			h.guests = append(h.guests, testID("granted"))
			h.step("renewed", func() {
				if err := s.Renew(conn, "u", grant, nil); err != nil {
					t.Error(err)
				}
			})
		}},
		{"a new connection", func() { _ = s.AdmitNew("crowd", 1); s.Announce() }},
		{"all events run out", func() { s.opts.HistoryAge = time.Hour; h.now = h.now.Add(2 * time.Hour); s.Tick(h.now) }},
		{"shutdown", func() { s.Drain() }},
	} {
		h.run(c.name, c.do)
	}
}

// publication publishes many events together, each with a key.
func (h *heavy) publication(n int) {
	p := Publication{Events: make([]Event, n), Keys: make([]Key, n)}
	for i := range n {
		p.Events[i] = Event{ID: "id", Topic: deep + "none", Time: h.now}
		p.Keys[i].Name[0], p.Keys[i].Name[1], p.Keys[i].Name[2] = 1, byte(i), byte(i>>8)
	}
	h.s.opts.DedupeBytes = 1 << 30
	var taking *Taking
	h.step("begin", func() {
		var err error
		if taking, err = h.s.Begin(p); err != nil {
			h.t.Fatal(err)
		}
	})
	for range heavySteps {
		h.step("an event of many", func() { h.s.Continue(taking) })
		h.s.Take(0, &Batch{})
	}
}

// slow has a connection lag, of which all topics have changed since.
func (h *heavy) slow(policy SlowPolicy) {
	conn := &Conn{Owner: "slow", Notes: true, Slow: policy}
	h.s.Connect(Registration{ID: testID("slow"), Topics: []string{">"}}, conn, From{})
	h.guests = append(h.guests, testID("slow"))
	h.step("lag", func() { h.s.Lag(conn) })
	conn.client.pos = 1
	for range heavySteps {
		h.step("drained", func() { h.s.Drained(conn) })
		h.step("read", h.s.Work)
	}
}

// Every command of a state has a place in this file.
func TestWorkKnowsAllCommands(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "work_test.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	called := make(map[string]bool)
	ast.Inspect(file, func(n ast.Node) bool {
		if sel, is := n.(*ast.SelectorExpr); is {
			called[sel.Sel.Name] = true
		}
		return true
	})
	for state, i := reflect.TypeFor[*State](), 0; i < state.NumMethod(); i++ {
		switch name := state.Method(i).Name; name {
		case "Waits", "Behind": // they look at the couriers only
		default:
			if !called[name] {
				t.Errorf("%s is not among what is measured", name)
			}
		}
	}
}

// However often clients subscribe to patterns and leave them while an event waits for
// its turn, what was found out about it does not grow. It gets to who is there.
func TestPatternsThatComeAndGoWhileAnEventWaits(t *testing.T) {
	t.Parallel()
	s := NewState(testOptions())
	s.Tick(epoch)
	conns := [2]*Conn{{Owner: "restless"}, {Owner: "late"}}
	for _, conn := range conns {
		s.Connect(Registration{ID: testID(conn.Owner.(string)), Topics: []string{"other.*"}}, conn, From{})
	}
	ev := Event{Topic: "a.b.c", Time: epoch}
	s.Prepare(&ev)
	for i := range 10_000 {
		s.SetTopics(conns[0], []string{[]string{"a.*.c", "a.b.*", "a.>"}[i%3]})
	}
	s.SetTopics(conns[1], []string{"*.*.c"})
	if n := len(s.ahead.found); n > 10 {
		t.Errorf("%d patterns are held", n)
	}
	if r, err := s.Publish(ev); err != nil || r.Queued != 2 {
		t.Errorf("%+v, %v", r, err)
	}
	s.Prepare(&ev)
	s.Drain()
	if _, err := s.Publish(ev); err != ErrDraining || s.ahead.topic != "" {
		t.Errorf("%v, and %q is still looked for", err, s.ahead.topic)
	}
}

// A crowd of registrations runs out without a long step.
func TestWorkOfExpiry(t *testing.T) {
	t.Parallel()
	opts := testOptions()
	opts.MaxClients = heavyClients
	s := NewState(opts)
	s.Tick(epoch)
	for i := range heavyClients {
		if _, err := s.Register(Registration{ID: ID{byte(i), byte(i >> 8)}, Topics: []string{"a.b", "a.*", "b"}}); err != nil {
			t.Fatal(err)
		}
	}
	steps := 0
	for do := func() { s.Tick(epoch.Add(time.Hour)) }; ; do = s.Work {
		before := s.work
		do()
		if n := s.work - before; n > stepWork+pieceWork {
			t.Fatalf("a step of %d comparisons", n)
		}
		if steps++; !s.Busy() {
			break
		}
	}
	if steps < 5 || len(s.clients) > 0 {
		t.Errorf("%d clients are left after %d steps", len(s.clients), steps)
	}
	checkEmpty(t, s)
}
