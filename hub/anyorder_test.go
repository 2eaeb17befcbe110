package hub

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestAnyOrder gives a State commands in any order, with steps that are cut short
// anywhere, and couriers that report what they like, late, twice or out of order. A client's
// mode must always follow from the one before: else the hub ends, and this with it. What
// the state knows in two places must agree all the while, and in the end nothing is left.
//
// What clients are given is the business of [TestModel].
func TestAnyOrder(t *testing.T) {
	t.Parallel()
	for _, kind := range []struct {
		name string
		slow []SlowPolicy
	}{
		{"close", []SlowPolicy{SlowClose}},
		{"latest", []SlowPolicy{SlowLatest}},
		{"all", []SlowPolicy{SlowClose, SlowDropOldest, SlowLatest}},
	} {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				d := newDisorder(t, kind.slow)
				t.Repeat(map[string]func(*rapid.T){"": d.check, "step": d.step})
				d.end()
			})
		})
	}
}

// A disorder is a State and those who command it.
type disorder struct {
	t      *rapid.T
	s      *State
	now    time.Time
	slow   []SlowPolicy
	turns  bool // each step is a turn, as in the hub
	conns  []*Conn
	takes  []*Taking
	polls  []*Poll
	events int
	asked  int // requests
	done   int // of these, those that were done
	grants []*Grant
}

func newDisorder(t *rapid.T, slow []SlowPolicy) *disorder {
	opts := testOptions()
	opts.Couriers = 2
	opts.MaxClients, opts.MaxUserClients, opts.MaxConnections = 4, pick(t, 0, 2), pick(t, 4, 2)
	opts.MaxSubscriptions = 4
	opts.MaxLagBytes = pick(t, 1<<20, 20, 0)
	opts.RegisterTTL, opts.ResumeWindow = 20*time.Second, pick(t, 15*time.Second, 0)
	opts.HistoryEvents, opts.HistoryBytes = pick(t, 100, 3, 1, 0), pick(t, 1<<30, 2200)
	opts.HistoryAge = pick(t, time.Hour, 12*time.Second)
	opts.DedupeWindow, opts.DedupeBytes = 10*time.Second, 2000
	d := &disorder{t: t, s: NewState(opts), now: epoch, slow: slow, turns: pick(t, true, false)}
	d.s.step = pick[uint64](t, stepWork, 1, 30)
	for _, subs := range [][]string{{">"}, {"a.>", "b"}, {"a"}} {
		for _, ends := range []time.Duration{0, 5 * time.Second, 90 * time.Second} {
			g := &Grant{Subscribe: subs, Holder: len(d.grants) % 2}
			if ends > 0 {
				g.Expires = epoch.Add(ends)
			}
			d.grants = append(d.grants, g)
		}
	}
	d.s.Tick(d.now)
	return d
}

// check checks the state after each step.
func (d *disorder) check(t *rapid.T) {
	d.t = t
	checkInvariants(t, d.s)
}

func (d *disorder) step(t *rapid.T) {
	d.t = t
	actions := [...]func(){
		d.register, d.attach, d.attach, d.connectNew, d.publish, d.publish, d.publish, d.report, d.report, d.written,
		d.written, d.lag, d.subscribe, d.subscribe, d.unsubscribe, d.setTopics, d.changeTopic, d.say, d.renew, d.regrant,
		d.unregister, d.await, d.wake, d.history, d.tick, d.work, d.work, d.work, d.take, d.take, d.limits,
		d.begin, d.goOn, d.drain,
	}
	if d.turns && rapid.IntRange(0, 3).Draw(t, "same turn") > 0 {
		d.s.Turn()
	}
	actions[rapid.IntRange(0, len(actions)-1).Draw(t, "what")]()
	if rapid.IntRange(0, 9).Draw(t, "settle") > 0 {
		d.s.Settle()
	}
}

func (d *disorder) id() ID { return testID(pick(d.t, "a", "b")) }

func (d *disorder) names() []string {
	return rapid.SliceOfN(rapid.SampledFrom([]string{"a", "a.b", "b", ">", "a.*", "a.>", "$presence.a", "$presence.>"}), 0, 5).Draw(d.t, "topics")
}

func (d *disorder) grant() *Grant { return pick(d.t, append(d.grants, nil, nil)...) }

func (d *disorder) from() (from From) {
	epochs := []uint64{d.s.opts.Epoch, d.s.opts.Epoch, d.s.opts.Epoch + 1}
	switch rapid.IntRange(0, 5).Draw(d.t, "from") {
	case 0, 1:
		from.After = &Cursor{pick(d.t, epochs...), Position(rapid.IntRange(0, int(d.s.window.head)+2).Draw(d.t, "after"))}
	case 2, 3:
		from.Last = pick(d.t, 1, 2, MaxLast)
	}
	return from
}

// conn returns a connection: one that a client has, more often than not.
func (d *disorder) conn() *Conn {
	held := slices.DeleteFunc(slices.Clone(d.conns), func(c *Conn) bool { return c.client == nil || c.client.conn != c })
	switch {
	case len(held) > 0 && rapid.IntRange(0, 3).Draw(d.t, "held") > 0:
		return pick(d.t, held...)
	case len(d.conns) > 0:
		return d.conns[len(d.conns)-1-rapid.IntRange(0, min(len(d.conns), 6)-1).Draw(d.t, "connection")]
	}
	return &Conn{}
}

func (d *disorder) newConn() *Conn {
	conn := &Conn{
		Courier: pick(d.t, int32(0), 1), Encoding: pick(d.t, Encoding(0), 1), Replay: 2, Notes: pick(d.t, true, true, false), Slow: pick(d.t, d.slow...),
	}
	d.conns = append(d.conns, conn)
	return conn
}

func (d *disorder) register() {
	d.s.Register(Registration{ID: d.id(), User: pick(d.t, "", "u"), Topics: d.names(), Grant: d.grant()})
}

func (d *disorder) attach() { d.s.Attach(d.id(), d.newConn(), d.from()) }

func (d *disorder) connectNew() {
	id := testID(fmt.Sprint("new", len(d.conns)))
	d.s.Connect(Registration{ID: id, User: pick(d.t, "", "u"), Topics: d.names(), Grant: d.grant()}, d.newConn(), d.from())
}

func (d *disorder) event() Event {
	d.events++
	ev := Event{ID: fmt.Sprint(d.events), Topic: pick(d.t, "a", "a.b", "a.c", "b"), User: pick(d.t, "", "", "u"), Time: d.now, Message: zeros[:pick(d.t, 1, 10, chunkBytes)]}
	if lives := pick(d.t, 0, 0, 2*time.Second, -time.Second); lives != 0 {
		ev.Expires = d.now.Add(lives)
	}
	return ev
}

func (d *disorder) publish() {
	for range pick(d.t, 1, 1, 5) {
		d.s.Publish(d.event())
	}
}

// begin begins a publication, with keys perhaps.
func (d *disorder) begin() {
	if len(d.takes) > 0 {
		return // the hub takes one after the other
	}
	p := Publication{Key: Key{Name: [16]byte{pick(d.t, byte(0), 9)}}}
	for range pick(d.t, 0, 1, 3) {
		p.Events = append(p.Events, d.event())
		p.Keys = append(p.Keys, Key{Name: [16]byte{pick(d.t, byte(0), 1, 2)}})
	}
	if taking, err := d.s.Begin(p); err == nil {
		d.takes = append(d.takes, taking)
	}
}

func (d *disorder) goOn() {
	if len(d.takes) > 0 && d.s.Continue(d.takes[0]) {
		d.takes = d.takes[1:]
	}
}

// report has a connection end, wherever that says it is.
func (d *disorder) report() {
	conn := d.conn()
	upTo := rapid.IntRange(0, int(d.s.window.head)).Draw(d.t, "up to")
	d.s.ConnEnded(ConnReport{
		Conn: conn, UpTo: Position(upTo), Last: Position(rapid.IntRange(0, upTo).Draw(d.t, "last")), Unconfirmed: pick(d.t, 0, 0, 5, 1<<20), Reason: Disconnected,
	})
}

func (d *disorder) written() { d.s.ChunkWritten(d.conn()) }

func (d *disorder) lag() { d.s.Lag(d.conn()) }

// ask does what a connection asks for, as the hub does.
func (d *disorder) ask(conn *Conn, do func()) {
	d.asked++
	answer := func() {
		d.done++
		do()
	}
	if !d.s.Defer(conn, answer) {
		answer()
	}
}

func (d *disorder) subscribe() {
	conn, r := d.conn(), Subscribe{Topics: d.names(), From: d.from(), Ref: []byte("1")}
	d.ask(conn, func() { d.s.Subscribe(conn, r) })
}

func (d *disorder) unsubscribe() {
	conn, names := d.conn(), d.names()
	d.ask(conn, func() { d.s.Unsubscribe(conn, names, []byte("1")) })
}

func (d *disorder) say() {
	conn := d.conn()
	d.ask(conn, func() { d.s.Say(conn, hello) })
}

func (d *disorder) renew() {
	conn, user, g := d.conn(), pick(d.t, "", "u"), d.grant()
	d.ask(conn, func() { d.s.Renew(conn, user, g, []byte("1")) })
}

func (d *disorder) setTopics() { d.s.SetTopics(d.conn(), d.names()) }

func (d *disorder) changeTopic() {
	name := pick(d.t, "a", "a.b", ">", "a.>")
	if rapid.Bool().Draw(d.t, "add") {
		d.s.AddTopic(d.id(), name)
	} else {
		d.s.RemoveTopic(d.id(), name)
	}
}

// regrant changes the rights of some holders, or takes them back.
func (d *disorder) regrant() {
	holder, next := pick[any](d.t, 0, 1), d.grant()
	changes := func(g *Grant) *Grant {
		if g.Holder == holder {
			return next
		}
		return g
	}
	d.s.Regrant(pick(d.t, changes, nil), 0)
}

func (d *disorder) unregister() {
	if rapid.Bool().Draw(d.t, "user") {
		d.s.UnregisterUser("u")
	} else {
		d.s.Unregister(d.id())
	}
}

func (d *disorder) await() {
	if p, err := d.s.Await(pick(d.t, "a", "b", "c"), nil); err == nil {
		d.polls = append(d.polls, p)
	}
}

// wake wakes polls, or has one be over, perhaps again.
func (d *disorder) wake() {
	if len(d.polls) > 0 && rapid.Bool().Draw(d.t, "over") {
		d.s.EndPoll(pick(d.t, d.polls...))
		return
	}
	woken, _ := d.s.Woken()
	d.polls = slices.DeleteFunc(d.polls, func(p *Poll) bool { return slices.Contains(woken, p) })
}

func (d *disorder) history() {
	q := SearchHistory(pick(d.t, "a", "a.b"), d.from())
	for done, err := false, error(nil); !done && err == nil; {
		_, done, err = d.s.History(q)
	}
}

func (d *disorder) tick() {
	d.now = d.now.Add(pick(d.t, time.Second, 3*time.Second, 11*time.Second, -time.Second))
	d.s.Tick(d.now)
	d.s.Announce()
}

func (d *disorder) work() {
	for range pick(d.t, 1, 4) {
		d.s.Work()
	}
}

func (d *disorder) take() {
	for i := range d.s.outboxes {
		d.s.Take(i, &Batch{})
	}
}

func (d *disorder) limits() {
	l := d.s.opts.Limits
	l.MaxClients, l.MaxUserClients, l.MaxConnections = pick(d.t, 4, 2), pick(d.t, 0, 2, 1), pick(d.t, 4, 1)
	l.MaxLagBytes = pick(d.t, 1<<20, 20)
	d.s.SetLimits(l)
}

func (d *disorder) drain() {
	if rapid.IntRange(0, 19).Draw(d.t, "drain") == 19 {
		d.s.Drain()
	}
}

// end has all end, and looks for what is left.
func (d *disorder) end() {
	s := d.s
	s.turn, s.step = 0, stepWork
	for len(d.takes) > 0 {
		d.goOn()
	}
	for more := true; more; {
		more = s.Drain()
		s.Settle()
	}
	for more := true; more; {
		_, more = s.Woken()
	}
	for range 3 {
		for _, conn := range d.conns {
			s.ConnEnded(ConnReport{Conn: conn})
		}
		d.now = d.now.Add(2 * time.Hour)
		for s.Tick(d.now); s.Busy(); {
			s.Work()
		}
	}
	if d.asked != d.done || len(s.asked) > 0 || len(s.leases) > 0 || s.authority.keys.bytes > 0 {
		d.t.Errorf("%d requests, %d of them were done; %d wait, %d grants, %d bytes of keys are left",
			d.asked, d.done, len(s.asked), len(s.leases), s.authority.keys.bytes)
	}
	checkEmpty(d.t, s)
}
