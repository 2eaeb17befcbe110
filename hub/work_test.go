package hub

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"testing"
)

// heavyCases are what clients, publishers and operators may ask for, at its worst, in
// the order in which the world can bear it. What each does is in work_cases_test.go.
var heavyCases = []struct {
	name string
	do   func(*heavy)
}{
	{"subscribe to too many", (*heavy).subscribeToTooMany},
	{"subscribe under a large grant", (*heavy).subscribeUnderGrant},
	{"reconnect", func(h *heavy) { h.guest(h.after(1), manyPatterns("no")...) }},
	{"reconnect, patterns that end in >", func(h *heavy) { h.guest(h.after(1), tails()...) }},
	{"reconnect of a crowd", (*heavy).reconnectCrowd},
	{"the newest, and an operation at once", (*heavy).newestAndOperation},
	{"the newest of exact topics", (*heavy).newestOfExact},
	{"a connection that confirmed nothing", (*heavy).confirmedNothing},
	{"takeovers", (*heavy).takeovers},
	{"replays, and the end of their topics", (*heavy).replays},
	{"a slow connection, the newest of all topics", func(h *heavy) { h.slow(SlowLatest) }},
	{"a slow connection, the newest of its topics", (*heavy).slowOfExact},
	{"a slow connection that drops", func(h *heavy) { h.slow(SlowDropOldest) }},

	{"an event that all get", func(h *heavy) { h.publish(Event{Topic: "all"}) }},
	{"an event that all patterns match", (*heavy).allPatterns},
	{"an event that many patterns almost match", (*heavy).almostAllPatterns},
	{"an event for one of many clients", func(h *heavy) { h.publish(Event{Topic: deep + "none", User: "crowd"}) }},
	{"an event for a user of many subscriptions", (*heavy).crowdedUser},
	{"a publication with keys", (*heavy).publication},
	{"polls of one topic", (*heavy).polls},
	{"a user's clients, watched", (*heavy).watched},

	{"an event by its id", func(h *heavy) { h.s.FindEvent("none", 0) }},
	{"a topic", func(h *heavy) { h.s.Topic(deep + "users"); h.s.Patterns(SearchTopic(deep + "none")) }},
	{"topics", (*heavy).topics},
	{"presence", (*heavy).presence},
	{"clients", (*heavy).clients},
	{"a client by its handle", (*heavy).handle},
	{"history", func(h *heavy) { _, _ = history(h.s, "all", From{Last: MaxLast}) }},
	{"figures", func(h *heavy) { h.s.Stats() }},
	{"a new connection", func(h *heavy) { _ = h.s.AdmitNew("crowd", 1); h.s.Announce() }},

	{"limits", func(h *heavy) { h.s.SetLimits(h.s.opts.Limits) }},
	{"another grant", (*heavy).renew},
	{"grants are replaced", (*heavy).regrant},
	{"a user is removed", (*heavy).unregisterUser},
	{"all events run out", (*heavy).runOut},
	{"shutdown", func(h *heavy) { h.all("shutdown", h.s.Drain) }},
}

// No command costs a step more than the bound, whatever is asked for of however
// large a state. Only comparisons are counted, so that this does not depend on
// the machine.
func TestWork(t *testing.T) {
	t.Parallel()
	h := newHeavy(t)
	for _, c := range heavyCases {
		h.run(c.name, c.do)
	}
}

// Every command of a state has a place in these files.
func TestWorkKnowsAllCommands(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("work_*test.go")
	if err != nil {
		t.Fatal(err)
	}
	called := make(map[string]bool)
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if sel, is := n.(*ast.SelectorExpr); is {
				called[sel.Sel.Name] = true
			}
			return true
		})
	}
	for state, i := reflect.TypeFor[*State](), 0; i < state.NumMethod(); i++ {
		switch name := state.Method(i).Name; name {
		case "Restore": // nobody waits for the hub yet
		case "Waits", "Congested", "Over": // they only look at the couriers, and at what is counted
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
