package hub

import (
	"slices"
	"strconv"
	"time"

	"pgregory.net/rapid"
)

// What can happen in a world: each step is done to the model and to the state.

// step does something at random.
func (w *world) step(t *rapid.T) {
	w.t = t
	actions := [...]func(){
		w.courier, w.publish, w.peer, w.work, w.attach, w.courier, w.publish, w.tick, w.subscribe, w.attach, w.work,
		w.peer, w.attach, w.setTopics, w.publish, w.register, w.courier, w.changeTopic, w.unregister, w.subscribe,
		w.unsubscribe, w.say, w.connectNew, w.history, w.poll,
	}
	actions[rapid.IntRange(0, len(actions)-1).Draw(t, "what")]()
	w.look()
	w.endStep()
}

func (w *world) id() ID { return testID(pick(w.t, "a", "b", "c", "d")) }

func (w *world) someTopics() []string {
	return rapid.SliceOfN(rapid.SampledFrom(w.topics), 0, 5).Draw(w.t, "topics")
}

// crowded reports whether a user has as many clients as it may.
func (w *world) crowded(user string) bool {
	n := 0
	for _, c := range w.clients {
		if c.user == user {
			n++
		}
	}
	return user != "" && w.opts.MaxUserClients > 0 && n >= w.opts.MaxUserClients
}

func (w *world) register() {
	r := Registration{ID: w.id(), User: pick(w.t, "u", "v"), Topics: w.someTopics()}
	names := distinct(r.Topics)
	var want error
	switch {
	case w.clients[r.ID] != nil:
		want = ErrDuplicateClient
	case len(w.clients) == w.opts.MaxClients:
		want = ErrTooManyClients
	case w.crowded(r.User):
		want = ErrTooManyUserClients
	case len(r.Topics) > w.opts.MaxSubscriptions:
		want = ErrTooManyTopics
	}
	_, err := w.s.Register(r)
	if w.same(err, want); err != nil {
		return
	}
	w.newClient(r.ID, r.User, names)
	w.stats.Registered++
}

func (w *world) newClient(id ID, user string, names []string) *modelClient {
	c := &modelClient{
		id: id, modelReader: newReader(user, names, w.head()), expiry: w.now.Add(w.opts.RegisterTTL),
		confirmed: make(map[Position]bool), received: make(map[Position]bool), excused: make(map[Position]bool),
	}
	w.clients[id] = c
	return c
}

func (w *world) head() Position { return Position(len(w.events)) }

func (w *world) same(got, want any) {
	w.t.Helper()
	if got != want {
		w.t.Fatalf("got %v, want %v", got, want)
	}
}

func distinct(names []string) (out []string) {
	out = slices.Clone(names)
	slices.Sort(out)
	return slices.Compact(out)
}

func (w *world) unregister() {
	id := w.id()
	c := w.clients[id]
	if c != nil {
		if c.conn != nil {
			w.tell(c.conn, OpClose, Unregistered)
		}
		w.forget(c, Unregistered)
	}
	w.same(w.s.Unregister(id), c != nil)
}

func (w *world) changeTopic() {
	id, name := w.id(), pick(w.t, w.topics...)
	c := w.clients[id]
	has := false
	if c != nil {
		_, has = c.subs[name]
	}
	var want error
	if rapid.Bool().Draw(w.t, "add") {
		switch {
		case c == nil:
			want = ErrUnknownClient
		case has:
			c.keep([]string{name})
		case len(c.subs) == w.opts.MaxSubscriptions:
			want = ErrTooManyTopics
		default:
			c.subs[name] = w.head()
		}
		w.same(w.s.AddTopic(id, name), want)
		return
	}
	switch {
	case c == nil:
		want = ErrUnknownClient
	case has:
		c.leave(name)
	}
	w.same(w.s.RemoveTopic(id, name), want)
}

// anyConn returns a connection that a courier knows, or nil.
func (w *world) anyConn() *simConn {
	var all []*simConn
	for _, k := range w.couriers {
		all = append(all, k.conns...)
	}
	if len(all) == 0 {
		return nil
	}
	return all[rapid.IntRange(0, len(all)-1).Draw(w.t, "connection")]
}

func (w *world) setTopics() {
	conn := w.anyConn()
	if conn == nil {
		return
	}
	names := w.someTopics()
	c := conn.model.client
	want := c != nil && c.conn == conn && len(names) <= w.opts.MaxSubscriptions
	if want {
		for name := range c.subs {
			if !slices.Contains(names, name) {
				c.leave(name)
			}
		}
		for _, name := range names {
			if _, has := c.subs[name]; !has {
				c.subs[name] = w.head()
			}
		}
	}
	w.same(w.s.SetTopics(&conn.Conn, names), want)
}

func (w *world) publish() {
	if w.s.Congested() {
		return // the hub would leave it unread
	}
	e := &modelEvent{
		position: w.head() + 1,
		topic:    pick(w.t, "a", "a.b", "a.c", "b", "$s.b"),
		user:     pick(w.t, "", "u", "w"),
		born:     w.now,
		size:     entryOverhead,
	}
	if lives := pick(w.t, 0, 0, 2*time.Second, 5*time.Second, -time.Second); lives != 0 {
		e.expires = w.now.Add(lives)
	}
	message := zeros[:pick(w.t, w.sizes...)]
	e.size += len(strconv.Itoa(int(e.position))) + len(message)
	w.events = append(w.events, e)
	want := Receipt{ID: strconv.Itoa(int(e.position)), Cursor: Cursor{w.opts.Epoch, e.position}}
	for _, c := range w.clients {
		if c.sees(e) && !e.expired(w.now) {
			want.Matched++
			if c.conn != nil {
				want.Queued++
			}
		}
	}
	got, err := w.s.Publish(Event{
		ID: strconv.Itoa(int(e.position)), Topic: e.topic, User: e.user, Time: w.now.Add(-pick(w.t, 0, time.Second)), Message: message, Expires: e.expires,
	})
	if got != want || err != nil {
		w.t.Fatalf("got %+v, %v, want %+v", got, err, want)
	}
	w.stats.Published++
	w.stats.Matched += uint64(want.Matched)
	w.stats.Queued += uint64(want.Queued)
	for _, p := range w.polls {
		p.woken = p.woken || p.topic == e.topic && e.user == "" && !e.expired(w.now)
	}
	w.evict()
	w.bounded(len(w.clients), 2*len(message)+3)
}

func (w *world) tick() {
	w.now = w.now.Add(pick(w.t, time.Second, 3*time.Second, 11*time.Second))
	for _, c := range w.clients {
		if c.conn == nil && !w.now.Before(c.expiry) {
			w.forget(c, Expired)
		}
	}
	w.evict()
	w.s.Tick(w.now)
	w.s.Announce()
}

func (w *world) work() {
	if !w.s.Congested() && w.s.unsettled() {
		w.endStep()
	}
	if w.s.Congested() || !w.s.Busy() {
		return
	}
	c := w.s.reading.at(0)
	reader := w.clients[c.id]
	if !c.mode.reads() {
		w.s.Work()
		return
	}
	if reader == nil || reader.mode != c.mode {
		w.t.Fatalf("client %v reads", c.id)
	}
	replays := len(reader.replays)
	if replays > 0 {
		w.choose(&reader.replays[0].modelReader)
	} else {
		w.start(reader)
	}
	before, replayed := reader.pos, w.stats.Replayed
	short := reader.mode == modeCatchingUp && reader.last == nil && replays == 0 && rapid.Bool().Draw(w.t, "short")
	if short { // wherever the step ends
		w.s.step = pick[uint64](w.t, 1, 10, 30, 100)
	}
	w.s.Work()
	for w.s.step = stepWork; w.s.overdue; {
		w.s.Tick(w.now)
	}
	w.look()
	if short && (reader.mode == modeCatchingUp || reader.mode == modeWriting) && c.pos > reader.pos {
		if e := w.due(&reader.modelReader, c.pos); e != nil {
			w.t.Fatalf("client %v at %d passed over %d, to %d", c.id, reader.pos, e.position, c.pos)
		}
		reader.pos = c.pos
	}
	if w.clients[reader.id] != reader {
		return // told of a gap
	}
	w.evict()
	w.bounded(chunkEvents+6, 2*chunkBytes)
	if reader.mode == modeCatchingUp && replays == 0 && !short {
		w.t.Fatalf("client %v at %d of %d got nowhere", c.id, before, w.head())
	}
	if n := w.stats.Replayed - replayed; n > chunkEvents {
		w.t.Fatalf("%d events at once", n)
	}
}
