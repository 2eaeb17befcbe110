package hub

import (
	"context"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"pgregory.net/rapid"
)

// remembered is what the model knows of a key.
type remembered struct {
	print    byte
	until    time.Time
	receipts []Receipt
}

func testKey(name, print byte) (k Key) {
	k.Name[0], k.Print[0] = name, print
	return k
}

func repeats(receipts []Receipt) (again []Receipt) {
	for _, r := range receipts {
		r.Duplicate = true
		again = append(again, r)
	}
	return again
}

// TestPublications compares publications with keys with a model that remembers
// by a map.
func TestPublications(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		opts := testOptions()
		opts.DedupeWindow, opts.DedupeBytes = 10*time.Second, 8*recordSize(2, 4)
		s, now := NewState(opts), epoch
		s.Tick(now)
		known, published := make(map[byte]*remembered), 0
		size := func() (n int) {
			for _, r := range known {
				n += recordSize(len(r.receipts), 2*len(r.receipts))
			}
			return n
		}
		t.Repeat(map[string]func(*rapid.T){
			"wait": func(t *rapid.T) {
				now = now.Add(rapid.SampledFrom([]time.Duration{time.Second, 4 * time.Second, 11 * time.Second}).Draw(t, "time"))
				s.Tick(now)
				for name, r := range known {
					if !now.Before(r.until) {
						delete(known, name)
					}
				}
			},
			"publish": func(t *rapid.T) {
				var p Publication
				key := func(what string) Key {
					return testKey(byte(rapid.IntRange(0, 6).Draw(t, what)), byte(rapid.IntRange(1, 5).Draw(t, "print")/5))
				}
				for i := range rapid.IntRange(1, 3).Draw(t, "events") {
					p.Events = append(p.Events, Event{ID: fmt.Sprintf("%02d", (published+i)%100), Topic: "cats"})
				}
				switch rapid.IntRange(0, 2).Draw(t, "keyed") {
				case 1:
					if p.Key = key("key"); p.Key.given() {
						p.Key.Name[0] += 10 // the edge makes sure that no event has the key of a whole
					}
				case 2:
					for range p.Events {
						p.Keys = append(p.Keys, key("key of one"))
					}
				}
				taking, err := s.Begin(p)
				want, wantErr := func() (want []Receipt, err error) {
					next := func(i int) Receipt {
						published++
						return Receipt{ID: p.Events[i].ID, Cursor: Cursor{1, Position(published)}}
					}
					if p.Key.given() {
						if r := known[p.Key.Name[0]]; r != nil && r.print != p.Key.Print[0] {
							return nil, ErrKeyReused
						} else if r != nil {
							return repeats(r.receipts), nil
						}
						if size()+recordSize(len(p.Events), 2*len(p.Events)) > opts.DedupeBytes {
							return nil, ErrTooManyKeys
						}
					}
					fresh := make(map[byte]byte)
					for _, k := range p.Keys {
						name, print := k.Name[0], k.Print[0]
						if name == 0 {
							continue
						}
						if r := known[name]; r != nil {
							if r.print != print {
								return nil, ErrKeyReused
							}
							continue
						}
						if other, twice := fresh[name]; twice && other != print {
							return nil, ErrKeyReused
						}
						fresh[name] = print
					}
					if len(p.Keys) > 0 && len(fresh) > 0 && size()+len(fresh)*recordSize(1, 2) > opts.DedupeBytes {
						return nil, ErrTooManyKeys
					}
					for i := range p.Events {
						if p.Keys == nil || p.Keys[i].Name[0] == 0 {
							want = append(want, next(i))
						} else if r := known[p.Keys[i].Name[0]]; r != nil {
							want = append(want, repeats(r.receipts)...)
						} else {
							r := next(i)
							known[p.Keys[i].Name[0]] = &remembered{p.Keys[i].Print[0], now.Add(opts.DedupeWindow), []Receipt{r}}
							want = append(want, r)
						}
					}
					if p.Key.given() {
						known[p.Key.Name[0]] = &remembered{p.Key.Print[0], now.Add(opts.DedupeWindow), want}
					}
					return want, nil
				}()
				if err != wantErr {
					t.Fatalf("got %v, want %v", err, wantErr)
				}
				if err == nil {
					for !s.Continue(taking) {
					}
					if !reflect.DeepEqual(taking.receipts, want) {
						t.Fatalf("got %+v, want %+v", taking.receipts, want)
					}
				}
			},
			"": func(t *rapid.T) {
				if st := s.Stats(); st.Keys != len(known) || st.KeyBytes != size() || st.KeyBytes > opts.DedupeBytes || st.Published != uint64(published) {
					t.Fatalf("%+v, want %d keys of %d bytes, %d events", st, len(known), size(), published)
				}
			},
		})
	})
}

// TestPublishAll: many events go on while a courier takes what there is, and all
// else is served meanwhile; the next publish comes after the last of them.
func TestPublishAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		opts := testOptions()
		opts.Backlog = 10
		h := run(t, opts)
		h.connect("a", "cats")
		many := Publication{Events: make([]Event, 1000)}
		for i := range many.Events {
			many.Events[i] = Event{ID: strconv.Itoa(i), Topic: "cats", Time: epoch, Message: []byte("hello")}
		}
		var taken sync.WaitGroup
		taken.Go(func() {
			receipts, err := h.PublishAll(t.Context(), many)
			if err != nil || len(receipts) != len(many.Events) {
				t.Errorf("%d receipts, %v", len(receipts), err)
				return
			}
			for i, r := range receipts {
				if r.ID != strconv.Itoa(i) || r.Cursor.Position != Position(i+1) || r.Queued != 1 {
					t.Fatalf("event %d: %+v", i, r)
				}
			}
		})
		synctest.Wait() // the courier does not take anything
		if st, err := h.Stats(); err != nil || st.Published == 0 || st.Published > 20 || !st.Behind {
			t.Errorf("a courier that is too slow: %+v, %v", st, err)
		}
		next := make(chan Receipt, 1)
		taken.Go(func() {
			r, err := h.Publish(t.Context(), Event{ID: "next", Topic: "cats", Time: epoch})
			h.ok(err)
			next <- r
		})
		receiveAll(t, h.Hub, 0, 1, len(many.Events)+1)
		taken.Wait()
		if r := <-next; r.Cursor.Position != Position(len(many.Events)+1) {
			t.Errorf("what was published meanwhile: %+v", r)
		}
		if none, err := h.PublishAll(t.Context(), Publication{}); err != nil || len(none) != 0 {
			t.Errorf("%+v, %v", none, err)
		}
	})
}

// TestExpired: nobody reads an event from its end on, not as the newest one
// either.
func TestExpired(t *testing.T) {
	t.Parallel()
	s := NewState(testOptions())
	s.Tick(epoch)
	for i, lives := range []time.Duration{0, time.Second, 0, 2 * time.Second} {
		ev := Event{ID: strconv.Itoa(i), Topic: "cats", Time: epoch}
		if lives > 0 {
			ev.Expires = epoch.Add(lives)
		}
		if _, err := s.Publish(ev); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []struct {
		after time.Duration
		last  int
		ids   string
	}{{0, 0, "0123"}, {time.Second, 0, "023"}, {time.Second, 2, "23"}, {2 * time.Second, 0, "02"}, {2 * time.Second, 1, "2"}} {
		s.Tick(epoch.Add(want.after))
		page, err := history(s, "cats", From{Last: want.last})
		ids := ""
		for _, e := range page.Events {
			ids += e.ID
		}
		if err != nil || ids != want.ids || page.More {
			t.Errorf("%+v: got %q, %v, %v", want, ids, page.More, err)
		}
	}
}

// TestExpiredAtOnce: an event whose time is over when it is published has a place in
// the log, and nobody is counted for it or gets it, however it would.
func TestExpiredAtOnce(t *testing.T) {
	t.Parallel()
	for _, early := range []time.Duration{0, time.Nanosecond, time.Hour} {
		for _, user := range []string{"", "u"} {
			s := NewState(testOptions())
			s.Tick(epoch)
			live, away := &Conn{}, ID{2}
			for _, id := range []ID{{1}, away} {
				if _, err := s.Register(Registration{ID: id, User: "u", Topics: []string{"cats", "*"}}); err != nil {
					t.Fatal(err)
				}
			}
			s.Attach(ID{1}, live, From{})
			over, err := s.Publish(Event{ID: "over", Topic: "cats", User: user, Time: epoch, Expires: epoch.Add(-early)})
			if err != nil || over.Matched != 0 || over.Queued != 0 || over.ID != "over" {
				t.Errorf("it is published as %+v, %v", over, err)
			}
			next, err := s.Publish(Event{ID: "next", Topic: "cats", User: user, Time: epoch, Expires: epoch.Add(1)})
			if err != nil || next.Matched != 2 || next.Queued != 1 || next.Cursor.Position != over.Cursor.Position+1 {
				t.Errorf("the next is published as %+v, %v", next, err)
			}
			for _, out := range s.outboxes {
				for i, op := range out.batch.Ops {
					if op.Frame != nil && op.Frame.Position != next.Cursor.Position {
						t.Errorf("%d connections get %+v", len(out.batch.Targets(i)), op.Frame)
					}
				}
			}
			if stats := s.Stats(); stats.Published != 2 || stats.Matched != 2 || stats.Queued != 1 {
				t.Errorf("it is counted: %+v", stats)
			}
		}
	}
}

// Many publications of one publisher may be under way. They are published in the order in
// which they were submitted.
func TestManyUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		opts := testOptions()
		opts.Clock = time.Now
		h := New(opts)
		ctx, stop := context.WithCancel(t.Context())
		go h.Run(ctx)
		var all []Pending
		for i := range 64 {
			p, err := h.Submit(ctx, Publication{Events: slices.Repeat([]Event{{Topic: "cats", Message: []byte("m")}}, 1+i%3)})
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, p)
		}
		last := Position(0)
		for i, p := range all {
			receipts, err := p.Receipts()
			if err != nil || len(receipts) != 1+i%3 || receipts[0].Cursor.Position != last+1 {
				t.Fatalf("publication %d after position %d: %v, %v", i, last, receipts, err)
			}
			last += Position(len(receipts))
		}
		p, err := h.Submit(ctx, Publication{Events: []Event{{Topic: "cats", Message: []byte("m")}}})
		if err != nil {
			t.Fatal(err)
		}
		stop()
		<-h.Done()
		if _, err := p.Receipts(); err != nil && err != ErrClosed {
			t.Errorf("the hub has ended: %v", err)
		}
	})
}

// Who has not asked for its receipts yet keeps nothing of what it has published.
func TestPendingHoldsNoMessage(t *testing.T) {
	t.Parallel()
	opts := testOptions()
	opts.HistoryEvents = 0
	h := run(t, opts)
	submit := func() (Pending, weak.Pointer[[1 << 10]byte]) {
		message := new([1 << 10]byte)
		p, err := h.Submit(context.Background(), Publication{Events: []Event{{ID: "id", Topic: "cats", Message: message[:]}}})
		h.ok(err)
		return p, weak.Make(message)
	}
	pending, message := submit()
	h.ok(h.publish("dogs", "x")) // the hub has answered what came before
	if runtime.GC(); message.Value() != nil {
		t.Error("the message is still there")
	}
	if receipts, err := pending.Receipts(); err != nil || len(receipts) != 1 {
		t.Error(receipts, err)
	}
}
