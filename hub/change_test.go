package hub

import "testing"

func TestRegrant(t *testing.T) {
	t.Parallel()
	wide, narrow, other := &Grant{Subscribe: []string{">"}}, &Grant{Subscribe: []string{"a"}}, &Grant{Subscribe: []string{">"}}
	for name, c := range map[string]struct {
		topics  []string
		changes Changes
		told    []string
	}{
		"unchanged":      {[]string{"a", "b"}, Changes{other: nil}, nil},
		"taken back":     {[]string{"a"}, Changes{wide: nil}, []string{"closed: revoked"}},
		"narrower, fits": {[]string{"a"}, Changes{wide: narrow}, nil},
		"narrower":       {[]string{"a", "b"}, Changes{wide: narrow}, []string{"closed: revoked"}},
		"as wide":        {[]string{"a", "b"}, Changes{wide: other}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGrantee(t, wide, c.topics...)
			if _, err := g.s.Register(Registration{ID: testID("r"), User: "u", Topics: []string{"a", "b"}, Grant: wide}); err != nil {
				t.Fatal(err)
			}
			g.want(t, "welcome")
			g.s.Regrant(c.changes)
			g.want(t, c.told...)
			if g.s.clients[testID("r")] == nil {
				t.Error("a registered client was forgotten")
			}
			if gone := g.s.clients[testID("c")] == nil; gone != (len(c.told) > 0) {
				t.Errorf("forgotten: %v", gone)
			}
			late := &Conn{Owner: "late", Notes: true} // it was let in before the change, and comes behind it
			g.s.Connect(Registration{ID: testID("l"), Topics: c.topics, Grant: wide}, late, From{})
			switch {
			case len(c.told) == 0:
				g.want(t, "welcome")
			case name == "narrower":
				g.want(t, "closed: forbidden")
			default:
				g.want(t, c.told...)
			}
		})
	}
}

// A connection goes by its new grant from the moment that this is its own.
func TestRegrantCounts(t *testing.T) {
	t.Parallel()
	wide, narrow := &Grant{Subscribe: []string{">"}}, &Grant{Subscribe: []string{"a"}}
	g := newGrantee(t, wide, "a")
	g.s.Regrant(Changes{wide: narrow})
	if err := g.s.Subscribe(g.conn, Subscribe{Topics: []string{"b"}}); err != ErrForbidden {
		t.Errorf("subscribed to more than is granted: %v", err)
	}
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
