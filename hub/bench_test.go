package hub

import (
	"fmt"
	"testing"
	"time"
)

// benchState returns a state with a clock that stands still.
func benchState(opts Options) *State {
	opts.MaxClients, opts.MaxConnections = 1<<20, 1<<20
	s := NewState(opts)
	s.Tick(epoch)
	return s
}

// benchJoin registers clients with one user each and connects them. They are
// numbered on from those that there are.
func benchJoin(b *testing.B, s *State, n int, topics ...string) (ids []ID) {
	for range n {
		i := len(s.clients)
		id := ID{byte(i), byte(i >> 8), byte(i >> 16)}
		if _, err := s.Register(Registration{ID: id, User: id.String(), Topics: topics}); err != nil {
			b.Fatal(err)
		}
		s.Attach(id, &Conn{}, From{})
		ids = append(ids, id)
	}
	s.Take(0, &Batch{})
	return ids
}

var benchMessage = make([]byte, 128)

// benchPublish measures publishes, with what the courier's batches cost.
func benchPublish(b *testing.B, s *State, ev Event) {
	ev.Time, ev.Message = epoch, benchMessage
	spare := &Batch{}
	deliveries := 0
	round := func() {
		r, err := s.Publish(ev)
		if err != nil {
			b.Fatal(err)
		}
		deliveries += r.Queued
		if batch := s.Take(0, spare); batch != nil {
			spare = batch.empty()
		}
	}
	for range 2 * s.opts.HistoryEvents { // as in the long run: one comes, one goes
		round()
	}
	deliveries = 0
	b.ReportAllocs()
	for b.Loop() {
		round()
	}
	if deliveries > 0 {
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(deliveries), "ns/delivery")
	}
}

// The cost of an event follows the subscribers that it is for, whatever else
// there is.
func BenchmarkPublish(b *testing.B) {
	for _, subscribers := range []int{1, 100, 10_000} {
		for _, topics := range []int{1, 1_000, 100_000} {
			for _, patterns := range []struct{ others, matching int }{{0, 0}, {1000, 0}, {994, 6}} {
				name := fmt.Sprintf("subscribers=%d/topics=%d/patterns=%d+%d", subscribers, topics, patterns.others, patterns.matching)
				b.Run(name, func(b *testing.B) {
					s := benchState(testOptions())
					benchJoin(b, s, subscribers, "the.topic")
					for i := range topics {
						benchJoin(b, s, 1, fmt.Sprint("other.", i))
					}
					for i := range patterns.others {
						benchJoin(b, s, 1, fmt.Sprintf([]string{"the.no%d.>", "*.no%d", "no%d.>"}[i%3], i))
					}
					for _, p := range []string{">", "*.*", "the.*", "*.topic", "the.>", "*.>"}[:patterns.matching] {
						benchJoin(b, s, 1, p)
					}
					benchPublish(b, s, Event{Topic: "the.topic"})
				})
			}
		}
	}
}

// What clients were granted costs a delivery nothing: it was looked at when they
// subscribed.
func BenchmarkPublishGranted(b *testing.B) {
	for _, grant := range []*Grant{nil, {Subscribe: []string{"other.>", "the.*"}, Expires: epoch.Add(time.Hour)}} {
		b.Run(fmt.Sprintf("granted=%t", grant != nil), func(b *testing.B) {
			s := benchState(testOptions())
			for i := range 1000 {
				id := ID{byte(i), byte(i >> 8), 1}
				if _, err := s.Register(Registration{ID: id, User: "7", Topics: []string{"the.topic"}, Grant: grant}); err != nil {
					b.Fatal(err)
				}
				s.Attach(id, &Conn{}, From{})
			}
			s.Take(0, &Batch{})
			benchPublish(b, s, Event{Topic: "the.topic"})
		})
	}
}

// The cost of an event for one user follows the user's clients.
func BenchmarkPublishDirected(b *testing.B) {
	for _, subscribers := range []int{1, 10_000} {
		b.Run(fmt.Sprintf("subscribers=%d", subscribers), func(b *testing.B) {
			s := benchState(testOptions())
			ids := benchJoin(b, s, subscribers, "the.topic")
			benchPublish(b, s, Event{Topic: "the.topic", User: ids[0].String()})
		})
	}
}

// benchLog publishes so many events to each of the topics in turn.
func benchLog(b *testing.B, s *State, events int, topics []string) {
	for range events {
		for _, topic := range topics {
			if _, err := s.Publish(Event{Topic: topic, Time: epoch, Message: benchMessage}); err != nil {
				b.Fatal(err)
			}
		}
	}
	s.Take(0, &Batch{})
}

func numbered(prefix string, n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprint(prefix, i))
	}
	return names
}

// The cost of reading 1,000 events on, by how many topics they are of: exact
// ones are merged, with a pattern the log is scanned. The log holds 100 times
// as many.
func BenchmarkRead(b *testing.B) {
	for _, pattern := range []bool{false, true} {
		for _, topics := range []int{1, 8, 100} {
			b.Run(fmt.Sprintf("pattern=%v/topics=%d", pattern, topics), func(b *testing.B) {
				opts := testOptions()
				opts.HistoryEvents = 1000
				s := benchState(opts)
				subs := numbered("mine.", topics)
				if pattern {
					subs = append(subs, "no.*")
				}
				ids := benchJoin(b, s, 1, subs...)
				for range 10 {
					benchLog(b, s, 1000/topics/10, numbered("mine.", topics))
					benchLog(b, s, 100, numbered("other.", 99))
				}
				c := s.clients[ids[0]]
				b.ReportAllocs()
				for b.Loop() {
					events := 0
					for p := Position(0); p < s.window.head; {
						found, upTo := s.next(filter{subs: c.subs, user: c.user.name}, p, s.window.head)
						events += len(found)
						p = upTo
					}
					if want := 1000 / topics / 10 * 10 * topics; events != want {
						b.Fatalf("read %d events, want %d", events, want)
					}
				}
			})
		}
	}
}

// The cost of a reconnect by the topics that there are, with 100,000 events in
// the log: the client missed nothing, a busy topic has evicted events
// meanwhile, and the last event that the client got is the oldest of all.
func BenchmarkReconnect(b *testing.B) {
	for _, sub := range []string{"mine.x", "mine.*"} {
		for _, topics := range []int{10, 1_000, 100_000} {
			for _, unconfirmed := range []int{0, 1} {
				b.Run(fmt.Sprintf("%s/topics=%d/unconfirmed=%d", sub, topics, unconfirmed), func(b *testing.B) {
					opts := testOptions()
					opts.HistoryEvents, opts.HistoryBytes = 100_000/topics, 1<<30
					s := benchState(opts)
					id := benchJoin(b, s, 1, sub)[0]
					benchLog(b, s, 1, []string{"mine.x"})
					benchLog(b, s, opts.HistoryEvents, numbered("other.", topics))
					upTo := s.window.head
					benchLog(b, s, opts.HistoryEvents+1, []string{"busy"})
					spare := &Batch{}
					b.ReportAllocs()
					for b.Loop() {
						c := s.clients[id]
						c.conn.start = 0
						s.ConnEnded(ConnReport{Conn: c.conn, UpTo: upTo, Last: 1, Unconfirmed: unconfirmed})
						s.Attach(id, &Conn{}, From{})
						for c.conn != nil && c.mode != modeLive {
							s.Work()
							s.ChunkWritten(c.conn)
						}
						if c.conn == nil {
							b.Fatal("told of a gap")
						}
						if batch := s.Take(0, spare); batch != nil {
							spare = batch.empty()
						}
					}
				})
			}
		}
	}
}

// What waits for the clock costs nothing until it is due.
func BenchmarkTick(b *testing.B) {
	for _, clients := range []int{0, 100_000} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			s := benchState(testOptions())
			crowd(b, s, clients, "cats")
			b.ReportAllocs()
			now := epoch
			for b.Loop() {
				now = now.Add(time.Nanosecond)
				s.Tick(now)
			}
		})
	}
}
