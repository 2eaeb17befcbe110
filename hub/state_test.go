package hub

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"weak"
)

func TestID(t *testing.T) {
	t.Parallel()
	const text = "0123456789abcdef0123456789ABCDEF"
	id, ok := ParseID(text)
	if !ok || id.String() != strings.ToLower(text) {
		t.Errorf("ParseID(%q) = %v, %v", text, id, ok)
	}
	for _, bad := range []string{"", text[1:], text + "0", text[1:] + "g", text[1:] + "\x00", "0x" + text[2:]} {
		if _, ok := ParseID(bad); ok {
			t.Errorf("ParseID(%q) is accepted", bad)
		}
	}
	// The SHA-256 of 16 zero bytes begins so.
	if got := (ID{}).Handle().String(); got != "374708fff7719dd5" {
		t.Errorf("handle %s", got)
	}
}

func TestCursor(t *testing.T) {
	t.Parallel()
	cursors := []Cursor{
		{0, 0}, {0, 1}, {0, 9}, {0, 10}, {0, 15}, {0, 16}, {0, 1<<48 - 1},
		{1, 0}, {9, 3}, {10, 2}, {1 << 40, 1 << 40}, {1<<48 - 1, 0}, {1<<48 - 1, 1<<48 - 1},
	}
	last := ""
	for _, c := range cursors {
		s := c.String()
		if want := fmt.Sprintf("%012x%012x", c.Epoch, uint64(c.Position)); s != want || len(s) != CursorLen || s <= last {
			t.Errorf("%+v: %q after %q, want %q", c, s, last, want)
		}
		if got := string(c.AppendTo([]byte("id: "))); got != "id: "+s {
			t.Errorf("%+v: appended %q", c, got)
		}
		last = s
	}
}

func TestReasons(t *testing.T) {
	t.Parallel()
	var names []string
	for i, r := range Reasons() {
		if int(r) != i || r.String() == "" || slices.Contains(names, r.String()) {
			t.Errorf("reason %d is called %q", i, r)
		}
		names = append(names, r.String())
	}
}

// A deque does what a slice does, whatever its ring looks like, and gives its
// memory back.
func TestDeque(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	var d deque[int]
	var want []int
	for i := range 20_000 {
		// It grows for a while, then shrinks.
		if grow := i/2500%2 == 0; len(want) == 0 || grow == (rng.IntN(3) > 0) {
			d.push(i)
			want = append(want, i)
		} else {
			if got := d.pop(); got != want[0] {
				t.Fatalf("step %d: popped %d, want %d", i, got, want[0])
			}
			want = want[1:]
		}
		if d.len() != len(want) || len(d.ring) > max(64, 16*len(want)) {
			t.Fatalf("step %d: %d elements, want %d, in a ring of %d", i, d.len(), len(want), len(d.ring))
		}
		if len(want) > 0 {
			at := rng.IntN(len(want))
			if got := d.at(at); got != want[at] {
				t.Fatalf("step %d: number %d is %d, want %d", i, at, got, want[at])
			}
			if got := d.search(func(v int) bool { return v > want[at] }); got != at+1 {
				t.Fatalf("step %d: search found %d, want %d", i, got, at+1)
			}
		}
	}
	for d.len() > 0 {
		d.pop()
	}
	for i, v := range d.ring {
		if v != 0 {
			t.Fatalf("the empty deque holds on to %d at %d", v, i)
		}
	}
}

// One old event in front of many that come and go does not keep them.
func TestHusksAreSwept(t *testing.T) {
	t.Parallel()
	opts := testOptions()
	opts.HistoryEvents = 10
	s := NewState(opts)
	mustPublish(t, s, "quiet")
	longest := 0
	for range 10_000 {
		mustPublish(t, s, "busy")
		longest = max(longest, s.window.entries.len())
	}
	checkInvariants(t, s)
	if got := s.Stats().Retained; got != 11 || longest > 100 {
		t.Errorf("%d events are retained, of up to %d entries", got, longest)
	}
	if at := s.window.after(0); s.window.entries.at(at).Topic != "quiet" {
		t.Error("the oldest event is gone")
	}
}

// A crowd that leaves gives back its memory, and those who stay get events.
func TestCrowdLeaves(t *testing.T) {
	t.Parallel()
	opts := testOptions()
	opts.MaxClients = 10_000
	s := NewState(opts)
	crowd(t, s, 10_000, "cats", "c*.>", "*")
	for i := range 9_900 {
		s.Unregister(ID{byte(i), byte(i >> 8)})
	}
	if room := cap(s.topics["cats"].members); room > 1000 {
		t.Errorf("there is room for %d members, of 100", room)
	}
	if got := mustPublish(t, s, "cats"); got.Matched != 100 {
		t.Errorf("%d got it, want 100", got.Matched)
	}
	checkInvariants(t, s)
}

// An emptied batch keeps neither frames nor connections, and little memory.
func TestEmptiedBatch(t *testing.T) {
	t.Parallel()
	s := NewState(testOptions())
	crowd(t, s, 1, "cats")
	conn := &Conn{Owner: "c"}
	s.Attach(ID{}, conn, From{})
	mustPublish(t, s, "cats")
	s.Unregister(ID{})
	b := s.Take(0, &Batch{})
	frame, gone := weak.Make(b.Ops[2].Frame), weak.Make(conn)
	b = b.empty()
	if len(b.Ops) != 0 || len(b.targets) != 0 || b.bytes != 0 || cap(b.Ops) < 4 {
		t.Errorf("emptied: %+v", b)
	}
	opts := s.opts
	s, conn = nil, nil
	runtime.GC()
	if frame.Value() != nil || gone.Value() != nil {
		t.Error("the batch holds on to what was in it")
	}
	runtime.KeepAlive(b)

	s = NewState(opts)
	for range spentCapacity + 1 {
		s.enqueue(&Conn{}, Op{Kind: OpLive})
	}
	if b := s.Take(0, &Batch{}).empty(); cap(b.Ops) > 0 || cap(b.targets) > 0 {
		t.Errorf("the batch keeps room for %d ops", cap(b.Ops))
	}
}

// mustPublish publishes a small event.
func mustPublish(t testing.TB, s *State, topic string) Receipt {
	r, err := s.Publish(Event{Topic: topic, Time: epoch, Message: []byte("hello")})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// crowd registers n clients, of one user each, for the same topics.
func crowd(t testing.TB, s *State, n int, topics ...string) {
	for i := range n {
		id := ID{byte(i), byte(i >> 8), byte(i >> 16)}
		if _, err := s.Register(Registration{ID: id, User: id.String(), Topics: topics}); err != nil {
			t.Fatal(err)
		}
	}
}
