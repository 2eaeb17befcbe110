package hub

import (
	"slices"
	"strconv"
	"strings"
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
// else, in order, without a hole over all its connections or from the cursor on
// that it comes back with, unless it is told of a gap; it gets twice only what
// was not confirmed, or what it asked for.
func TestModel(t *testing.T) {
	t.Parallel()
	exact := []string{"a", "a.b", "a.c", "b", "$s.b", "$presence.a", "$presence.a.b"}
	patterns := append([]string{"a.*", ">", "*", "*.b", "a.>", "$s.*", "$presence.>", "$presence.*"}, exact...)
	for _, kind := range []struct {
		name   string
		topics []string // to subscribe to
		sizes  []int    // of messages
		events []int    // HistoryEvents
		bytes  []int    // HistoryBytes
	}{
		{"exact", exact, []int{0, 1, 10}, []int{100, 1, 3}, []int{1 << 30, 2200}},
		{"patterns", patterns, []int{0, 1, 10}, []int{100, 1, 3}, []int{1 << 30, 2200}},
		{"chunks", append(exact[:4:4], ">", "a.*"), []int{chunkBytes, 10}, []int{100, 5}, []int{1 << 30, 10 * chunkBytes}},
		{"forgetful", patterns, []int{10}, []int{0, 1}, []int{1 << 30, 1000}},
	} {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				opts := testOptions()
				opts.Couriers = 2
				opts.MaxClients, opts.MaxUserClients = 3, pick(t, 0, 2)
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
	asked    int   // requests made
	seen     []int // by courier: ops that waited for it and were checked

	now     time.Time
	events  []*modelEvent // all, in order
	floor   Position      // highest position evicted with the last of its topic and user
	clients map[ID]*modelClient
	polls   map[*Poll]*modelPoll
	stats   Stats
	told    []order
	there   map[attendance]bool // users with connected clients, by topic, when it was looked at last
	news    []PresenceChange    // that are to be told
	frames  map[*byte]encoded   // by their first byte
}

// An order is an op that a connection's courier still has to get, beside
// events.
type order struct {
	conn   *simConn
	kind   OpKind
	reason Reason
	at     Position
	text   string // of a note, or of a frame that is no event
}

// An encoded is what is in a frame.
type encoded struct {
	position Position
	enc      Encoding
}

// A modelEvent is something published.
type modelEvent struct {
	position    Position
	topic, user string
	born        time.Time
	expires     time.Time // zero: never
	size        int       // accounted bytes
	encoded     [testEncodings]int
	evicted     bool
}

func (e *modelEvent) expired(now time.Time) bool {
	return !e.expires.IsZero() && !now.Before(e.expires)
}

// A modelClient is a registration.
type modelClient struct {
	modelReader
	id        ID
	ephemeral bool
	mode      mode
	born      Position // from here on it gets all, without a hole
	sparse    Position // up to here it gets what there still is of the newest events
	conn      *simConn
	replays   []*modelReplay
	made      int       // connections
	placed    int       // number of the one that pos comes from
	expiry    time.Time // without a connection
	earlier   int       // connections that have not reported
	taken     []time.Time

	confirmed map[Position]bool // as the hub heard
	received  map[Position]bool // by the peer
	excused   map[Position]bool // it was told that they are gone, or has not asked for them
}

// A modelConn is what the model knows of a connection.
type modelConn struct {
	client *modelClient // nil once it is of no consequence
	number int
	began  bool // reading
	start  Position
	sparse Position // the bound of a wish for the newest events
	handed []Position
}

func newWorld(t *rapid.T, opts Options, bound int, topics []string, sizes []int) *world {
	w := &world{t: t, opts: opts, topics: topics, sizes: sizes, now: epoch, clients: make(map[ID]*modelClient),
		polls: make(map[*Poll]*modelPoll), frames: make(map[*byte]encoded)}
	w.opts.Encoders = testEncoders(w.encode)
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
	if c, is := strings.CutPrefix(ev.ID, "presence-"); is {
		var cursor Cursor
		if cursor, is = ParseCursor(c); is {
			position, err = int(cursor.Position), nil
		}
	}
	if err != nil {
		w.t.Fatalf("an event that was not published is encoded: %+v", ev)
	}
	e := w.events[position-1]
	if e.encoded[enc] > 0 || e.evicted {
		w.t.Fatalf("event %d is encoded again", position)
	}
	// Each frame is at an address of its own.
	p := zeros[len(w.frames):][:len(ev.Message)+int(enc)+1]
	w.frames[&p[0]] = encoded{e.position, enc}
	e.encoded[enc] = len(p)
	e.size += frameOverhead + len(p)
	return p
}

// evict applies retention: by count for each topic and user, then from the
// front by bytes and age.
func (w *world) evict() { w.evictOf(w.events) }

func (w *world) evictOf(events []*modelEvent) {
	type stream struct{ topic, user string }
	left, topics := make(map[stream]int), make(map[string]int)
	total := 0
	for _, e := range slices.Backward(events) {
		if e.evicted {
			continue
		}
		key := stream{e.topic, e.user}
		if left[key]++; left[key] > w.opts.HistoryEvents {
			w.lose(e)
			left[key]--
			if left[key] == 0 {
				w.floor = max(w.floor, e.position)
			}
		} else {
			total += e.size
			if left[key] == 1 {
				total += streamOverhead + len(e.user)
			}
			if topics[e.topic]++; topics[e.topic] == 1 {
				total += topicOverhead + len(e.topic)
			}
		}
	}
	for _, e := range events {
		if e.evicted {
			continue
		}
		if total <= w.opts.HistoryBytes && !e.born.Before(w.now.Add(-w.opts.HistoryAge)) {
			break
		}
		w.lose(e)
		total -= e.size
		key := stream{e.topic, e.user}
		if left[key]--; left[key] == 0 {
			total -= streamOverhead + len(e.user)
			w.floor = max(w.floor, e.position)
		}
		if topics[e.topic]--; topics[e.topic] == 0 {
			total -= topicOverhead + len(e.topic)
		}
	}
}

func (w *world) forget(c *modelClient, why Reason) {
	if c.conn != nil {
		c.conn.model.client = nil
		w.stats.Connected--
	}
	c.conn, c.mode = nil, modeGone
	delete(w.clients, c.id)
	w.stats.Removals[why]++
}

// begin has a connection read on. What was told to earlier ones may not have
// gone out.
func (c *modelClient) begin() {
	c.mode = modeCatchingUp
	c.told, c.lost = make(map[string]Position), make(map[Position]bool)
	c.conn.model.began, c.conn.model.start = true, c.pos
}

func (w *world) tell(c *simConn, kind OpKind, why Reason) {
	w.told = append(w.told, order{conn: c, kind: kind, reason: why})
	if kind == OpClose {
		w.stats.Disconnects[why]++
	}
}

// note has a connection be told something, up to a position.
func (w *world) note(c *simConn, n Note, at Position) {
	if _, gap := n.(Gap); gap && c.Notes {
		w.stats.Gaps++
	}
	if c.Notes {
		w.told = append(w.told, order{conn: c, kind: OpNote, at: at, text: sorted(n)})
	}
}

// sorted describes a note with its topics in alphabetical order.
func sorted(n Note) string {
	switch m := n.(type) {
	case Welcome:
		m.Topics = distinct(m.Topics)
		n = m
	case Gap:
		m.Topics = distinct(m.Topics)
		n = m
	}
	return describeNote(n)
}
