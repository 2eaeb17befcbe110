package hub

import (
	"reflect"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"
)

// How a world is compared with its model.

// look checks the ops that have come to wait for couriers, and has the model
// take note of them.
func (w *world) look() {
	for i := range w.couriers {
		b := w.s.outboxes[i].batch
		for ; w.seen[i] < len(b.Ops); w.seen[i]++ {
			op := b.Ops[w.seen[i]]
			for _, conn := range b.Targets(w.seen[i]) {
				w.op(op, conn.Owner.(*simConn))
			}
		}
	}
	for _, c := range w.clients {
		if c.mode != modeLive {
			continue
		}
		if e := w.due(&c.modelReader, w.head()); e != nil {
			w.t.Fatalf("client %v is live and did not get %d", c.id, e.position)
		}
		c.pos = w.head()
	}
	if len(w.told) > 0 {
		w.t.Fatalf("%s was not told %+v", w.told[0].conn.name, w.told[0])
	}
	w.lookForNews()
}

// check compares the state with the model.
func (w *world) check(*rapid.T) {
	checkInvariants(w.t, w.s)
	want := w.stats
	want.Clients, want.Head = len(w.clients), w.head()
	for i := range w.couriers {
		deliveries, size := waiting(w.s.outboxes[i].batch)
		want.Deliveries += deliveries
		want.Behind = want.Behind || deliveries >= w.opts.Backlog || size >= w.opts.BacklogBytes
	}
	users, topics, patterns := make(map[string]bool), make(map[string]bool), make(map[string]bool)
	want.Polls = len(w.polls)
	for _, p := range w.polls {
		topics[p.topic] = true
	}
	for id, c := range w.clients {
		users[c.user] = true
		for name := range c.subs {
			if strings.ContainsAny(name, "*>") {
				patterns[name] = true
			} else {
				topics[name] = true
			}
		}
		if got := w.s.clients[id]; got == nil || got.mode != c.mode {
			w.t.Fatalf("client %v: got %+v, want mode %d", id, got, c.mode)
		}
	}
	streams, retained := make(map[[2]string]bool), make(map[string]bool)
	for _, e := range w.events {
		if !e.evicted {
			topics[e.topic], retained[e.topic], streams[[2]string{e.topic, e.user}] = true, true, true
			want.Retained++
			want.RetainedBytes += e.size
		}
	}
	for name := range streams {
		want.RetainedBytes += streamOverhead + len(name[1])
	}
	for name := range retained {
		want.RetainedBytes += topicOverhead + len(name)
	}
	want.Users, want.Topics, want.Patterns = len(users), len(topics), len(patterns)
	got := w.s.Stats()
	want.ClientBytes = got.ClientBytes
	want.Reading = got.Reading // may count some that went away
	if !sameStats(got, want) {
		w.t.Fatalf("got  %+v\nwant %+v", got, want)
	}
}

func sameStats(a, b Stats) bool {
	if !slices.Equal(a.Disconnects, b.Disconnects) || !slices.Equal(a.Removals, b.Removals) {
		return false
	}
	a.Disconnects, a.Removals, b.Disconnects, b.Removals = nil, nil, nil, nil
	return reflect.DeepEqual(a, b)
}

// waiting returns how much is in a batch.
func waiting(b *Batch) (deliveries, size int) {
	for i, op := range b.Ops {
		deliveries += len(b.Targets(i))
		if op.Frame != nil {
			size += len(op.Frame.Bytes)
		}
	}
	return deliveries, size
}

// bounded checks that what waits for the couriers is within the bound, but
// for what one step may add.
func (w *world) bounded(deliveries, size int) {
	for i := range w.couriers {
		n, sum := waiting(w.s.outboxes[i].batch)
		if n >= w.opts.Backlog+deliveries || sum >= w.opts.BacklogBytes+size {
			w.t.Fatalf("%d deliveries, %d bytes wait", n, sum)
		}
	}
}

// settle lets everybody do what there is to do, and checks that every client
// has what it should.
func (w *world) settle() {
	for round := range 3 {
		for w.rest() {
		}
		if round < 2 {
			for _, id := range []string{"a", "b", "c", "d"} {
				if c := w.clients[testID(id)]; c != nil && c.mode == modeAway {
					w.connect(c.id, From{})
					w.look()
				}
			}
		}
	}
	for _, c := range w.clients {
		if c.conn == nil {
			continue
		}
		if c.mode != modeLive {
			w.t.Fatalf("client %v is at rest and not live", c.id)
		}
		for _, e := range c.conn.log {
			c.received[e.position] = true
		}
		for _, e := range w.events[c.born:] {
			if c.sees(e) && !c.received[e.position] && !c.excused[e.position] && e.expires.IsZero() && !(e.evicted && e.position <= c.sparse) {
				w.t.Fatalf("client %v never got %d", c.id, e.position)
			}
		}
	}
}

// rest does everything that can be done at once, and reports whether there was
// anything.
func (w *world) rest() (busy bool) {
	for _, k := range w.couriers {
		for w.report(k) {
			busy = true
		}
		w.endStep()
		k.apply()
		busy = w.take(k) || busy
		k.apply()
		for _, conn := range slices.Clone(k.conns) {
			conn.room = 1 << 40
			conn.flush()
		}
	}
	for w.s.Busy() && !w.s.Congested() {
		w.work()
		w.look()
		w.endStep()
		busy = true
	}
	w.check(w.t)
	return busy
}

// end has everything run out: nothing must be left.
func (w *world) end() {
	if rapid.Bool().Draw(w.t, "drain") {
		for _, c := range w.clients {
			if c.conn != nil {
				w.tell(c.conn, OpClose, Draining)
			}
			w.forget(c, Draining)
		}
		w.s.Drain()
		w.look()
		w.endStep()
		w.stats.Draining = true
		w.look()
		for _, p := range w.polls {
			p.woken = true
		}
	}
	w.wakePolls()
	for poll := range w.polls {
		w.s.EndPoll(poll)
	}
	clear(w.polls)
	for _, k := range w.couriers {
		for _, conn := range slices.Clone(k.conns) {
			conn.release(Disconnected)
		}
	}
	for w.rest() {
	}
	w.now = w.now.Add(2 * time.Hour)
	w.s.Tick(w.now)
	checkEmpty(w.t, w.s)
}
