package hub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// A vault is a State with a store that answers when a test wants it to, and with a
// connection that gets everything.
type vault struct {
	t    interface{ Fatalf(string, ...any) }
	s    *State
	conn *Conn
}

func newVault(t interface{ Fatalf(string, ...any) }) *vault {
	opts := testOptions()
	opts.Stored = true
	opts.DedupeWindow, opts.DedupeBytes = time.Minute, 1<<20
	v := &vault{t: t, s: NewState(opts), conn: &Conn{}}
	v.s.Tick(epoch)
	v.s.Connect(Registration{ID: testID("all"), Topics: []string{">"}}, v.conn, From{})
	v.got()
	return v
}

// order orders events, each of a topic that is its id, perhaps under a key.
func (v *vault) order(key Key, ids ...string) *Taking {
	p := Publication{Key: key}
	for _, id := range ids {
		p.Events = append(p.Events, Event{ID: id, Topic: "t." + id, Time: epoch})
	}
	t, err := v.s.Order(p)
	if err != nil {
		v.t.Fatalf("%v", err)
	}
	return t
}

// got returns the positions of the frames that the connection was given.
func (v *vault) got() (positions []Position) {
	for b := v.s.Take(0, &Batch{}); b != nil; b = v.s.Take(0, &Batch{}) {
		for _, op := range b.Ops {
			if op.Kind == OpDeliver {
				positions = append(positions, op.Frame.Position)
			}
		}
	}
	return positions
}

// commit has what waits stored, or refused with an error.
func (v *vault) commit(err error) *Commit {
	c := v.s.TakeCommit()
	if c == nil {
		v.t.Fatalf("nothing waits for the store")
	}
	if err != nil {
		v.s.Refused(c, err)
		return c
	}
	v.s.Committed(c)
	for v.s.Applying() {
		v.s.Work()
	}
	return c
}

func (v *vault) same(what string, got, want any) {
	if fmt.Sprint(got) != fmt.Sprint(want) {
		v.t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

// TestNothingBeforeItIsStored: nobody gets an event before it is stored, and its receipt
// comes after that.
func TestNothingBeforeItIsStored(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	first, second := v.order(Key{}, "a"), v.order(Key{}, "b", "c")
	v.same("frames", v.got(), []Position{})
	v.same("answers", len(v.s.Answers()), 0)
	v.same("head", v.s.Stats().Head, 0)
	c := v.commit(nil)
	v.same("stored", fmt.Sprintf("%d %d %s %d", len(c.Events), c.Events[2].Position, c.Events[2].ID, c.Given), "3 3 c 3")
	v.same("frames", v.got(), []Position{1, 2, 3})
	v.same("answers", len(v.s.Answers()), 2)
	v.same("receipts", append(first.receipts, second.receipts...), []Receipt{
		{ID: "a", Cursor: Cursor{1, 1}, Matched: 1, Queued: 1},
		{ID: "b", Cursor: Cursor{1, 2}, Matched: 1, Queued: 1}, {ID: "c", Cursor: Cursor{1, 3}, Matched: 1, Queued: 1},
	})
}

// TestRefusedCommit: what the store refuses has no effect, and its positions are not given
// again.
func TestRefusedCommit(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	key := testKey(1, 1)
	lost := v.order(key, "a", "b")
	failed := fmt.Errorf("%w: the disk is full", ErrNotStored)
	v.commit(failed)
	v.same("frames", v.got(), []Position{})
	v.same("answer", v.s.Answers()[0] == lost && errors.Is(lost.err, ErrNotStored), true)
	v.same("keys", fmt.Sprint(v.s.Stats().Keys, v.s.Stats().KeyBytes, v.s.authority.keys.order.len()), "0 0 0") // however many are refused
	again := v.order(key, "c", "d")
	v.commit(nil)
	v.same("frames", v.got(), []Position{3, 4})
	v.same("a receipt", again.receipts[0].Cursor.Position, 3)
	v.s.Tick(epoch.Add(2 * time.Minute))
	v.same("keys", v.s.Stats().Keys, 0)
}

// TestPendingKeys: a repeat of what is being stored is told so. When that is done, it gets
// the receipts.
func TestPendingKeys(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	whole, single := testKey(1, 1), testKey(2, 1)
	v.order(whole, "a", "b")
	list := Publication{
		Events: []Event{{ID: "c", Topic: "t.c", Time: epoch}, {ID: "d", Topic: "t.d", Time: epoch}, {ID: "e", Topic: "t.c", Time: epoch}},
		Keys:   []Key{single, {}, single},
	}
	twice, err := v.s.Order(list)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []Publication{{Key: whole, Events: []Event{{ID: "x", Topic: "t.a"}}}, list} {
		if _, err := v.s.Order(p); err != ErrKeyPending {
			t.Errorf("%v", err)
		}
	}
	c := v.commit(nil)
	v.same("records", len(c.Keys), 2)
	v.same("frames", v.got(), []Position{1, 2, 3, 4})
	v.same("its repeat", twice.receipts[2], Receipt{ID: "c", Cursor: Cursor{1, 3}, Matched: 1, Queued: 1, Duplicate: true})
	v.s.Answers()
	repeat := v.order(whole, "x", "y")
	v.same("answered at once", v.s.Answers(), []*Taking{repeat})
	v.same("nothing to store", v.s.TakeCommit() == nil, true)
	v.same("receipts", repeat.receipts, []Receipt{
		{ID: "a", Cursor: Cursor{1, 1}, Matched: 1, Queued: 1, Duplicate: true}, {ID: "b", Cursor: Cursor{1, 2}, Matched: 1, Queued: 1, Duplicate: true},
	})
}

// TestRestore: what a store has is there again: events, floors and keys.
func TestRestore(t *testing.T) {
	t.Parallel()
	opts := testOptions()
	opts.Stored, opts.HistoryEvents, opts.DedupeWindow, opts.DedupeBytes = true, 2, time.Minute, 1<<20
	s := NewState(opts)
	s.Tick(epoch)
	var events []Ordered
	for i, topic := range []string{"a", "b", "b", "b", "old"} {
		at := epoch.Add(-time.Second)
		if topic == "old" {
			at = epoch.Add(-time.Hour)
		}
		events = append(events, Ordered{Position(11 + i), Event{ID: fmt.Sprint(i), Topic: topic, Time: at, Message: []byte("1")}})
	}
	keys := []KeyRecord{
		{testKey(1, 1), epoch.Add(-2 * time.Minute), []KeyedEvent{{"1", 12}}},
		{testKey(2, 1), epoch.Add(-time.Second), []KeyedEvent{{"2", 13}}},
	}
	s.Restore(Restored{Head: 15, Given: 20, Floor: 10, Events: slices.Values(events), Keys: slices.Values(keys)})
	s.Tick(epoch.Add(time.Millisecond))
	read := func(topic string, after Position) (string, error) {
		page, err := history(s, topic, From{After: &Cursor{1, after}})
		ids := ""
		for _, ev := range page.Events {
			ids += ev.ID
		}
		return ids, err
	}
	for _, test := range []struct {
		topic string
		after Position
		ids   string
		gap   bool
	}{{"a", 10, "0", false}, {"a", 9, "", true}, {"b", 11, "", true}, {"b", 12, "23", false}, {"c", 10, "", false}, {"c", 3, "", true}} {
		ids, err := read(test.topic, test.after)
		var gap *GapError
		if ids != test.ids || errors.As(err, &gap) != test.gap {
			t.Errorf("%s after %d: %q, %v", test.topic, test.after, ids, err)
		}
	}
	if _, err := history(s, "a", From{After: &Cursor{1, 16}}); err == nil {
		t.Error("a cursor after the head is taken")
	}
	old, err := s.Order(Publication{Key: testKey(2, 1), Events: []Event{{ID: "x", Topic: "b"}}})
	if err != nil || old.receipts[0] != (Receipt{ID: "2", Cursor: Cursor{1, 13}, Uncounted: true, Duplicate: true}) {
		t.Errorf("%+v, %v", old, err)
	}
	fresh, err := s.Order(Publication{Key: testKey(1, 1), Events: []Event{{ID: "x", Topic: "b", Time: epoch}}})
	if err != nil || fresh.at[0] != 21 {
		t.Errorf("%+v, %v", fresh, err)
	}
}

// TestCommits: whatever is stored late, refused or repeated, what is stored is delivered once
// and in order, and what is refused never is.
func TestCommits(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		v := newVault(t)
		n := 0
		var waiting, want []Position // ordered, and to be delivered
		var under *Commit
		known := make(map[byte]Position) // of keys whose event is stored
		pending := make(map[byte]Position)
		t.Repeat(map[string]func(*rapid.T){
			"publish": func(t *rapid.T) {
				name := rapid.Byte().Draw(t, "key") % 8
				p := Publication{Events: []Event{{ID: fmt.Sprint(n), Topic: "t.x", Time: epoch}}}
				if name > 3 {
					p.Key = testKey(name, 1)
				}
				taking, err := v.s.Order(p)
				switch {
				case p.Key.given() && pending[name] > 0:
					v.same("pending", err, ErrKeyPending)
				case p.Key.given() && known[name] > 0:
					v.same("known", fmt.Sprint(err, taking.receipts[0].Cursor.Position), fmt.Sprint(nil, known[name]))
				default:
					n++
					waiting = append(waiting, Position(n))
					if v.same("position", taking.at[0], n); p.Key.given() {
						pending[name] = Position(n)
					}
				}
			},
			"take": func(t *rapid.T) {
				if under == nil && len(waiting) > 0 {
					under = v.s.TakeCommit()
					v.same("commit", len(under.Events), len(waiting))
					waiting = nil
				}
			},
			"answer": func(t *rapid.T) {
				if under == nil {
					return
				}
				stored := rapid.Bool().Draw(t, "stored")
				if stored {
					v.s.Committed(under)
				} else {
					v.s.Refused(under, ErrNotStored)
				}
				for _, ev := range under.Events {
					if stored {
						want = append(want, ev.Position)
					}
					for name, at := range pending {
						if at != ev.Position {
							continue
						}
						if delete(pending, name); stored {
							known[name] = at
						}
					}
				}
				for v.s.Applying() {
					v.s.Work()
				}
				under = nil
			},
			"": func(t *rapid.T) {
				for _, at := range v.got() {
					if len(want) == 0 || want[0] != at {
						t.Fatalf("got %d, want %v", at, want)
					}
					want = want[1:]
				}
				v.same("left to deliver", len(want), 0)
			},
		})
	})
}

// TestStoreLine: the hub hands over one commit at a time, answers when it is stored, and
// says what it knows when that takes too long.
func TestStoreLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := testOptions()
		opts.Clock, opts.Stored, opts.DedupeWindow, opts.DedupeBytes = time.Now, true, time.Minute, 1<<20
		h := New(opts)
		ctx, stop := context.WithCancel(context.Background())
		go h.Run(ctx)
		defer func() { stop(); <-h.Done() }()
		type answer struct {
			r   Receipt
			err error
		}
		publish := func(id string) chan answer {
			c := make(chan answer, 1)
			go func() {
				r, err := h.Publish(t.Context(), Event{ID: id, Topic: "a", Time: time.Now()})
				c <- answer{r, err}
			}()
			synctest.Wait()
			return c
		}
		a, b := publish("a"), publish("b")
		first := <-h.Commits()
		if len(first.Events) != 1 || len(h.Commits()) != 0 {
			t.Fatalf("%d events, and %d commits more", len(first.Events), len(h.Commits()))
		}
		h.Stored(first, nil)
		if got := <-a; got.err != nil || got.r.Cursor.Position != 1 {
			t.Errorf("%+v", got)
		}
		c := publish("c")
		second := <-h.Commits()
		settled := make(chan struct{})
		go func() { h.Settle(ctx); close(settled) }()
		time.Sleep(opts.PublishTimeout)
		if got := <-b; got.err != ErrUnsure {
			t.Errorf("%+v", got)
		}
		h.Stored(second, ErrNotStored)
		third := <-h.Commits()
		select {
		case <-settled:
			t.Error("it is settled while the store has a commit")
		default:
		}
		h.Stored(third, nil)
		<-settled
		if got := <-c; got.err != ErrUnsure && got.err != nil { // its time ended as it was stored
			t.Errorf("%+v", got)
		}
		if err := h.SetStoreDown(true); err != nil {
			t.Fatal(err)
		}
		d := publish("d")
		time.Sleep(opts.PublishTimeout)
		if got := <-d; got.err != ErrBusy {
			t.Errorf("%+v", got)
		}
	})
}

// TestUnsureAtTheEnd: a publication that the store has when the hub ends may be stored, and
// nobody is told that it is not.
func TestUnsureAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := testOptions()
		opts.Clock, opts.Stored = time.Now, true
		h := New(opts)
		ctx, stop := context.WithCancel(context.Background())
		go h.Run(ctx)
		answer := make(chan error, 1)
		go func() {
			_, err := h.Publish(t.Context(), Event{ID: "a", Topic: "a", Time: time.Now()})
			answer <- err
		}()
		<-h.Commits()
		stop()
		<-h.Done()
		if err := <-answer; err != ErrUnsure {
			t.Error(err)
		}
	})
}

// TestTimeOfAPublish: however long it waits for what, it is answered in time.
func TestTimeOfAPublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := testOptions()
		opts.Clock, opts.Stored = time.Now, true
		h := New(opts)
		ctx, stop := context.WithCancel(context.Background())
		go h.Run(ctx)
		defer func() { stop(); <-h.Done() }()
		if err := h.SetStoreDown(true); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		answer := make(chan error, 1)
		go func() {
			_, err := h.Publish(t.Context(), Event{ID: "a", Topic: "a", Time: time.Now()})
			answer <- err
		}()
		time.Sleep(opts.PublishTimeout * 3 / 4)
		if err := h.SetStoreDown(false); err != nil {
			t.Fatal(err)
		}
		<-h.Commits()
		if err := <-answer; err != ErrUnsure || time.Since(begun) != opts.PublishTimeout {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
	})
}
