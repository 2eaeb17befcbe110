package hub

import "slices"

// How a world checks what connections are given and told.

// op checks one op.
func (w *world) op(op Op, conn *simConn) {
	c := conn.model.client
	current := c != nil && c.conn == conn
	reading := current && c.mode == modeCatchingUp
	switch {
	case op.Frame != nil && w.frames[&op.Frame.Bytes[0]].position > 0:
		if !current || c.mode != modeCatchingUp && c.mode != modeLive {
			w.t.Fatalf("%s got %d, and is of no client", conn.name, op.Frame.Position)
		}
		if reading && len(c.replays) > 0 {
			w.replayed(op, conn, c)
		} else {
			w.handed(op, conn, c)
		}
		if op.Kind == OpChunk {
			if !reading {
				w.t.Fatalf("%s got a chunk and is live", conn.name)
			}
			c.mode = modeWriting
		}
	case op.Kind == OpLive && reading:
		if e := w.due(&c.modelReader, w.head()); e != nil || len(c.replays) > 0 {
			w.t.Fatalf("%s is live and did not get %v, %d replays", conn.name, e, len(c.replays))
		}
		c.mode, c.pos, c.last = modeLive, w.head(), nil
	case op.Kind == OpClose && op.Reason == EventsLost && reading && !conn.Notes:
		if !w.mayTellAny(&c.modelReader) {
			w.t.Fatalf("%s at %d was told of a gap that is none", conn.name, c.pos)
		}
		w.stats.Disconnects[EventsLost]++
		w.forget(c, EventsLost)
	case op.Kind == OpNote && reading && w.noted(op, conn, c):
	default:
		w.ordered(op, conn)
	}
}

// ordered checks an op that was to be expected.
func (w *world) ordered(op Op, conn *simConn) {
	got := order{conn: conn, kind: op.Kind, reason: op.Reason, at: op.At}
	if op.Note != nil {
		got.text = sorted(op.Note)
	}
	if op.Frame != nil {
		got.text = string(op.Frame.Bytes)
	}
	i := slices.IndexFunc(w.told, func(o order) bool { return o.conn == conn })
	if i < 0 {
		w.t.Fatalf("%s was told %+v", conn.name, got)
	}
	if w.told[i] != got {
		w.t.Fatalf("%s was told %+v, want %+v", conn.name, got, w.told[i])
	}
	w.told = slices.Delete(w.told, i, i+1)
}

// noted checks a note about a reading, and reports whether it is one.
func (w *world) noted(op Op, conn *simConn, c *modelClient) bool {
	if slices.ContainsFunc(w.told, func(o order) bool { return o.conn == conn }) {
		return false
	}
	switch n := op.Note.(type) {
	case Gap:
		r := &c.modelReader
		if len(c.replays) > 0 {
			r = &c.replays[0].modelReader
		}
		gone := w.tellGap(r, n)
		for _, p := range gone {
			// What came after a replay was asked for, and before the connection stood where it
			// is now, is not read on to.
			if r == &c.modelReader || p > c.replays[0].at && p <= c.pos {
				c.excused[p] = true
			}
		}
		w.stats.Gaps++
	case ReplayEnd:
		if len(c.replays) == 0 {
			w.t.Fatalf("%s has no replay: %s", conn.name, describeNote(n))
		}
		r := c.replays[0]
		if e := w.due(&r.modelReader, c.pos); e != nil || string(n.Ref) != r.ref || n.Cursor != w.cursor(c.pos) {
			w.t.Fatalf("%s at %d is told that replay %s is over, due is %v: %s", conn.name, c.pos, r.ref, e, describeNote(n))
		}
		c.replays = c.replays[1:]
	default:
		return false
	}
	w.same(op.At, c.pos)
	return true
}

// handed checks an event for a connection: it must be the next that is due.
func (w *world) handed(op Op, conn *simConn, c *modelClient) {
	p := op.Frame.Position
	e := w.due(&c.modelReader, w.head())
	switch {
	case e == nil || e.position != p:
		w.t.Fatalf("%s at %d got %d, due is %+v", conn.name, c.pos, p, e)
	case c.confirmed[p]:
		w.t.Fatalf("%s got %d, which an earlier connection got", conn.name, p)
	case w.frames[&op.Frame.Bytes[0]] != encoded{p, conn.Encoding} || len(op.Frame.Bytes) != e.encoded[conn.Encoding]:
		w.t.Fatalf("%s got %d in another encoding", conn.name, p)
	}
	if last := len(conn.model.handed) - 1; last >= 0 && conn.model.handed[last] >= p {
		w.t.Fatalf("%s got %d after %d", conn.name, p, conn.model.handed[last])
	}
	conn.model.handed = append(conn.model.handed, p)
	c.pos = p
	if c.mode == modeCatchingUp {
		w.stats.Replayed++
	}
}

// replayed checks an event of a replay: it must be the next that is due, up to
// where the connection stands, and does not move that.
func (w *world) replayed(op Op, conn *simConn, c *modelClient) {
	r := c.replays[0]
	e := w.due(&r.modelReader, c.pos)
	if got := w.frames[&op.Frame.Bytes[0]]; e == nil || got != (encoded{e.position, conn.Replay}) || op.Frame.Position != 0 {
		w.t.Fatalf("%s, in a replay at %d up to %d, got %+v, %d; due is %+v", conn.name, r.pos, c.pos, got, op.Frame.Position, e)
	}
	r.pos = e.position
	if e.position > r.at {
		c.excused[e.position] = true // instead of being read on to
	}
	w.stats.Replayed++
}
