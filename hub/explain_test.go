package hub

import (
	"testing"
	"time"
)

// A client and an event of the topic cats, in every relation that there is.
func TestExplain(t *testing.T) {
	t.Parallel()
	registered := func(topics ...string) func(*explained) {
		return func(x *explained) { x.register(Registration{User: "u", Topics: topics}) }
	}
	published := func(x *explained) { x.publish(Event{}) }
	for name, c := range map[string]struct {
		event   bool // it is asked for the event, else for the topic
		steps   []func(*explained)
		verdict string
	}{
		"no such client":         {false, nil, VerdictUnknownClient},
		"no such client, event":  {true, []func(*explained){published}, VerdictUnknownClient},
		"no client any more":     {false, []func(*explained){registered("cats"), (*explained).unregister}, VerdictUnknownClient},
		"no event":               {true, []func(*explained){registered("cats")}, VerdictUnknownEvent},
		"no event, with a grant": {true, []func(*explained){func(x *explained) { x.register(Registration{Grant: &Grant{Subscribe: []string{">"}}}) }}, VerdictUnknownEvent},
		"evicted":                {true, []func(*explained){registered("cats"), (*explained).connect, published, (*explained).age}, VerdictUnknownEvent},
		"another topic":          {false, []func(*explained){registered("dogs")}, VerdictNotSubscribed},
		"another topic, event":   {true, []func(*explained){registered("dogs"), published}, VerdictNotSubscribed},
		"not granted": {false, []func(*explained){func(x *explained) {
			x.register(Registration{Topics: []string{"dogs"}, Grant: &Grant{Subscribe: []string{"dogs"}}})
		}}, VerdictNotPermitted},
		"another user's":         {true, []func(*explained){registered("cats"), func(x *explained) { x.publish(Event{User: "v"}) }}, VerdictOtherUser},
		"its user's":             {true, []func(*explained){registered("cats"), (*explained).connect, func(x *explained) { x.publish(Event{User: "u"}) }}, VerdictQueued},
		"subscribed later":       {true, []func(*explained){registered("dogs"), (*explained).connect, published, (*explained).subscribe}, VerdictSubscribedLate},
		"never connected":        {false, []func(*explained){registered("cats")}, VerdictNeverConnected},
		"never connected, event": {true, []func(*explained){registered("cats"), published}, VerdictNeverConnected},
		"away":                   {false, []func(*explained){registered("cats"), (*explained).connect, (*explained).leave}, VerdictAway},
		"away, event":            {true, []func(*explained){registered("cats"), (*explained).connect, (*explained).leave, published}, VerdictAway},
		"ran out while away":     {true, []func(*explained){registered("cats"), (*explained).connect, (*explained).leave, func(x *explained) { x.publish(Event{Expires: x.now.Add(time.Second)}) }, (*explained).wait}, VerdictExpired},
		"ran out before it came": {true, []func(*explained){registered("cats"), (*explained).connect, func(x *explained) { x.publish(Event{Expires: x.now}) }}, VerdictExpired},
		"live":                   {false, []func(*explained){registered("cats"), (*explained).connect}, VerdictWouldGet},
		"by a pattern":           {false, []func(*explained){registered("*"), (*explained).connect}, VerdictWouldGet},
		"given to its courier":   {true, []func(*explained){registered("cats"), (*explained).connect, published}, VerdictQueued},
		"before its connection":  {true, []func(*explained){registered("cats"), published, (*explained).connect}, VerdictBeforeStart},
		"reading":                {false, []func(*explained){registered("cats"), (*explained).connect, (*explained).leave, (*explained).many, (*explained).connect}, VerdictReading},
		"reading, event":         {true, []func(*explained){registered("cats"), (*explained).connect, (*explained).leave, (*explained).many, published, (*explained).connect}, VerdictReading},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := &explained{t: t, s: NewState(testOptions()), now: epoch}
			x.s.Tick(x.now)
			for _, step := range c.steps {
				step(x)
			}
			var got Explanation
			if c.event {
				at, before := x.s.FindEvent("the event", 0)
				for before > 0 {
					at, before = x.s.FindEvent("the event", before)
				}
				got = x.s.ExplainEvent(testID("c"), at)
			} else {
				got = x.s.Explain(testID("c"), "cats")
			}
			if got.Verdict != c.verdict {
				t.Errorf("got %+v, want %s", got, c.verdict)
			}
		})
	}
}

// An explained world has one client and one event.
type explained struct {
	t    *testing.T
	s    *State
	now  time.Time
	conn *Conn
}

func (x *explained) ok(err error) {
	x.t.Helper()
	if err != nil {
		x.t.Fatal(err)
	}
}

func (x *explained) register(r Registration) {
	r.ID = testID("c")
	_, err := x.s.Register(r)
	x.ok(err)
}

func (x *explained) unregister() { x.s.Unregister(testID("c")) }

func (x *explained) connect() {
	x.conn = &Conn{Owner: "c"}
	x.s.Attach(testID("c"), x.conn, From{})
}

func (x *explained) leave() {
	x.s.ConnEnded(ConnReport{Conn: x.conn, UpTo: x.s.window.head, Last: x.s.window.head, Reason: Disconnected})
}

func (x *explained) subscribe() { x.ok(x.s.AddTopic(testID("c"), "cats")) }

func (x *explained) publish(ev Event) {
	ev.ID, ev.Topic, ev.Time, ev.Message = "the event", "cats", x.now, []byte("1")
	x.s.Publish(ev)
}

// many publishes more than is read at once.
func (x *explained) many() {
	for range 100 {
		x.s.Publish(Event{ID: "another", Topic: "cats", Time: x.now, Message: make([]byte, 2*chunkBytes/100)})
	}
}

func (x *explained) wait() { x.pass(2 * time.Second) }
func (x *explained) age()  { x.pass(testOptions().HistoryAge + time.Second) }

func (x *explained) pass(d time.Duration) {
	x.now = x.now.Add(d)
	x.s.Tick(x.now)
}
