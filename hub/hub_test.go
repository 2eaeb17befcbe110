package hub

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A testHub is a hub that runs, and its one courier.
type testHub struct {
	*Hub
	t   *testing.T
	end func() // ends the hub and waits for it
}

// run runs a hub until the test ends.
func run(t *testing.T, opts Options) *testHub {
	opts.Clock = time.Now
	ctx, cancel := context.WithCancel(context.Background())
	h := &testHub{Hub: New(opts), t: t}
	h.end = func() { cancel(); <-h.Done() }
	go h.Run(ctx)
	t.Cleanup(h.end)
	return h
}

func (h *testHub) ok(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// connect registers a client and gives it a connection, both of that name.
func (h *testHub) connect(name string, topics ...string) *Conn {
	h.t.Helper()
	_, err := h.Register(Registration{ID: testID(name), User: "u", Topics: topics})
	h.ok(err)
	c := &Conn{Owner: name}
	h.ok(h.Attach(testID(name), c, From{}))
	return c
}

func (h *testHub) publish(topic, message string) error {
	_, err := h.Publish(context.Background(), Event{Topic: topic, Time: time.Now(), Message: []byte(message)})
	return err
}

// want takes the next batch and compares what is in it. In a bubble of
// synctest a batch that does not come is a deadlock.
func (h *testHub) want(ops ...string) *Batch {
	h.t.Helper()
	b := <-h.Batches(0)
	var got []string
	for i := range b.Ops {
		got = append(got, describe(b, i))
	}
	if !slices.Equal(got, ops) {
		h.t.Fatalf("got  %s\nwant %s", strings.Join(got, ", "), strings.Join(ops, ", "))
	}
	return b
}

// wantNothing checks that no batch comes before something happens.
func (h *testHub) wantNothing() {
	h.t.Helper()
	synctest.Wait()
	select {
	case b := <-h.Batches(0):
		h.t.Fatalf("got a batch of %d ops", len(b.Ops))
	default:
	}
}

// While couriers are too slow events wait, until their time is over or there is
// room again. Everything else goes on.
func TestBusy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		opts := testOptions()
		opts.Backlog = 2
		opts.PublishTimeout = 3 * time.Second
		h := run(t, opts)
		h.connect("a", "cats")
		b := h.want("a opened", "a live")
		h.ok(h.publish("cats", "one"))
		h.ok(h.publish("cats", "two"))

		start := time.Now()
		if err := h.publish("cats", "late"); err != ErrBusy || time.Since(start) != opts.PublishTimeout {
			t.Errorf("got %v after %v, want %v after %v", err, time.Since(start), ErrBusy, opts.PublishTimeout)
		}
		start = time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := h.Publish(ctx, Event{Topic: "cats"}); err != ErrBusy || time.Since(start) != time.Second {
			t.Errorf("got %v after %v, want %v when ctx ends", err, time.Since(start), ErrBusy)
		}

		waiting := make(chan error)
		for range 3 {
			go func() { waiting <- h.publish("cats", "more") }()
		}
		_, err := h.Register(Registration{ID: testID("b"), User: "u", Topics: []string{"cats"}})
		h.ok(err)
		h.ok(h.AddTopic(testID("b"), "dogs"))
		st, err := h.Stats()
		h.ok(err)
		if !st.Behind || st.Published != 2 || st.Head != 2 || st.Clients != 2 {
			t.Errorf("while busy: %+v", st)
		}

		h.ok(h.BatchDone(0, b))
		h.ok(<-waiting)
		h.ok(<-waiting)
		b = h.want("a < 1 one", "a < 2 two")
		h.ok(h.BatchDone(0, b))
		h.ok(<-waiting)
		b = h.want("a < 3 more", "a < 4 more")
		h.ok(h.BatchDone(0, b))
		b = h.want("a < 5 more")
		if b.Head != 5 {
			t.Errorf("the head is %d: an event that failed had an effect", b.Head)
		}
	})
}

// Nor does anybody read from the log while couriers are too slow.
func TestBusyReader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		opts := testOptions()
		opts.Backlog = 4
		h := run(t, opts)
		b := h.connect("b", "cats")
		h.connect("a", "cats")
		batch := h.want("b opened", "b live")
		h.ok(h.ConnEnded(ConnReport{Conn: b}))
		synctest.Wait()
		h.ok(h.publish("cats", "one"))
		h.ok(h.publish("cats", "two"))
		h.ok(h.Attach(testID("b"), &Conn{Owner: "b2"}, From{}))
		h.wantNothing()
		if st, err := h.Stats(); err != nil || st.Reading != 1 || st.Replayed != 0 {
			t.Errorf("while busy: %+v, %v", st, err)
		}
		h.ok(h.BatchDone(0, batch))
		batch = h.want("a opened", "a live", "a < 1 one", "a < 2 two", "b2 opened")
		h.ok(h.BatchDone(0, batch))
		h.want("b2 < 1 one", "b2 < 2 two", "b2 live")
	})
}

// A courier has one batch at a time; what comes meanwhile leaves together.
func TestBatchesGather(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := run(t, testOptions())
		h.connect("a", "cats")
		b := h.want("a opened", "a live")
		h.ok(h.publish("cats", "one"))
		h.connect("b", "cats")
		h.ok(h.publish("cats", "two"))
		h.wantNothing()
		h.ok(h.BatchDone(0, b))
		b = h.want("a < 1 one", "b opened", "b live", "a,b < 2 two")
		h.ok(h.BatchDone(0, b))
		h.wantNothing()
		h.ok(h.publish("cats", "three"))
		h.want("a,b < 3 three")
	})
}

// Commands that have arrived together are served before anything is sent, but
// for so many that those who wait would wait too long.
func TestCommandsGather(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		opts := testOptions()
		opts.Clock = time.Now
		opts.Queue = 1 + drainLimit + 10
		h := New(opts)
		for range opts.Queue {
			if err := h.Attach(ID{}, &Conn{}, From{}); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go h.Run(ctx)
		for _, want := range []int{1 + drainLimit, 10} {
			b := <-h.Batches(0)
			if len(b.Ops) != 2*want { // opened and closed
				t.Errorf("got %d ops, want %d", len(b.Ops), 2*want)
			}
			synctest.Wait()
			if err := h.BatchDone(0, b); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// What the state answers comes back.
func TestAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := run(t, testOptions())
		c := h.connect("a", "cats")
		id, nobody := testID("a"), testID("nobody")
		h.ok(h.AddTopic(id, "dogs"))
		h.ok(h.RemoveTopic(id, "cats"))
		h.ok(h.Admit(id))
		for name, err := range map[string]error{
			"AddTopic":    h.AddTopic(nobody, "dogs"),
			"RemoveTopic": h.RemoveTopic(nobody, "dogs"),
			"Admit":       h.Admit(nobody),
		} {
			if err != ErrUnknownClient {
				t.Errorf("%s: got %v, want %v", name, err, ErrUnknownClient)
			}
		}
		r, err := h.Publish(t.Context(), Event{Topic: "dogs", Message: []byte("bark")})
		if want := (Receipt{Cursor: Cursor{1, 1}, Matched: 1, Queued: 1}); r != want || err != nil {
			t.Errorf("Publish: got %+v, %v, want %+v", r, err, want)
		}
		for _, want := range []bool{true, false} {
			if done, err := h.SetTopics(c, []string{"cats"}); done != want || err != nil {
				t.Errorf("SetTopics: got %v, %v, want %v", done, err, want)
			}
			if was, err := h.Unregister(id); was != want || err != nil {
				t.Errorf("Unregister: got %v, %v, want %v", was, err, want)
			}
		}
	})
}

// A replay goes on by itself, a chunk at a time, and shares the hub.
func TestReplay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		opts := testOptions()
		opts.HistoryEvents = 1000
		h := run(t, opts)
		c := h.connect("a", "cats")
		b := h.want("a opened", "a live")
		h.ok(h.BatchDone(0, b))
		h.ok(h.ConnEnded(ConnReport{Conn: c}))
		synctest.Wait()
		for range 600 {
			h.ok(h.publish("cats", "m"))
		}
		c = &Conn{Owner: "a2"}
		h.ok(h.Attach(testID("a"), c, From{}))
		next := Position(1)
		for live := false; !live; {
			b := <-h.Batches(0)
			for _, op := range b.Ops {
				switch op.Kind {
				case OpDeliver, OpChunk:
					if op.Frame.Position != next {
						t.Fatalf("got %d, want %d", op.Frame.Position, next)
					}
					next++
					if op.Kind == OpChunk {
						h.wantNothing()
						h.ok(h.publish("cats", "live"))
						h.ok(h.ChunkWritten(c))
					}
				case OpLive:
					live = true
				}
			}
			h.ok(h.BatchDone(0, b))
		}
		if next != 603 {
			t.Errorf("live at %d, want 602", next-1)
		}
	})
}

// A courier that has nothing to do hears of the head in the end, once.
func TestAnnounce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := run(t, testOptions())
		h.ok(h.publish("cats", "nobody listens"))
		h.wantNothing()
		time.Sleep(tickInterval)
		b := h.want()
		if b.Head != 1 {
			t.Errorf("the head is %d", b.Head)
		}
		h.ok(h.BatchDone(0, b))
		time.Sleep(time.Hour)
		h.wantNothing()
	})
}

// What runs out does so to the moment, when anybody asks.
func TestClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		opts := testOptions()
		opts.RegisterTTL = time.Minute + time.Millisecond // between two ticks
		h := run(t, opts)
		r, err := h.Register(Registration{ID: testID("a"), User: "u", Topics: []string{"cats"}})
		h.ok(err)
		if want := time.Now().Add(opts.RegisterTTL); !r.ExpiresAt.Equal(want) {
			t.Errorf("expires at %v, want %v", r.ExpiresAt, want)
		}
		time.Sleep(opts.RegisterTTL - time.Nanosecond)
		h.ok(h.Admit(testID("a")))
		time.Sleep(time.Nanosecond)
		if err := h.Admit(testID("a")); err != ErrUnknownClient {
			t.Errorf("got %v, want %v", err, ErrUnknownClient)
		}
	})
}

func TestDrain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := run(t, testOptions())
		h.connect("a", "cats")
		b := h.want("a opened", "a live")
		h.ok(h.publish("cats", "last"))
		h.ok(h.Drain())
		if err := h.publish("cats", "too late"); err != ErrDraining {
			t.Errorf("publish: %v", err)
		}
		if _, err := h.Register(Registration{ID: testID("b")}); err != ErrDraining {
			t.Errorf("register: %v", err)
		}
		h.ok(h.BatchDone(0, b))
		h.want("a < 1 last", "a closed: draining")
	})
}

// After its end every method of a hub says so, to those who wait as well.
func TestClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		opts := testOptions()
		opts.Backlog = 1
		h := run(t, opts)
		c := h.connect("a", "cats")
		b := h.want("a opened", "a live")
		h.ok(h.publish("cats", "one"))
		waiting := make(chan error)
		go func() { waiting <- h.publish("cats", "two") }()
		synctest.Wait()
		h.end()
		if err := <-waiting; err != ErrClosed {
			t.Errorf("an event that waited: %v", err)
		}
		id := testID("a")
		for _, method := range []struct {
			name string
			call func() error
		}{
			// First those that wait for no answer: there is room in the queue.
			{"Attach", func() error { return h.Attach(id, &Conn{}, From{}) }},
			{"ConnEnded", func() error { return h.ConnEnded(ConnReport{Conn: c}) }},
			{"ChunkWritten", func() error { return h.ChunkWritten(c) }},
			{"Ready", func() error { return h.BatchDone(0, b) }},
			{"Publish", func() error { return h.publish("cats", "three") }},
			{"Register", func() error { _, err := h.Register(Registration{ID: testID("b")}); return err }},
			{"Unregister", func() error { _, err := h.Unregister(id); return err }},
			{"AddTopic", func() error { return h.AddTopic(id, "dogs") }},
			{"RemoveTopic", func() error { return h.RemoveTopic(id, "cats") }},
			{"SetTopics", func() error { _, err := h.SetTopics(c, nil); return err }},
			{"Admit", func() error { return h.Admit(id) }},
			{"Stats", func() error { _, err := h.Stats(); return err }},
			{"Drain", func() error { return h.Drain() }},
		} {
			for range opts.Queue + 1 {
				if err := method.call(); err != ErrClosed {
					t.Errorf("%s: got %v, want %v", method.name, err, ErrClosed)
					break
				}
			}
		}
	})
}

// Requests that the hub has not served when it ends are not left waiting.
func TestEndWithRequestsQueued(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		opts := testOptions()
		opts.Clock = time.Now
		h := New(opts)
		answers := make(chan error)
		const requests = 40 // some find no room in the queue
		for range requests {
			go func() { _, err := h.Stats(); answers <- err }()
		}
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		h.Run(ctx)
		for range requests {
			if err := <-answers; err != nil && err != ErrClosed {
				t.Error(err)
			}
		}
	})
}

// Publishers, couriers and others at once: every connection gets every event
// in one and the same order, though couriers are too slow most of the time.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	const publishers, events, connections = 4, 200, 8
	opts := testOptions()
	opts.Couriers = 2
	opts.Backlog = 10
	opts.PublishTimeout = time.Minute
	h := run(t, opts)
	for i := range connections {
		id := testID(strconv.Itoa(i))
		_, err := h.Register(Registration{ID: id, User: "u", Topics: []string{"cats", ">"}})
		h.ok(err)
		h.ok(h.Attach(id, &Conn{Owner: i, Courier: int32(i % opts.Couriers)}, From{}))
	}
	var work sync.WaitGroup
	for i := range opts.Couriers {
		work.Go(func() { receiveAll(t, h.Hub, i, connections/opts.Couriers, publishers*events) })
	}
	for range publishers {
		work.Go(func() {
			for range events {
				if err := h.publish("cats", "hello"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	work.Go(func() {
		for range events {
			_, registered := h.Register(Registration{ID: testID("x"), User: "u", Topics: []string{"cats"}})
			_, removed := h.Unregister(testID("x"))
			if err := errors.Join(registered, removed); err != nil {
				t.Error(err)
			}
		}
	})
	work.Wait()
	if st, err := h.Stats(); err != nil || st.Head != publishers*events || st.Clients != connections {
		t.Errorf("in the end: %+v, %v", st, err)
	}
}

// receiveAll is a courier: it takes batches until each of its connections has
// had so many events, in order.
func receiveAll(t *testing.T, h *Hub, courier, connections, events int) {
	got := make(map[*Conn]Position)
	for left := connections * events; left > 0; {
		b := <-h.Batches(courier)
		for i, op := range b.Ops {
			if op.Kind != OpDeliver {
				continue
			}
			for _, c := range b.Targets(i) {
				if got[c]++; got[c] != op.Frame.Position {
					t.Errorf("connection %v: got %d, want %d", c.Owner, op.Frame.Position, got[c])
				}
				left--
			}
		}
		if err := h.BatchDone(courier, b); err != nil {
			t.Error(err)
			return
		}
	}
}
