package hub

import (
	"errors"
	"slices"
	"strconv"

	"pgregory.net/rapid"
)

// What clients ask for over their connections, and requests about history.

// anySpeaker returns a connection that may ask for something.
func (w *world) anySpeaker() *simConn {
	if conn := w.anyConn(); conn != nil && conn.Notes {
		return conn
	}
	return nil
}

// ask does what a connection asks for, of its client if it has one still: at once,
// or when it has begun.
func (w *world) ask(conn *simConn, do func(c *modelClient)) {
	speaker := func() *modelClient {
		if c := conn.model.client; c != nil && c.conn == conn {
			return c
		}
		return nil
	}
	answer := func() {
		w.look()
		do(speaker())
		w.look()
	}
	c := speaker()
	deferred := w.s.Defer(&conn.Conn, answer)
	w.same(deferred, c != nil && c.mode == modeLocatingNewest)
	if !deferred {
		answer()
	}
}

func (w *world) ref() []byte {
	w.asked++
	return strconv.AppendInt(nil, int64(w.asked), 10)
}

func (w *world) subscribe() {
	conn := w.anySpeaker()
	if conn == nil {
		return
	}
	names := distinct(rapid.SliceOfN(rapid.SampledFrom(w.topics), 1, 3).Draw(w.t, "topics"))
	r := Subscribe{Topics: names, From: w.from(), Ref: w.ref()}
	w.ask(conn, func(c *modelClient) { w.doSubscribe(conn, c, r) })
}

func (w *world) doSubscribe(conn *simConn, c *modelClient, r Subscribe) {
	names, want := r.Topics, ErrUnknownClient
	if c != nil {
		fresh := slices.DeleteFunc(slices.Clone(names), func(name string) bool { _, has := c.subs[name]; return has })
		switch {
		case len(c.subs)+len(fresh) > w.opts.MaxSubscriptions:
			want = ErrTooManyTopics
		case r.From.given() && len(c.replays) == w.opts.MaxSubscriptions:
			want = ErrTooManyReplays
		default:
			want = nil
			w.subscribed(c, r, fresh)
		}
	}
	w.same(w.s.Subscribe(&conn.Conn, r), want)
}

func (w *world) subscribed(c *modelClient, r Subscribe, fresh []string) {
	at := c.pos
	for _, name := range fresh {
		c.subs[name] = w.head()
	}
	w.note(c.conn, Ack{r.Ref, w.cursor(at)}, at)
	if !r.From.given() {
		c.keep(r.Topics)
		return
	}
	replay := &modelReplay{modelReader: newReader(c.user, r.Topics, 0), ref: string(r.Ref), at: at, fresh: make(map[string]bool)}
	if gap := w.place(&replay.modelReader, r.From, at); gap != nil {
		w.note(c.conn, *gap, at)
	}
	for _, name := range r.Topics {
		c.subs[name] = min(c.subs[name], max(at, replay.pos)) // it may have them from a later point on
	}
	for _, name := range fresh {
		replay.fresh[name] = true
	}
	c.replays = append(c.replays, replay)
	if c.mode == modeLive {
		w.told = append(w.told, order{conn: c.conn, kind: OpCatchUp, at: at})
		c.told, c.lost = make(map[string]Position), make(map[Position]bool)
		c.mode = modeCatchingUp
	}
}

// keep has subscriptions stay whatever becomes of a replay that they came with.
func (c *modelClient) keep(names []string) {
	for _, r := range c.replays {
		for _, name := range names {
			delete(r.fresh, name)
		}
	}
}

func (w *world) unsubscribe() {
	conn := w.anySpeaker()
	if conn == nil {
		return
	}
	names, ref := w.someTopics(), w.ref()
	w.ask(conn, func(c *modelClient) { w.doUnsubscribe(conn, c, names, ref) })
}

func (w *world) doUnsubscribe(conn *simConn, c *modelClient, names []string, ref []byte) {
	want := ErrUnknownClient
	switch {
	case c == nil:
	case len(names) > w.opts.MaxSubscriptions:
		want = ErrTooManyTopics
	default:
		want = nil
		for _, name := range names {
			c.leave(name)
		}
		w.note(conn, Ack{ref, w.cursor(c.pos)}, c.pos)
	}
	w.same(w.s.Unsubscribe(&conn.Conn, names, ref), want)
}

func (w *world) say() {
	conn := w.anySpeaker()
	if conn == nil {
		return
	}
	text := string(w.ref())
	w.ask(conn, func(c *modelClient) {
		if c != nil {
			w.told = append(w.told, order{conn: conn, kind: OpDeliver, text: text})
		}
		w.s.Say(&conn.Conn, &Frame{Bytes: []byte(text)})
	})
}

// history reads a part of a topic's history.
func (w *world) history() {
	topic, from := pick(w.t, "a", "a.b", "b"), w.from()
	r := newReader("", []string{topic}, 0)
	var want *Gap
	if from.given() {
		want = w.place(&r, from, w.head())
		w.choose(&r)
	}
	page, err := history(w.s, topic, from)
	var gap *GapError
	switch {
	case want != nil:
		if !errors.As(err, &gap) || describeNote(gap.Gap) != describeNote(*want) {
			w.t.Fatalf("got %v, want %s", err, describeNote(*want))
		}
		return
	case errors.As(err, &gap) && from.given():
		w.tellGap(&r, gap.Gap)
		return
	case err != nil:
		w.t.Fatal(err)
	}
	for _, e := range page.Events {
		due := w.due(&r, w.head())
		for !from.given() && due != nil && due.evicted {
			r.pos = due.position // who does not say from where gets what there is
			due = w.due(&r, w.head())
		}
		if due == nil || e.ID != strconv.Itoa(int(due.position)) || e.Cursor != w.cursor(due.position) {
			w.t.Fatalf("got %+v, want %+v", e, due)
		}
		r.pos = due.position
	}
	due := w.due(&r, page.Cursor.Position)
	if due != nil && (from.given() || !due.evicted) || page.More != (page.Cursor != w.cursor(w.head())) {
		w.t.Fatalf("up to %v, more: %v, due is %v", page.Cursor, page.More, due)
	}
}

// A modelPoll is a request that waits for an event.
type modelPoll struct {
	topic string
	woken bool
}

// poll has a request begin to wait, end, or hear that there is an event.
func (w *world) poll() {
	switch rapid.IntRange(0, 3).Draw(w.t, "poll") {
	case 0, 1:
		topic := pick(w.t, "a", "b")
		poll, err := w.s.Await(topic, topic)
		if w.stats.Connected+len(w.polls) >= w.opts.MaxConnections {
			w.same(err, ErrTooManyConnections)
			return
		}
		w.same(err, nil)
		w.polls[poll] = &modelPoll{topic: topic}
	case 2:
		w.wakePolls()
	default:
		for poll, p := range w.polls {
			if len(w.polls) == 1 && !p.woken { // so that it does not depend on the map's order
				delete(w.polls, poll)
				w.s.EndPoll(poll)
			}
		}
	}
}

// wakePolls ends the polls for which there is an event.
func (w *world) wakePolls() {
	woken, more := w.s.Woken()
	w.same(more, false)
	for _, poll := range woken {
		p := w.polls[poll]
		if p == nil || !p.woken {
			w.t.Fatalf("%v is woken for nothing", poll.Owner)
		}
		delete(w.polls, poll)
	}
	for _, p := range w.polls {
		if p.woken {
			w.t.Fatalf("a request that waits for %s was not woken", p.topic)
		}
	}
}
