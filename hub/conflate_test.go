package hub

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A latestReader is a connection that wants the newest event of each topic, with a
// courier that writes what it is given when it is told to.
type latestReader struct {
	t     *testing.T
	s     *State
	conn  *Conn
	got   []turn
	last  map[string]Position
	left  map[string]Position
	again int // events that came again
}

// A turn is an event that was handed over.
type turn struct {
	topic string
	at    Position
}

// replayed is how events of a replay are encoded for a latestReader, which passes over them.
const replayed Encoding = 1

// newLatestReader connects a client that reads from the beginning of the log. Events
// are told by their ids, which are positions.
func newLatestReader(t *testing.T, opts Options, topics ...string) *latestReader {
	opts.Encoders = testEncoders(func(e Encoding, ev *Event, _ Cursor) []byte {
		if e == replayed {
			return nil
		}
		return []byte(ev.Topic + ":" + ev.ID)
	})
	r := &latestReader{t: t, s: NewState(opts), last: make(map[string]Position), left: make(map[string]Position)}
	r.s.Tick(epoch)
	if _, err := r.s.Register(Registration{ID: testID("a"), User: "u", Topics: topics}); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *latestReader) connect() {
	r.conn = &Conn{Owner: "a", Slow: SlowLatest, Notes: true, Replay: replayed}
	r.s.Attach(testID("a"), r.conn, From{After: &Cursor{r.s.opts.Epoch, 0}})
}

func (r *latestReader) publish(topic string, message []byte) {
	r.t.Helper()
	id := strconv.Itoa(int(r.s.window.head) + 1)
	if _, err := r.s.Publish(Event{ID: id, Topic: topic, Time: epoch, Message: message}); err != nil {
		r.t.Fatal(err)
	}
}

// write writes what it was given, and has the hub go on. It reports whether there is
// more to come.
func (r *latestReader) write() (more bool) {
	for r.s.Busy() {
		r.s.Work()
	}
	b := r.s.Take(0, &Batch{})
	if b == nil {
		return false
	}
	for i := range b.Ops {
		switch op := &b.Ops[i]; op.Kind {
		case OpNewest, OpDeliver:
			r.take(op.Frame)
		case OpChunk:
			r.take(op.Frame)
			r.s.ChunkWritten(r.conn)
			more = true
		case OpReportWhenWritten:
			r.s.ChunkWritten(r.conn)
			more = true
		case OpNote:
			if gap, is := op.Note.(Gap); is {
				r.t.Fatalf("it is told of a gap: %+v", gap)
			}
		case OpClose:
			r.t.Fatalf("it is closed: %v", op.Reason)
		}
	}
	return more
}

// take takes an event, unless it is one of a replay.
func (r *latestReader) take(f *Frame) {
	r.t.Helper()
	if len(f.Bytes) == 0 {
		return
	}
	topic, at, _ := strings.Cut(string(f.Bytes), ":")
	n, err := strconv.Atoi(at)
	if err != nil {
		r.t.Fatal(err)
	}
	got := turn{topic, Position(n)}
	switch last := r.last[topic]; {
	case got.at == last && got.at != r.left[topic]:
		r.again++
	case got.at < last:
		r.t.Fatalf("%s: after %d comes %d", topic, last, n)
	}
	r.last[topic] = got.at
	r.got = append(r.got, got)
}

// complete checks that it is live and has had the newest event of each topic.
func (r *latestReader) complete() {
	r.t.Helper()
	for r.write() {
	}
	c := r.s.clients[testID("a")]
	if c.mode != modeLive {
		r.t.Errorf("it is not live but in mode %d", c.mode)
	}
	for name, topic := range r.s.topics {
		if covers(c.subs, topic, topic.newest) && r.last[name] != topic.newest {
			r.t.Errorf("of %q it has had %d, the newest is %d", name, r.last[name], topic.newest)
		}
	}
	checkInvariants(r.t, r.s)
}

// TestLatestFair: topics have their turns one after the other, however often each of
// them changes meanwhile and however little of it is retained.
func TestLatestFair(t *testing.T) {
	t.Parallel()
	for _, retained := range []int{1, 3, 100} {
		for name, subs := range map[string][]string{"patterns": {"t.*", "busy"}, "exact": append(numbered("t.", 100), "busy")} {
			t.Run(fmt.Sprint(name, "/", retained), func(t *testing.T) {
				t.Parallel()
				opts := testOptions()
				opts.HistoryEvents = retained
				r := newLatestReader(t, opts, subs...)
				rng := rand.New(rand.NewPCG(1, 2))
				message := make([]byte, 100)
				for _, topic := range append(numbered("t.", 100), "busy", "other.1") {
					r.publish(topic, message)
				}
				r.connect()
				for range 50 {
					for range 20 {
						r.publish("busy", message)
						r.publish("other."+strconv.Itoa(rng.IntN(200)), message)
					}
					for i := range 100 {
						r.publish("t."+strconv.Itoa((i*7)%100), message)
					}
					if !r.write() {
						t.Fatal("it has come to an end")
					}
				}
				turns := make(map[string]int)
				for _, got := range r.got {
					turns[got.topic]++
				}
				if len(turns) != 101 {
					t.Errorf("%d topics had turns", len(turns))
				}
				for i, got := range r.got[101:] {
					if got.topic != r.got[i].topic {
						t.Fatalf("turn %d is of %s, that of the last round was of %s", i+101, got.topic, r.got[i].topic)
					}
				}
				r.complete()
				if r.again > 0 {
					t.Errorf("%d events came again", r.again)
				}
			})
		}
	}
}

// TestLatestSubscribes: who subscribes to more in the middle of a round, from a cursor
// on, is given all that it sees then, once.
func TestLatestSubscribes(t *testing.T) {
	t.Parallel()
	opts := testOptions()
	r := newLatestReader(t, opts, "a.*")
	message := make([]byte, 1000)
	for i := range 20 {
		r.publish(fmt.Sprint("a.", i), message)
		r.publish(fmt.Sprint("b.", i), message)
	}
	r.connect()
	for _, name := range []string{"b.*", "*.3", "c"} {
		r.write()
		r.publish("c", message)
		if err := r.s.Subscribe(r.conn, Subscribe{Topics: []string{name}, From: From{After: &Cursor{1, 0}}}); err != nil {
			t.Fatal(err)
		}
		r.publish("b.1", message)
	}
	r.complete()
	if r.again > 0 {
		t.Errorf("%d events came again", r.again)
	}
}

// TestLatestSubscribesAgain: a connection that subscribes again and again, to what it has and to
// what it has not, from a cursor on and from now on, is given all that it sees then, once.
func TestLatestSubscribesAgain(t *testing.T) {
	t.Parallel()
	for seed := range uint64(1000) {
		r := newLatestReader(t, testOptions(), "a.1")
		rng := rand.New(rand.NewPCG(seed, 1))
		topics := []string{"a.1", "a.2", "b.1", "b.2"}
		names := append(slices.Clone(topics), "a.*", "*.2", ">")
		r.connect()
		for range 60 {
			switch name := names[rng.IntN(len(names))]; rng.IntN(10) {
			case 0, 1, 2, 3:
				r.publish(topics[rng.IntN(len(topics))], make([]byte, 3000))
			case 4, 5:
				r.write()
			case 6:
				r.subscribe(name, From{After: &Cursor{1, Position(rng.IntN(int(r.s.window.head) + 1))}})
			case 7:
				r.subscribe(name, From{})
			case 8:
				r.unsubscribe(name)
			case 9:
				r.s.Lag(r.conn)
			}
		}
		r.complete()
		if r.again > 0 {
			t.Errorf("seed %d: %d events came again", seed, r.again)
		}
	}
}

func (r *latestReader) subscribe(name string, from From) {
	r.t.Helper()
	if err := r.s.Subscribe(r.conn, Subscribe{Topics: []string{name}, From: from}); err != nil {
		r.t.Fatal(err)
	}
}

func (r *latestReader) unsubscribe(name string) {
	r.t.Helper()
	if err := r.s.Unsubscribe(r.conn, []string{name}, nil); err != nil {
		r.t.Fatal(err)
	}
	for topic, at := range r.last {
		if Match(name, topic) {
			r.left[topic] = at // another subscription may give it again
		}
	}
}

// TestLatestLong: in a round that is too long for its marks nothing is left out, and
// nothing comes more than twice.
func TestLatestLong(t *testing.T) {
	t.Parallel()
	opts := testOptions()
	opts.HistoryEvents, opts.HistoryBytes = 1, 1<<30
	r := newLatestReader(t, opts, ">")
	message := make([]byte, 60_000)
	topics := numbered("t.", 2*conflationMarks)
	for _, topic := range topics {
		r.publish(topic, message)
	}
	r.connect()
	longest := 0
	for next := 0; next < len(topics); next = len(r.got) {
		for _, topic := range topics[next:min(next+2, len(topics))] {
			r.publish(topic, message) // just before it has its turn
		}
		r.write()
		if w := r.s.clients[testID("a")].slow.conflation; w == nil || len(w.now) > conflationMarks || len(w.before) > conflationMarks {
			t.Fatalf("it remembers too much")
		} else {
			longest = max(longest, len(w.now))
		}
	}
	r.complete()
	if longest < conflationMarks || r.again > len(topics)/2 {
		t.Errorf("%d marks, %d events came again", longest, r.again)
	}
	slices.SortFunc(r.got, func(a, b turn) int { return int(a.at) - int(b.at) })
	for i := 2; i < len(r.got); i++ {
		if r.got[i] == r.got[i-2] {
			t.Errorf("%v came three times", r.got[i])
		}
	}
}

// TestLatestMoves: that topics go, and others take their places in the roll, hides no
// news.
func TestLatestMoves(t *testing.T) {
	t.Parallel()
	r := newLatestReader(t, testOptions(), "keep.*")
	for i := range 5 {
		other := Registration{ID: testID(fmt.Sprint("other ", i)), User: "v", Topics: numbered("other.", 128)}
		if _, err := r.s.Register(other); err != nil {
			t.Fatal(err)
		}
	}
	for _, topic := range numbered("keep.", 100) {
		r.publish(topic, nil)
	}
	r.connect()
	r.complete()
	r.s.Lag(r.conn)
	for _, topic := range numbered("keep.", 100) {
		r.publish(topic, nil)
	}
	r.s.UnregisterUser("v")
	if n := len(r.s.topicList.rows); n > 200 {
		t.Errorf("%d rows: none has moved", n)
	}
	r.complete()
}
