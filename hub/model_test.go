package hub

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestModel does random commands to a State, with couriers and peers that are
// late, full and lost at random, and compares all that comes of it with a
// model that is too simple to be wrong: a list of all events ever published,
// which it goes through from the first to the last for every question.
//
// What must hold: the client gets what its subscriptions cover and nothing
// else, in order, without a hole over all its connections, unless it is told
// of a gap; it gets twice only what was not confirmed.
func TestModel(t *testing.T) {
	t.Parallel()
	exact := []string{"a", "a.b", "a.c", "b", "$s.b"}
	patterns := append([]string{"a.*", ">", "*", "*.b", "a.>", "$s.*"}, exact...)
	for _, kind := range []struct {
		name   string
		topics []string // to subscribe to
		sizes  []int    // of messages
		events []int    // HistoryEvents
		bytes  []int    // HistoryBytes
	}{
		{"exact", exact, []int{0, 1, 10}, []int{100, 1, 3}, []int{1 << 30, 1500}},
		{"patterns", patterns, []int{0, 1, 10}, []int{100, 1, 3}, []int{1 << 30, 1500}},
		{"chunks", append(exact[:4:4], ">", "a.*"), []int{chunkBytes, 10}, []int{100, 5}, []int{1 << 30, 10 * chunkBytes}},
		{"forgetful", patterns, []int{10}, []int{0, 1}, []int{1 << 30, 700}},
	} {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				opts := testOptions()
				opts.Couriers = 2
				opts.MaxClients = 3
				opts.MaxConnections = pick(t, 3, 2)
				opts.MaxSubscriptions = 4
				opts.RegisterTTL = 20 * time.Second
				opts.ResumeWindow = pick(t, 15*time.Second, 0)
				opts.HistoryEvents = pick(t, kind.events...)
				opts.HistoryBytes = pick(t, kind.bytes...)
				opts.HistoryAge = pick(t, time.Hour, 12*time.Second)
				opts.Backlog = pick(t, 1000, 4)
				opts.BacklogBytes = pick(t, 1<<20, 30)
				w := newWorld(t, opts, pick(t, 1<<30, 150), kind.topics, kind.sizes)
				t.Repeat(map[string]func(*rapid.T){"": w.check, "step": w.step})
				w.settle()
				w.end()
			})
		})
	}
}

func pick[T any](t *rapid.T, from ...T) T { return rapid.SampledFrom(from).Draw(t, "pick") }

// A world is a State, what is around it, and the model.
type world struct {
	t      *rapid.T
	s      *State
	opts   Options
	topics []string
	sizes  []int

	couriers []*simCourier
	conns    int   // connections made
	seen     []int // by courier: ops that waited for it and were checked

	now     time.Time
	events  []*modelEvent // all, in order
	floor   Position      // highest position evicted with the last of its topic and user
	clients map[ID]*modelClient
	stats   Stats
	told    []order
}

// An order is a control op that a connection's courier still has to get.
type order struct {
	conn   *simConn
	kind   OpKind
	reason Reason
}

// A modelEvent is something published.
type modelEvent struct {
	position    Position
	topic, user string
	time        time.Time
	size        int // accounted bytes
	encoded     [MaxEncodings]int
	evicted     bool
}

// A modelClient is a registration.
type modelClient struct {
	id      ID
	user    string
	since   map[string]Position // by subscription
	mode    mode
	born    Position // head when it connected first
	pos     Position // everything up to here was handed over
	conn    *simConn
	expiry  time.Time // without a connection
	earlier int       // connections that have not reported
	taken   []time.Time

	confirmed map[Position]bool // as the hub heard
	received  map[Position]bool // by the peer
}

// A modelConn is what the model knows of a connection.
type modelConn struct {
	client *modelClient // nil once it is of no consequence
	began  bool         // reading
	start  Position
	handed []Position
}

func newWorld(t *rapid.T, opts Options, bound int, topics []string, sizes []int) *world {
	w := &world{t: t, opts: opts, topics: topics, sizes: sizes, now: epoch, clients: make(map[ID]*modelClient)}
	w.opts.Encode = w.encode
	w.s = NewState(w.opts)
	w.s.Tick(w.now)
	for i := range opts.Couriers {
		w.couriers = append(w.couriers, &simCourier{number: i, bound: bound, spare: &Batch{}})
	}
	w.seen = make([]int, opts.Couriers)
	w.stats.Disconnects, w.stats.Removals = make([]uint64, reasons), make([]uint64, reasons)
	return w
}

var zeros = make([]byte, 1<<20)

// encode is the hub's encoder. An event's ID is its position.
func (w *world) encode(enc Encoding, ev *Event, at Cursor) []byte {
	position, err := strconv.Atoi(ev.ID)
	if err != nil {
		w.t.Fatalf("an event that was not published is encoded: %+v", ev)
	}
	e := w.events[position-1]
	if e.encoded[enc] > 0 || e.evicted {
		w.t.Fatalf("event %d is encoded again", position)
	}
	p := zeros[:len(ev.Message)+int(enc)+1]
	e.encoded[enc] = len(p)
	e.size += len(p)
	return p
}

// The model's rules.

func (c *modelClient) covers(e *modelEvent) bool {
	for name, since := range c.since {
		if e.position > since && naiveMatch(name, e.topic) {
			return true
		}
	}
	return false
}

func (c *modelClient) sees(e *modelEvent) bool {
	return (e.user == "" || e.user == c.user) && c.covers(e)
}

// due returns the next event that has to be handed to a client, or nil.
func (w *world) due(c *modelClient) *modelEvent {
	for _, e := range w.events[c.pos:] {
		if c.sees(e) {
			return e
		}
	}
	return nil
}

// evict applies retention: by count for each topic and user, then from the
// front by bytes and age.
func (w *world) evict() {
	type stream struct{ topic, user string }
	left := make(map[stream]int)
	total := 0
	for _, e := range slices.Backward(w.events) {
		if e.evicted {
			continue
		}
		key := stream{e.topic, e.user}
		if left[key]++; left[key] > w.opts.HistoryEvents {
			e.evicted = true
			w.stats.Evicted++
			left[key]--
			if left[key] == 0 {
				w.floor = max(w.floor, e.position)
			}
		} else {
			total += e.size
		}
	}
	for _, e := range w.events {
		if e.evicted {
			continue
		}
		if total <= w.opts.HistoryBytes && !e.time.Before(w.now.Add(-w.opts.HistoryAge)) {
			break
		}
		e.evicted = true
		w.stats.Evicted++
		total -= e.size
		key := stream{e.topic, e.user}
		if left[key]--; left[key] == 0 {
			w.floor = max(w.floor, e.position)
		}
	}
}

// mustTell reports whether something that is due to a client is lost; mayTell
// whether the hub cannot know that nothing is.
func (w *world) mustTell(c *modelClient) bool {
	return slices.ContainsFunc(w.events[c.pos:], func(e *modelEvent) bool { return e.evicted && c.sees(e) })
}

func (w *world) mayTell(c *modelClient) bool {
	for _, since := range c.since {
		if w.floor > max(c.pos, since) {
			return true
		}
	}
	return w.mustTell(c)
}

func (w *world) forget(c *modelClient, why Reason) {
	if c.conn != nil {
		c.conn.model.client = nil
		w.stats.Connected--
	}
	c.conn, c.mode = nil, modeNew
	delete(w.clients, c.id)
	w.stats.Removals[why]++
}

// begin has a connection read on.
func (c *modelClient) begin() {
	c.mode = modeReading
	c.conn.model.began, c.conn.model.start = true, c.pos
}

func (w *world) tell(c *simConn, kind OpKind, why Reason) {
	w.told = append(w.told, order{c, kind, why})
	if kind == OpClose {
		w.stats.Disconnects[why]++
	}
}
