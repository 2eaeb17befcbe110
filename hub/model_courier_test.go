package hub

import (
	"slices"

	"pgregory.net/rapid"
)

// What couriers and peers do in a world.

// courier has a courier do some of its work.
func (w *world) courier() {
	k := w.couriers[rapid.IntRange(0, len(w.couriers)-1).Draw(w.t, "courier")]
	todo := rapid.IntRange(0, 15).Draw(w.t, "todo")
	if todo&1 == 0 {
		w.take(k)
	}
	if todo&2 == 0 {
		k.apply()
	}
	for range todo >> 2 {
		w.report(k)
	}
}

func (w *world) take(k *simCourier) bool {
	head := w.head()
	if !k.take(w.s) {
		return false
	}
	w.seen[k.number] = 0
	w.same(k.batch.Head, head)
	return true
}

// report has the hub hear of something.
func (w *world) report(k *simCourier) bool {
	if len(k.reports) == 0 {
		return false
	}
	r := k.reports[0]
	k.reports = k.reports[1:]
	switch {
	case r.ready != nil:
		k.spare = r.ready.empty()
	case r.drained != nil:
		if c := r.drained.model.client; c != nil && c.conn == r.drained && c.mode == modeWriting {
			c.mode = modeCatchingUp
		}
		w.s.ChunkWritten(&r.drained.Conn)
	default:
		w.released(r.release)
		w.s.ConnEnded(*r.release)
	}
	w.look()
	return true
}

func (w *world) released(r *ConnReport) {
	conn := r.Conn.Owner.(*simConn)
	c := conn.model.client
	if c == nil {
		return
	}
	conn.model.client = nil
	if conn.model.began && conn.model.number >= c.placed {
		c.pos, c.last, c.placed = w.resume(c, conn, r), nil, conn.model.number
	}
	if c.conn != conn {
		if c.earlier--; c.mode == modeAwaitingReport && c.earlier == 0 {
			c.begin()
		}
		return
	}
	c.conn, c.mode = nil, modeAway
	c.dropReplays()
	w.stats.Connected--
	w.stats.Disconnects[r.Reason]++
	if c.expiry = w.now.Add(w.opts.ResumeWindow); w.opts.ResumeWindow == 0 || c.ephemeral {
		w.forget(c, r.Reason)
	}
}

// resume returns from where a client has to read on after a connection: before
// the last events that make up the unconfirmed bytes.
func (w *world) resume(c *modelClient, conn *simConn, r *ConnReport) Position {
	for _, p := range conn.model.handed {
		if p <= r.UpTo && !slices.ContainsFunc(conn.log, func(e sentEvent) bool { return e.position == p }) {
			w.t.Fatalf("%s: %d is reported and not written", conn.name, p)
		}
	}
	// Where topics were removed, events are gone or expired, or only some were asked
	// for, those before what was not confirmed may come again.
	removed := conn.model.sparse > 0 && r.Unconfirmed > 0 || slices.ContainsFunc(conn.log, func(e sentEvent) bool {
		event := w.events[e.position-1]
		return !c.sees(event) || event.evicted || event.expired(w.now)
	})
	unconfirmed := r.Unconfirmed
	for _, e := range slices.Backward(conn.log) {
		if e.end <= conn.acked {
			c.received[e.position] = true
		}
		if unconfirmed <= 0 && !removed {
			c.confirmed[e.position] = true
		}
		unconfirmed -= e.size
	}
	p := max(r.UpTo, conn.model.start)
	unconfirmed = r.Unconfirmed
	for _, e := range slices.Backward(conn.log) {
		if unconfirmed <= 0 {
			return p
		}
		if e.position <= conn.model.sparse {
			return conn.model.start
		}
		if event := w.events[e.position-1]; !event.evicted && !event.expired(w.now) && c.sees(event) {
			unconfirmed -= e.size
			p = e.position - 1
		}
	}
	if unconfirmed > 0 {
		return conn.model.start
	}
	return p
}

// peer has something happen on the other side of a connection.
func (w *world) peer() {
	conn := w.anyConn()
	if conn == nil {
		return
	}
	switch rapid.IntRange(0, 7).Draw(w.t, "peer") {
	case 0, 1: // it reads
		conn.room += pick(w.t, 1<<40, 3, 20)
		conn.flush()
	case 2, 3: // it confirms
		conn.confirm(w.t)
	case 4: // it has to answer a ping
		conn.waiting = append(conn.waiting, ping)
		conn.flush()
	default: // it is lost
		conn.confirm(w.t)
		conn.release(pick(w.t, Disconnected, PongTimeout))
	}
}

// confirm has all but some of the last bytes confirmed.
func (c *simConn) confirm(t *rapid.T) {
	c.acked = c.sent - rapid.IntRange(0, min(c.sent-c.acked, 60)).Draw(t, "unconfirmed")
}
