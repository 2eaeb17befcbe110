package disk

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"belfry/hub"
)

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		child()
	}
	goleak.VerifyTestMain(m)
}

// birth is when all stores of these tests begin.
var birth = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

// options are of a store without bounds, with a clock that a test may set.
func options(now *time.Time) Options {
	return Options{Epoch: 7, KeyWindow: time.Minute, Clock: func() time.Time { return *now }}
}

func open(t testing.TB, dir string, opts Options) *Store {
	t.Helper()
	s, err := Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// commit is a commit of some events, each of so many bytes.
func commit(first hub.Position, n, size int, at time.Time) *hub.Commit {
	c := &hub.Commit{}
	for i := range n {
		p := first + hub.Position(i)
		c.Events = append(c.Events, hub.Ordered{Position: p, Event: hub.Event{ID: fmt.Sprint("id", p), Topic: "a.b", Time: at, Message: bytes.Repeat([]byte("x"), size)}})
		c.Given = p
	}
	return c
}

// load returns what a store has.
func load(t testing.TB, s *Store) (r hub.Restored, events []hub.Ordered, keys []hub.KeyRecord) {
	t.Helper()
	r, err := s.Load(math.MaxInt)
	if err != nil {
		t.Fatal(err)
	}
	return r, slices.Collect(r.Events), slices.Collect(r.Keys)
}

// TestRoundTrip: whatever an event has is there again.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SliceOfN(rapid.Byte(), 0, 300)
		moment := rapid.Custom(func(t *rapid.T) time.Time { // all that RFC 3339 has
			return time.Unix(rapid.Int64Range(-62167219200, 253402300799).Draw(t, "seconds"), rapid.Int64Range(0, 999999999).Draw(t, "nanoseconds")).UTC()
		})
		ev := hub.Event{
			ID: string(text.Draw(t, "id")), Topic: string(text.Draw(t, "topic")), User: string(text.Draw(t, "user")),
			Time: moment.Draw(t, "time"), Message: append([]byte(nil), text.Draw(t, "message")...), Text: rapid.Bool().Draw(t, "text"),
		}
		if rapid.Bool().Draw(t, "expires") {
			ev.Expires = moment.Draw(t, "when")
		}
		if rapid.Bool().Draw(t, "details") {
			ev.Details = &hub.Details{
				Source: string(text.Draw(t, "source")), Type: string(text.Draw(t, "type")), Published: string(text.Draw(t, "published")),
				TraceParent: string(text.Draw(t, "traceparent")), Attributes: append([]byte(nil), text.Draw(t, "attributes")...),
				Base64: rapid.Bool().Draw(t, "base64"), NoData: rapid.Bool().Draw(t, "no data"),
			}
		}
		got, err := readEvent(appendEvent(nil, &ev))
		if err != nil || !reflect.DeepEqual(got, ev) {
			t.Fatalf("%+v, %v, want %+v", got, err, ev)
		}
	})
}

// FuzzEvent: whatever the bytes, reading them ends with an event or an error.
func FuzzEvent(f *testing.F) {
	f.Add(appendEvent(nil, &hub.Event{ID: "id", Topic: "a", Time: birth, Message: []byte(`{"n":1}`), Details: &hub.Details{Source: "s"}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		ev, err := readEvent(b)
		if err != nil {
			return
		}
		if again, err := readEvent(appendEvent(nil, &ev)); err != nil || !reflect.DeepEqual(again, ev) {
			t.Errorf("%+v, %v, want %+v", again, err, ev)
		}
	})
}

// TestReopen: what was committed is there when the store is opened again, and where it went
// on is known.
func TestReopen(t *testing.T) {
	t.Parallel()
	dir, now := t.TempDir(), birth
	s := open(t, dir, options(&now))
	var want []hub.Ordered
	for i, first := range []hub.Position{1, 4, 20} {
		c := commit(first, 3, 10, now)
		c.Keys = []hub.KeyRecord{{Key: hub.Key{Name: [16]byte{byte(i + 1)}, Print: [16]byte{9}}, Time: now, Events: []hub.KeyedEvent{{ID: "x", Position: first}}}}
		if err := s.Commit(c); err != nil {
			t.Fatal(err)
		}
		want = append(want, c.Events...)
		now = now.Add(25 * time.Second)
	}
	if _, err := Open(dir, options(&now)); !errors.As(err, new(*LockedError)) {
		t.Errorf("a second broker: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	now = birth.Add(70 * time.Second)
	other := options(&now)
	other.Epoch = 8
	s = open(t, dir, other)
	defer s.Close()
	if err := s.Commit(&hub.Commit{Given: 30}); err != nil {
		t.Fatal(err)
	}
	r, events, keys := load(t, s)
	if s.Epoch() != 7 || r.Head != 22 || r.Given != 30 || r.Floor != 0 || !reflect.DeepEqual(events, want) {
		t.Errorf("epoch %d, %+v, %v", s.Epoch(), r, events)
	}
	if len(keys) != 2 || keys[0].Events[0].Position != 4 || keys[1].Key != (hub.Key{Name: [16]byte{3}, Print: [16]byte{9}}) {
		t.Errorf("keys: %+v", keys)
	}
	if r, err := s.Load(1); err != nil || len(slices.Collect(r.Events)) != 1 || r.Floor != 21 {
		t.Errorf("the newest one: %+v, %v", r, err)
	}
}

// TestRetention compares what a store keeps with a list: by bytes and by age, from the
// front, a bounded part with each commit.
func TestRetention(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		now := birth
		opts := options(&now)
		opts.MaxBytes = rapid.SampledFrom([]int64{0, 2000}).Draw(r, "bytes")
		opts.MaxAge = rapid.SampledFrom([]time.Duration{0, 10 * time.Second}).Draw(r, "age")
		s := open(t, dir, opts)
		next := hub.Position(1)
		for range rapid.IntRange(1, 10).Draw(r, "commits") {
			now = now.Add(time.Duration(rapid.IntRange(0, 5).Draw(r, "seconds")) * time.Second)
			c := commit(next, rapid.IntRange(1, 9).Draw(r, "events"), rapid.IntRange(0, 300).Draw(r, "size"), now)
			if err := s.Commit(c); err != nil {
				r.Fatal(err)
			}
			next += hub.Position(len(c.Events) + rapid.IntRange(0, 2).Draw(r, "hole"))
			if rapid.Bool().Draw(r, "reopen") {
				s.Close()
				s = open(t, dir, opts)
			}
		}
		defer s.Close()
		now = now.Add(time.Duration(rapid.IntRange(0, 15).Draw(r, "seconds")) * time.Second)
		if err := s.Trim(); err != nil {
			r.Fatal(err)
		}
		got, events, _ := load(r2{t}, s)
		total := uint64(0)
		for i, ev := range events {
			if ev.Position <= got.Floor || i > 0 && ev.Position <= events[i-1].Position {
				r.Fatalf("%d after %d", ev.Position, got.Floor)
			}
			if opts.MaxAge > 0 && now.Sub(ev.Time) > opts.MaxAge {
				r.Fatalf("%d is too old", ev.Position)
			}
			total += 8 + headerSize + uint64(len(appendEvent(nil, &ev.Event)))
		}
		if total != s.Bytes() || opts.MaxBytes > 0 && total > uint64(opts.MaxBytes) {
			r.Fatalf("%d bytes are counted as %d", total, s.Bytes())
		}
		if opts.MaxBytes == 0 && opts.MaxAge == 0 && got.Floor != 0 {
			r.Fatalf("without bounds it has taken all up to %d", got.Floor)
		}
	})
}

// r2 has the helpers end the whole test.
type r2 struct{ *testing.T }

// TestFormats: what is not a store of this format is not opened.
func TestFormats(t *testing.T) {
	t.Parallel()
	now := birth
	text := t.TempDir()
	if err := os.WriteFile(filepath.Join(text, FileName), bytes.Repeat([]byte("not a store "), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(text, options(&now)); !errors.As(err, new(*DamagedError)) {
		t.Errorf("a text: %v", err)
	}
	empty := t.TempDir()
	db, err := bolt.Open(filepath.Join(empty, FileName), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	db.Close()
	if _, err := Open(empty, options(&now)); !errors.As(err, new(*DamagedError)) {
		t.Errorf("another database: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file, options(&now)); err == nil {
		t.Error("a file is taken for a directory")
	}
	half := t.TempDir()
	if err := os.WriteFile(filepath.Join(half, FileName+".new"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Open(half, options(&now))
	if err != nil {
		t.Fatalf("after a birth that was interrupted: %v", err)
	}
	s.Close()
}

// TestFilesThatGo: nothing is acknowledged that is written to a file without its name. If the
// file comes back, the store goes on; if another one does, it does not.
func TestFilesThatGo(t *testing.T) {
	t.Parallel()
	dir, now := t.TempDir(), birth
	s := open(t, dir, options(&now))
	defer s.Close()
	name, aside := filepath.Join(dir, FileName), filepath.Join(dir, "aside")
	do := func(errs ...error) {
		t.Helper()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
	}
	do(s.Commit(commit(1, 1, 10, now)), os.Rename(name, aside))
	unsure := func(err error) {
		t.Helper()
		if !errors.As(err, new(*UnsureError)) {
			t.Fatalf("%v", err)
		}
	}
	unsure(s.Commit(commit(2, 1, 10, now)))
	unsure(s.Recover())
	if _, err := os.Stat(name); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it has made a file: %v", err)
	}
	other := open(t, t.TempDir(), Options{Epoch: 9, Clock: options(&now).Clock})
	do(other.Close(), os.Rename(other.path, name))
	unsure(s.Recover())
	do(os.Rename(aside, name))
	if err := s.Recover(); !errors.Is(err, hub.ErrNotStored) {
		t.Errorf("%v", err)
	}
	do(s.Commit(commit(3, 1, 10, now)))
	if _, events, _ := load(t, s); len(events) != 2 || events[1].Position != 3 {
		t.Errorf("%+v", events)
	}
}

// TestOneBirth: of two stores that are made in one folder at the same time one is used.
func TestOneBirth(t *testing.T) {
	t.Parallel()
	dir, now := t.TempDir(), birth
	first := open(t, dir, options(&now))
	defer first.Close()
	if err := first.Commit(commit(1, 1, 10, now)); err != nil {
		t.Fatal(err)
	}
	late := &Store{path: first.path, opts: options(&now)} // it has seen no file
	if err := late.create(); err != nil {
		t.Fatal(err)
	}
	if err := late.open(); !errors.As(err, new(*LockedError)) {
		t.Errorf("%v", err)
	}
	if err := first.Commit(commit(2, 1, 10, now)); err != nil {
		t.Errorf("%v", err)
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 1 {
		t.Errorf("left are %v, %v", names, err)
	}
}
