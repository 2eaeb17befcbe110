package hub

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// covering is who grants what: grant, request and whether it is covered.
var covering = []struct {
	grant, request string
	covers         bool
}{
	{"a", "a", true},
	{"a", "b", false},
	{"a", "a.b", false},
	{"a.b", "a", false},
	{"*", "a", true},
	{"*", "*", true},
	{"*", ">", false},
	{"*", "a.b", false},
	{"a", "*", false},
	{">", "a", true},
	{">", "a.b.c", true},
	{">", "*", true},
	{">", ">", true},
	{">", "a.*.>", true},
	{"a.>", "a", false},
	{"a.>", "a.b", true},
	{"a.>", "a.>", true},
	{"a.>", "a.*", true},
	{"a.>", "*.b", false},
	{"a.*", "a.>", false},
	{"a.*", "a.*", true},
	{"a.*", "a.*.*", false},
	{"*.b", "a.b", true},
	{"*.b", "*.b", true},
	{"*.b", "a.*", false},
	{"*.>", "a.b", true},
	{"*.>", ">", false},
	{"*.>", "a", false},
	{"*.>", "*.>", true},
	{"orders.*", "orders.>", false},
	{">", "$s", false},
	{">", "$s.>", false},
	{"*", "$s", false},
	{"*.x", "$s.x", false},
	{"$s.>", "$s.*", true},
	{"$s.>", "$t.x", false},
	{"$s", "$s", true},
	{"$s.>", ">", false},
}

func TestCovers(t *testing.T) {
	t.Parallel()
	for _, c := range covering {
		if got := Covers(c.grant, c.request); got != c.covers {
			t.Errorf("Covers(%q, %q) = %v", c.grant, c.request, got)
		}
	}
}

// What a grant covers, no topic gets around: whatever matches a request that is
// covered matches the grant. And a grant is no narrower than it must be: of a
// request that is not covered some topic is outside of it.
func FuzzCovers(f *testing.F) {
	for _, c := range covering {
		f.Add(c.grant, c.request, "a.b.c")
	}
	f.Fuzz(func(t *testing.T, grant, request, topic string) {
		if !wellFormed(grant, true) || !wellFormed(request, true) {
			return
		}
		if !Covers(grant, request) {
			if out := outside(grant, request); out == "" || !Match(request, out) || Match(grant, out) {
				t.Fatalf("%q does not cover %q, and no topic shows why: %q", grant, request, out)
			}
			return
		}
		if wellFormed(topic, false) && Match(request, topic) && !Match(grant, topic) {
			t.Fatalf("%q covers %q, but not the topic %q", grant, request, topic)
		}
	})
}

// outside returns a topic that a request matches and a grant does not, "" if
// none is found: wildcards become levels that the grant has nowhere.
func outside(grant, request string) string {
	levels := strings.Split(request, ".")
	fresh := func(n int) string { return strings.Repeat("_", n) + "0" }
	for n := range 300 {
		if !strings.Contains("."+grant+".", "."+fresh(n)+".") {
			for i, level := range levels {
				if level == anyLevel || level == anyTail {
					levels[i] = fresh(n)
				}
			}
			break
		}
	}
	for _, more := range []string{"", ".x"} {
		topic := strings.Join(levels, ".")
		if strings.HasSuffix(request, anyTail) {
			topic += more
		}
		if !Match(grant, topic) {
			return topic
		}
	}
	return ""
}

// A grantee is a client with a connection that can be told notes.
type grantee struct {
	s    *State
	conn *Conn
	now  time.Time
}

func newGrantee(t *testing.T, g *Grant, topics ...string) *grantee {
	t.Helper()
	c := &grantee{NewState(testOptions()), &Conn{Owner: "c", Notes: true}, epoch}
	c.s.Tick(c.now)
	c.s.Connect(Registration{ID: testID("c"), User: "u", Topics: topics, Grant: g}, c.conn, From{})
	return c
}

// told returns what the connection was told since it was last asked.
func (c *grantee) told() (words []string) {
	b := c.s.Take(0, &Batch{})
	if b == nil {
		return nil
	}
	for i := range b.Ops {
		switch op := &b.Ops[i]; n := op.Note.(type) {
		case Welcome:
			words = append(words, "welcome")
		case Ack:
			words = append(words, "ack")
		case Expiring:
			words = append(words, "expiring in "+n.At.Sub(c.now).String())
		default:
			if op.Kind == OpClose {
				words = append(words, "closed: "+op.Reason.String())
			}
		}
	}
	return words
}

func (c *grantee) pass(d time.Duration) {
	c.now = c.now.Add(d)
	c.s.Tick(c.now)
}

func (c *grantee) want(t *testing.T, words ...string) {
	t.Helper()
	if got := c.told(); !slices.Equal(got, words) {
		t.Errorf("told %q, want %q", got, words)
	}
}

func TestGrantLimitsTopics(t *testing.T) {
	t.Parallel()
	g := &Grant{Subscribe: []string{"a.>", "b"}}
	c := newGrantee(t, g, "a.x")
	c.want(t, "welcome")
	for pattern, granted := range map[string]bool{"a.*": true, "b": true, "a.x.y": true, "a": false, "b.c": false, ">": false, "*.x": false} {
		if err := c.s.Subscribe(c.conn, Subscribe{Topics: []string{pattern}}); (err == nil) != granted || !granted && err != ErrForbidden {
			t.Errorf("subscribe %s: %v", pattern, err)
		}
		if err := c.s.AddTopic(testID("c"), pattern); (err == nil) != granted || !granted && err != ErrForbidden {
			t.Errorf("add %s: %v", pattern, err)
		}
		before := c.s.topicsOf(c.s.clients[testID("c")])
		if done := c.s.SetTopics(c.conn, append(before, pattern)); done != granted {
			t.Errorf("set %s: %v", pattern, done)
		}
		if after := c.s.topicsOf(c.s.clients[testID("c")]); !granted && !slices.Equal(before, after) {
			t.Errorf("set %s: %q became %q", pattern, before, after)
		}
	}
	if _, err := c.s.Register(Registration{ID: testID("d"), User: "u", Topics: []string{"b", "c"}, Grant: g}); err != ErrForbidden {
		t.Errorf("registered: %v", err)
	}
	c.told()
	refused := &Conn{Owner: "e", Notes: true}
	c.s.Connect(Registration{ID: testID("e"), Topics: []string{"c"}, Grant: g}, refused, From{})
	c.want(t, "closed: forbidden")
	if len(c.s.clients) != 1 {
		t.Errorf("%d clients", len(c.s.clients))
	}
}

func TestGrantExpires(t *testing.T) {
	t.Parallel()
	until := func(d time.Duration) *Grant { return &Grant{Subscribe: []string{">"}, Expires: epoch.Add(d)} }

	c := newGrantee(t, until(2*time.Minute), "a")
	c.want(t, "welcome")
	c.pass(59 * time.Second)
	c.want(t)
	c.pass(time.Second)
	c.want(t, "expiring in 1m0s")
	c.pass(59 * time.Second)
	c.want(t)
	c.pass(time.Second)
	c.want(t, "closed: token_expired")
	checkEmpty(t, c.s)

	// One that ends soon is told at once.
	c = newGrantee(t, until(10*time.Second), "a")
	c.pass(0)
	c.want(t, "welcome", "expiring in 10s")
	c.pass(10 * time.Second)
	c.want(t, "closed: token_expired")

	// One that has ended before it is connected is not kept.
	c = newGrantee(t, until(-time.Second), "a")
	c.pass(0)
	c.want(t, "welcome", "closed: token_expired")
	checkEmpty(t, c.s)
}

func TestRenew(t *testing.T) {
	t.Parallel()
	c := newGrantee(t, &Grant{Subscribe: []string{">"}, Expires: epoch.Add(time.Minute)}, "a", "b")
	c.pass(0)
	c.want(t, "welcome", "expiring in 1m0s")
	renewed := &Grant{Subscribe: []string{"b"}, Expires: epoch.Add(3 * time.Minute)}
	if err := c.s.Renew(c.conn, "another", renewed, nil); err != ErrForbidden {
		t.Errorf("another user's: %v", err)
	}
	if err := c.s.Renew(&Conn{}, "u", renewed, nil); err != ErrUnknownClient {
		t.Errorf("another connection's: %v", err)
	}
	if err := c.s.Renew(c.conn, "u", renewed, nil); err != nil {
		t.Fatal(err)
	}
	if got := c.s.topicsOf(c.s.clients[testID("c")]); !slices.Equal(got, []string{"b"}) {
		t.Errorf("subscribed to %q", got)
	}
	c.want(t, "ack")
	c.pass(119 * time.Second)
	c.want(t)
	c.pass(time.Second)
	c.want(t, "expiring in 1m0s")
	c.pass(time.Minute)
	c.want(t, "closed: token_expired")

	// What was granted for ever is not to be made less.
	c = newGrantee(t, &Grant{Subscribe: []string{">"}}, "a")
	if err := c.s.Renew(c.conn, "u", renewed, nil); err != ErrForbidden {
		t.Errorf("of one without an end: %v", err)
	}
}

// Leases come and go in whatever order; the heap knows where each is.
func TestLeases(t *testing.T) {
	t.Parallel()
	s := NewState(testOptions())
	s.Tick(epoch)
	for i := range 50 {
		end := epoch.Add(time.Duration(i*37%50+1) * time.Minute)
		s.Connect(Registration{ID: ID{byte(i + 1)}, User: "u", Grant: &Grant{Expires: end}}, &Conn{Notes: true}, From{})
	}
	for i := range 10 {
		s.Unregister(ID{byte(i*5 + 1)})
	}
	for minute := range 52 {
		s.Tick(epoch.Add(time.Duration(minute) * time.Minute))
		for _, c := range s.clients {
			if left := c.grant.Expires.Sub(s.now); left <= 0 || c.lease.noticed != (left <= expiryNotice) || s.leases[c.lease.index] != c.lease {
				t.Fatalf("minute %d: a client has %v left, noticed: %v", minute, left, c.lease.noticed)
			}
		}
	}
	checkEmpty(t, s)
}

func TestUnregisterUser(t *testing.T) {
	t.Parallel()
	s := NewState(testOptions())
	s.Tick(epoch)
	for i, user := range []string{"u", "v", "u", "u"} {
		if _, err := s.Register(Registration{ID: ID{byte(i)}, User: user}); err != nil {
			t.Fatal(err)
		}
	}
	s.Attach(ID{2}, &Conn{}, From{})
	if n, more := s.UnregisterUser("u"); n != 3 || more || len(s.clients) != 1 || s.stats.Disconnects[Unregistered] != 1 {
		t.Errorf("%d removed, %d left, %d disconnected", n, len(s.clients), s.stats.Disconnects[Unregistered])
	}
	if n, _ := s.UnregisterUser("nobody"); n != 0 {
		t.Errorf("%d of nobody's removed", n)
	}
}
