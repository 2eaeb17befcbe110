package hub

import (
	"fmt"
	"time"

	"pgregory.net/rapid"
)

// How connections begin in a world.

// from draws where a reading begins: at the head or where the last one came to,
// after any cursor there ever was or will be, at the newest events.
func (w *world) from() (from From) {
	switch kind := rapid.IntRange(0, 9).Draw(w.t, "from"); kind {
	case 3, 4, 5:
		after := w.cursor(Position(rapid.IntRange(0, len(w.events)).Draw(w.t, "after")))
		from.After = &after
	case 6:
		after := pick(w.t, w.cursor(w.head()+3), Cursor{w.opts.Epoch + 1, 1}, Cursor{})
		from.After, from.Last = &after, pick(w.t, 0, 1)
	case 7, 8:
		from.Last = pick(w.t, 1, 2, MaxLast)
	}
	return from
}

func (w *world) newConn() *simConn {
	k := w.couriers[rapid.IntRange(0, len(w.couriers)-1).Draw(w.t, "courier")]
	w.conns++
	conn := &simConn{courier: k, name: fmt.Sprint("c", w.conns), room: pick(w.t, 1<<40, 7, 40)}
	conn.Conn = Conn{
		Owner: conn, Courier: int32(k.number), Encoding: pick(w.t, Encoding(0), 1), Replay: 2,
		Notes: rapid.Bool().Draw(w.t, "notes"),
	}
	w.tell(conn, OpOpen, 0)
	return conn
}

func (w *world) attach() { w.connect(w.id(), w.from()) }

func (w *world) connect(id ID, from From) {
	conn := w.newConn()
	c := w.clients[id]
	var refusal error
	switch {
	case c == nil:
		refusal = ErrUnknownClient
		w.tell(conn, OpClose, UnknownClient)
	case c.conn == nil && w.stats.Connected == w.opts.MaxConnections:
		refusal = ErrTooManyConnections
		w.tell(conn, OpClose, OverCapacity)
	case c.conn != nil && w.fights(c):
		w.tell(conn, OpClose, TakeoverLimit)
	default:
		c.dropReplays()
		if old := c.conn; old == nil {
			w.stats.Connected++
		} else {
			w.tell(old, OpClose, Replaced)
			c.taken = append(c.taken, w.now)
			c.earlier++
			if old.model.began {
				c.pos = old.model.start
			}
		}
		w.begin(c, conn, from)
	}
	w.same(w.s.Admit(id), refusal)
	w.s.Attach(id, &conn.Conn, from)
}

// connectNew makes a connection without a registration.
func (w *world) connectNew() {
	id := testID(pick(w.t, "m", "n"))
	if w.clients[id] != nil {
		return // it would be drawn at random, and never twice
	}
	user, names, from := pick(w.t, "", "u"), w.someTopics(), w.from()
	conn := w.newConn()
	var refusal error
	switch {
	case len(w.clients) == w.opts.MaxClients:
		refusal = ErrTooManyClients
		w.tell(conn, OpClose, OverCapacity)
	case w.crowded(user):
		refusal = ErrTooManyUserClients
		w.tell(conn, OpClose, OverCapacity)
	case w.stats.Connected == w.opts.MaxConnections:
		refusal = ErrTooManyConnections
		w.tell(conn, OpClose, OverCapacity)
	case len(names) > w.opts.MaxSubscriptions:
		refusal = ErrTooManyTopics
		w.tell(conn, OpClose, PolicyViolation)
	default:
		c := w.newClient(id, user, distinct(names))
		c.ephemeral = true
		w.stats.Connected++
		w.begin(c, conn, from)
	}
	w.same(w.s.AdmitNew(user, len(names)), refusal)
	w.s.Connect(Registration{ID: id, User: user, Topics: names}, &conn.Conn, from)
}

// begin has a connection begin.
func (w *world) begin(c *modelClient, conn *simConn, from From) {
	c.made++
	c.conn, conn.model.client, conn.model.number = conn, c, c.made
	switch {
	case from.given():
		w.beginFrom(c, from)
	case c.mode == modeNew:
		c.mode, c.born, c.pos = modeLive, w.head(), w.head()
		conn.model.began, conn.model.start = true, w.head()
		w.welcome(c, w.cursor(c.pos))
		w.tell(conn, OpLive, 0)
	case c.last != nil && !c.last.chosen:
		c.mode, c.placed = modeLocatingNewest, c.made
	case c.earlier > 0:
		w.welcome(c, w.cursor(c.pos))
		c.mode = modeAwaitingReport
	default:
		w.welcome(c, w.cursor(c.pos))
		c.begin()
	}
}

// beginFrom has a connection begin where it says. Of what was before nothing
// counts.
func (w *world) beginFrom(c *modelClient, from From) {
	for name := range c.subs {
		c.subs[name] = 0
	}
	clear(c.confirmed)
	clear(c.received)
	clear(c.excused)
	gap := w.place(&c.modelReader, from, w.head())
	c.placed, c.mode, c.born, c.sparse = c.made, modeLocatingNewest, c.pos, 0
	c.told, c.lost = make(map[string]Position), make(map[Position]bool)
	if c.last != nil {
		return
	}
	if gap == nil {
		w.welcome(c, w.cursor(c.pos))
	} else {
		w.welcome(c, gap.From)
		if len(c.subs) > 0 && !c.conn.Notes {
			w.tell(c.conn, OpClose, EventsLost)
			w.forget(c, EventsLost)
			return
		}
		if len(c.subs) > 0 {
			w.note(c.conn, *gap, c.pos)
		}
	}
	c.begin()
}

func (w *world) welcome(c *modelClient, at Cursor) {
	w.note(c.conn, Welcome{User: c.user, Topics: c.names(), Cursor: at}, c.pos)
}

// start has a connection that asked for the newest events begin, if it has not.
func (w *world) start(c *modelClient) {
	if c.mode != modeLocatingNewest {
		return
	}
	w.choose(&c.modelReader)
	w.welcome(c, w.cursor(c.pos))
	c.mode = modeCatchingUp
	c.conn.model.began, c.conn.model.start, c.born = true, c.pos, c.pos
	c.conn.model.sparse, c.sparse = c.last.bound, c.last.bound
	for _, e := range w.events[:c.last.bound] {
		if !c.wants(e) {
			c.excused[e.position] = true
		}
	}
}

// dropReplays has a client forget what it asked for over a connection.
func (c *modelClient) dropReplays() {
	replays := c.replays
	c.replays = nil
	for _, r := range replays {
		for name := range r.fresh {
			c.leave(name)
		}
	}
}

// leave ends a subscription and its part in replays.
func (c *modelClient) leave(name string) {
	delete(c.subs, name)
	delete(c.told, name)
	for _, r := range c.replays {
		delete(r.subs, name)
		delete(r.told, name)
		delete(r.fresh, name)
	}
}

// fights reports whether a client was taken over 5 times in the last 10 s.
func (w *world) fights(c *modelClient) bool {
	n := 0
	for _, at := range c.taken {
		if w.now.Sub(at) < 10*time.Second {
			n++
		}
	}
	return n >= 5
}
