package hub

import (
	"encoding/binary"
	"testing"
	"time"
)

// steps does something and what follows from it, holds the work of each step to the
// bound, and returns how many they were.
func steps(t *testing.T, s *State, do func()) (n int) {
	t.Helper()
	for n = 1; ; n++ {
		before := s.work
		do()
		s.Settle()
		if work := s.work - before; work > stepWork+pieceWork {
			t.Fatalf("a step of %d comparisons", work)
		}
		s.Take(0, &Batch{})
		if do = s.Work; !s.Busy() {
			return n
		}
	}
}

// newCrowd returns a state for many clients.
func newCrowd() *State {
	opts := testOptions()
	opts.MaxClients, opts.MaxConnections = heavyClients, heavyClients
	opts.DedupeWindow, opts.DedupeBytes = time.Minute, 16<<20 // as by default
	s := NewState(opts)
	s.Tick(epoch)
	return s
}

// number is one of many names.
func number(i int) (name [16]byte) {
	binary.LittleEndian.PutUint32(name[:], uint32(i)+1)
	return name
}

// crowds are many of what ends after a time.
var crowds = map[string]func(*testing.T, *State){
	"registrations": func(t *testing.T, s *State) {
		for i := range heavyClients {
			if _, err := s.Register(Registration{ID: number(i), Topics: []string{"a.b", "a.*", "b"}}); err != nil {
				t.Fatal(err)
			}
		}
	},
	"grants": func(t *testing.T, s *State) {
		grant := &Grant{Subscribe: []string{">"}, Expires: epoch.Add(2 * time.Minute)}
		for i := range heavyClients / 2 {
			s.Connect(Registration{ID: number(i), Topics: []string{"a.b"}, Grant: grant}, &Conn{Notes: true}, From{})
		}
		if n := steps(t, s, func() { s.Tick(epoch.Add(90 * time.Second)) }); n < 3 {
			t.Errorf("they were told that their time is over in %d steps", n)
		}
	},
	"keys": func(t *testing.T, s *State) {
		for err, i := error(nil), 0; err != ErrTooManyKeys; i++ {
			var taking *Taking
			if taking, err = s.Begin(Publication{Events: []Event{{Topic: "a"}}, Key: Key{Name: number(i)}}); err == nil {
				s.Continue(taking)
			}
		}
		if n := s.Stats().Keys; n < 40_000 {
			t.Fatalf("%d keys are remembered", n)
		}
	},
	"events": func(t *testing.T, s *State) {
		for i := range heavyClients {
			name := number(i % 1000)
			if _, err := s.Publish(Event{Topic: deep + "x", User: string(name[:2])}); err != nil {
				t.Fatal(err)
			}
		}
	},
}

// What ends after a time may be many things, which end at once: that takes several steps.
func TestWorkOfExpiry(t *testing.T) {
	t.Parallel()
	for name, fill := range crowds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newCrowd()
			fill(t, s)
			if n := steps(t, s, func() { s.Tick(epoch.Add(time.Hour)) }); n < 2 {
				t.Errorf("%d steps", n)
			}
			s.Tick(epoch.Add(2 * time.Hour))
			checkEmpty(t, s)
		})
	}
}

// expired returns a state with as many events of one topic as a step can't look at, of
// which nobody gets one any more but the first.
func expired(t *testing.T) *State {
	opts := testOptions()
	opts.HistoryEvents, opts.HistoryBytes, opts.HistoryAge = 1<<18, 1<<30, 24*time.Hour
	s := NewState(opts)
	s.Tick(epoch)
	for i := range opts.HistoryEvents {
		ev := Event{ID: "expired", Topic: "a", Expires: epoch.Add(time.Second)}
		if i == 0 {
			ev = Event{ID: "first", Topic: "a"}
		}
		if _, err := s.Publish(ev); err != nil {
			t.Fatal(err)
		}
	}
	s.Tick(epoch.Add(time.Minute))
	return s
}

// A reader looks at all the events of a topic of which nobody gets one any more, but not
// in one step.
func TestWorkOfExpiredHistory(t *testing.T) {
	t.Parallel()
	s := expired(t)
	for name, from := range map[string]From{"from the beginning": {}, "the newest": {Last: 1}} {
		ids, n := "", 0
		for more := true; more; {
			q := SearchHistory("a", from)
			for done := false; !done; {
				var page Page
				var err error
				n += steps(t, s, func() { page, done, err = s.History(q) })
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range page.Events {
					ids += e.ID
				}
				from, more = From{After: &page.Cursor}, page.More
			}
		}
		if ids != "first" || n < 4 {
			t.Errorf("%s: %q in %d steps", name, ids, n)
		}
	}
	for policy, name := range SlowPolicies {
		conn := &Conn{Notes: true, Slow: SlowPolicy(policy)}
		n := steps(t, s, func() {
			s.Connect(Registration{ID: number(policy), Topics: []string{"a"}}, conn, From{After: &Cursor{Epoch: s.opts.Epoch}})
		})
		if c := conn.client; c.mode != modeWriting || SlowPolicy(policy) == SlowLatest && n < 4 {
			t.Errorf("%s: mode %d after %d steps", name, c.mode, n)
		}
	}
}
