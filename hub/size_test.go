package hub

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestAccounting: what memory is held for is counted: the heap that things take is at
// most 1.3 times what is accounted for them.
func TestAccounting(t *testing.T) { // not in parallel: it measures the heap
	long := strings.Repeat("x", 200)
	name := func(kind string, i int) string { return strings.Clone(fmt.Sprint(kind, ".", i, ".", long)) }
	event := func(i int, topic string) Event {
		return Event{ID: strings.Clone(fmt.Sprintf("%08d-0000-7000-8000-%012d", i, i)), Topic: strings.Clone(topic), Time: epoch, Message: make([]byte, 20)}
	}
	id := func(i int) ID { return ID{byte(i), byte(i >> 8), byte(i >> 16), 1} }
	add := func(s *State, i int, user string, topics ...string) {
		if _, err := s.Register(Registration{ID: id(i), User: user, Topics: topics}); err != nil {
			t.Fatal(err)
		}
	}
	publish := func(s *State, ev Event) {
		if _, err := s.Publish(ev); err != nil {
			t.Fatal(err)
		}
	}
	connect := func(s *State, i int, slow SlowPolicy, from From) *Conn {
		c := &Conn{Owner: "c", Slow: slow, Notes: true}
		s.Attach(id(i), c, from)
		return c
	}
	// forgetful gives away what waits for the courier.
	forgetful := func(s *State) { s.Take(0, &Batch{}) }
	for _, kind := range []struct {
		name  string
		setUp func(s *State)
		fill  func(s *State)
	}{
		{"events", nil, func(s *State) {
			for i := range 20_000 {
				publish(s, event(i, fmt.Sprint("t", i%300)))
			}
		}},
		{"events with long ids", nil, func(s *State) {
			for i := range 10_000 {
				ev := event(i, fmt.Sprint("t", i%300))
				ev.ID = strings.Repeat("i", 250) + fmt.Sprint(i%10)
				publish(s, ev)
			}
		}},
		{"events for users", nil, func(s *State) {
			for i := range 10_000 {
				ev := event(i, name("topic", i%100))
				ev.User = name("user", i)
				publish(s, ev)
			}
		}},
		{"topics with one event", nil, func(s *State) {
			for i := range 10_000 {
				publish(s, event(i, fmt.Sprint("a.topic.", i)))
			}
		}},
		{"long topics with one event", nil, func(s *State) {
			for i := range 10_000 {
				publish(s, event(i, name("topic", i)))
			}
		}},
		{"topics that have lost events", nil, func(s *State) {
			for round := range 4 {
				for i := range 5_000 {
					publish(s, event(i, fmt.Sprintf("%d.lost.%d.%d", i%10, i, round/3)))
				}
			}
		}},
		{"husks", nil, func(s *State) {
			for i := range 10_000 {
				publish(s, event(i, "a."+fmt.Sprint(i)))
				if i%2 == 0 {
					publish(s, event(i, "busy"))
				}
			}
		}},
		{"details", nil, func(s *State) {
			for i := range 10_000 {
				ev := event(i, fmt.Sprint("t", i%300))
				ev.Details = &Details{Source: name("s", i), Type: name("t", i), Published: "2026-01-02T03:04:05Z", Attributes: make([]byte, 100)}
				publish(s, ev)
			}
		}},
		{"encoded frames", nil, func(s *State) {
			for i := range 10_000 {
				publish(s, event(i, fmt.Sprint("t", i%300)))
			}
			for i := range s.window.entries.len() {
				for enc := range Encoding(3) {
					s.frame(s.window.entries.at(i), enc)
				}
			}
		}},
		{"keys", nil, func(s *State) {
			for i := range 10_000 {
				s.authority.keys.remember(Key{Name: [16]byte(id(i)), Print: [16]byte(id(i))}, s.age, []Receipt{{ID: name("id", i)}})
			}
		}},
		{"registrations", nil, func(s *State) {
			for i := range 10_000 {
				add(s, i, fmt.Sprint("user ", i), "cats")
			}
		}},
		{"registrations with long names", nil, func(s *State) {
			for i := range 5_000 {
				add(s, i, name("user", i), name("topic", i))
			}
		}},
		{"subscriptions", func(s *State) {
			for i := range 128 {
				add(s, 50_000+i, "u", name("topic", i))
			}
		}, func(s *State) {
			for i := range 1000 {
				var topics []string
				for n := range 128 {
					topics = append(topics, name("topic", n))
				}
				add(s, i, "u", topics...)
			}
		}},
		{"patterns", nil, func(s *State) {
			for i := range 100 {
				var patterns []string
				for n := range 128 {
					patterns = append(patterns, fmt.Sprintf("%d.%d.*.a.b.c.>", i, n))
				}
				add(s, i, "u", patterns...)
			}
		}},
		{"grants", nil, func(s *State) {
			for i := range 1000 {
				var patterns []string
				for n := range 20 {
					patterns = append(patterns, name("granted", n))
				}
				if _, err := s.Register(Registration{ID: id(i), Grant: &Grant{Subscribe: patterns}}); err != nil {
					t.Fatal(err)
				}
			}
		}},
		{"requests that wait", nil, func(s *State) {
			for i := range 5_000 {
				if _, err := s.Await(fmt.Sprint("topic.", i), make(chan struct{})); err != nil {
					t.Fatal(err)
				}
			}
		}},
		{"replays", func(s *State) {
			for i := range 1000 {
				publish(s, event(i, fmt.Sprint("a.", i)))
			}
			for i := range 200 {
				add(s, i, "u", "b")
				connect(s, i, SlowClose, From{})
			}
		}, func(s *State) {
			for i := range 200 {
				for n := range 20 {
					r := Subscribe{Topics: []string{fmt.Sprint("c.", n), "a.*"}, From: From{Last: 1000}, Ref: []byte("12345678")}
					if err := s.Subscribe(s.clients[id(i)].conn, r); err != nil {
						t.Fatal(err)
					}
				}
			}
			for range 2000 {
				s.Work()
				forgetful(s)
			}
		}},
		{"sweeps", func(s *State) {
			for i := range 20_000 {
				publish(s, event(i, fmt.Sprint("a.", i)))
			}
			for i := range 40 {
				add(s, i, "u", ">")
			}
		}, func(s *State) {
			for i := range 40 {
				connect(s, i, SlowLatest, From{After: &Cursor{s.opts.Epoch, 0}})
			}
			for range 50 {
				for s.Busy() {
					s.Work()
				}
				forgetful(s)
				for i := range 40 {
					s.ChunkWritten(s.clients[id(i)].conn)
				}
				publish(s, event(0, "a.19999"))
			}
		}},
	} {
		t.Run(kind.name, func(t *testing.T) {
			opts := testOptions()
			opts.MaxClients, opts.MaxConnections, opts.DedupeBytes = 1<<20, 1<<20, 1<<30
			opts.HistoryEvents, opts.HistoryBytes, opts.ResumeWindow = 3, 1<<30, time.Hour
			opts.Encoders = testEncoders(func(_ Encoding, ev *Event, _ Cursor) []byte { return make([]byte, 40+len(ev.Message)) })
			s := NewState(opts)
			s.Tick(epoch)
			if kind.setUp != nil {
				kind.setUp(s)
			}
			forgetful(s)
			accounted := func() int {
				st := s.Stats()
				return st.RetainedBytes + st.KeyBytes + st.ClientBytes
			}
			counted, held := -accounted(), -inUse()
			kind.fill(s)
			forgetful(s)
			held += inUse()
			counted += accounted()
			runtime.KeepAlive(s)
			t.Logf("%d KB held, %d KB accounted: %.2f", held>>10, counted>>10, float64(held)/float64(counted))
			if held*10 > counted*13 {
				t.Errorf("%d bytes are held, %d are accounted", held, counted)
			}
		})
	}
}

// inUse returns how many bytes are in use.
func inUse() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
