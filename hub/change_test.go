package hub

import (
	"testing"
	"time"
)

// changing is changes of one grant, to another or nil.
func changing(from, to *Grant) Changes {
	return func(g *Grant) *Grant {
		if g == from {
			return to
		}
		return g
	}
}

// all looks at all clients again.
func (c *grantee) all(changes Changes) (ended int) {
	for after, more := uint64(0), true; more; {
		var part int
		part, after, more = c.s.Regrant(changes, after)
		ended += part
	}
	return ended
}

// Registrations are looked at like connections without one: whether what they were
// granted can be taken back its holder says.
func TestRegrant(t *testing.T) {
	t.Parallel()
	held := func(topics ...string) *Grant { return &Grant{Subscribe: topics, Holder: "h"} }
	wide, narrow, other, good := held(">"), held("a"), held(">"), &Grant{Subscribe: []string{">"}}
	for name, c := range map[string]struct {
		topics  []string
		changes Changes
		told    []string
	}{
		"unchanged":      {[]string{"a", "b"}, changing(other, nil), nil},
		"taken back":     {[]string{"a"}, changing(wide, nil), []string{"closed: revoked"}},
		"narrower, fits": {[]string{"a"}, changing(wide, narrow), nil},
		"narrower":       {[]string{"a", "b"}, changing(wide, narrow), []string{"closed: revoked"}},
		"as wide":        {[]string{"a", "b"}, changing(wide, other), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGrantee(t, wide, c.topics...)
			ended := len(c.told) > 0
			for id, grant := range map[string]*Grant{"for good": good, "held": wide} {
				if _, err := g.s.Register(Registration{ID: testID(id), User: "u", Topics: c.topics, Grant: grant}); err != nil {
					t.Fatal(err)
				}
			}
			g.want(t, "welcome")
			if n := g.all(c.changes); (n == 2) != ended || (n == 0) == ended {
				t.Errorf("%d have ended", n)
			}
			g.want(t, c.told...)
			if g.s.clients[testID("for good")] == nil {
				t.Error("a client that was registered for good was forgotten")
			}
			for _, id := range []string{"c", "held"} {
				if gone := g.s.clients[testID(id)] == nil; gone != ended {
					t.Errorf("%s forgotten: %v", id, gone)
				}
			}
			late := &Conn{Owner: "late", Notes: true} // it was let in before the change, and comes after it
			g.s.Connect(Registration{ID: testID("l"), Topics: c.topics, Grant: wide}, late, From{})
			switch {
			case !ended:
				g.want(t, "welcome")
			case name == "narrower":
				g.want(t, "closed: forbidden")
			default:
				g.want(t, c.told...)
			}
			if _, err := g.s.Register(Registration{ID: testID("m"), Topics: c.topics, Grant: wide}); (err == ErrForbidden) != ended {
				t.Errorf("registered after the change: %v", err)
			}
		})
	}
}

// A crowd is looked at in parts, and those that come meanwhile are not passed over.
func TestRegrantInParts(t *testing.T) {
	t.Parallel()
	wide, s := &Grant{Subscribe: []string{">"}, Holder: "h"}, NewState(testOptions())
	s.opts.MaxClients = 4 * regrantRows
	s.Tick(epoch)
	register := func(n int) {
		if _, err := s.Register(Registration{ID: ID{byte(n >> 8), byte(n)}, Topics: []string{"a"}, Grant: wide}); err != nil {
			t.Fatal(n, err)
		}
	}
	for n := range 2*regrantRows + 10 {
		register(n)
	}
	parts, ended := 0, 0
	for after, more := uint64(0), true; more; parts++ {
		var n int
		n, after, more = s.Regrant(changing(wide, nil), after)
		if ended += n; n > regrantRows {
			t.Errorf("a step has ended %d", n)
		}
	}
	if parts != 3 || ended != 2*regrantRows+10 || len(s.clients) > 0 {
		t.Errorf("%d parts, %d ended, %d left", parts, ended, len(s.clients))
	}
}

// A connection goes by its new grant from the moment that this is its own.
func TestRegrantCounts(t *testing.T) {
	t.Parallel()
	wide, narrow := &Grant{Subscribe: []string{">"}, Holder: "h"}, &Grant{Subscribe: []string{"a"}}
	g := newGrantee(t, wide, "a")
	g.all(changing(wide, narrow))
	if err := g.s.Subscribe(g.conn, Subscribe{Topics: []string{"b"}}); err != ErrForbidden {
		t.Errorf("subscribed to more than is granted: %v", err)
	}
}

// A renewal that was judged before a change comes after it: it does not get past that.
func TestRegrantCountsForRenewals(t *testing.T) {
	t.Parallel()
	until := func(d time.Duration) *Grant {
		return &Grant{Subscribe: []string{"a"}, Expires: epoch.Add(d), Holder: "h"}
	}
	first, renewed, shorter := until(time.Minute), until(time.Hour), until(2*time.Minute)
	g := newGrantee(t, first, "a")
	g.pass(0)
	g.want(t, "welcome", "expiring in 1m0s")
	g.all(changing(renewed, nil))
	if err := g.s.Renew(g.conn, "u", renewed, nil); err != ErrForbidden {
		t.Errorf("renewed with what was taken back: %v", err)
	}
	g.all(changing(first, shorter))
	g.pass(90 * time.Second)
	g.want(t, "expiring in 30s")
	g.pass(30 * time.Second)
	g.want(t, "closed: token_expired")
}

// Who is over a new limit keeps what it has and gets no more.
func TestSetLimits(t *testing.T) {
	t.Parallel()
	g := newGrantee(t, nil, "a", "b")
	limits := testOptions().Limits
	limits.MaxSubscriptions, limits.MaxUserClients = 1, 1
	g.s.SetLimits(limits)
	g.want(t, "welcome")
	if err := g.s.Subscribe(g.conn, Subscribe{Topics: []string{"c"}}); err != ErrTooManyTopics {
		t.Errorf("one more topic: %v", err)
	}
	if _, err := g.s.Register(Registration{ID: testID("d"), User: "u"}); err != ErrTooManyUserClients {
		t.Errorf("one more client: %v", err)
	}
	if _, err := g.s.Register(Registration{ID: testID("d"), User: "v"}); err != nil {
		t.Errorf("another user: %v", err)
	}
	if g.s.Unregister(testID("c")); g.s.crowded("u") {
		t.Error("a client that is gone counts")
	}
	limits.MaxConnections = 0
	g.s.SetLimits(limits)
	if err := g.s.AdmitNew("", 0); err != ErrTooManyConnections {
		t.Errorf("one more connection: %v", err)
	}
}
