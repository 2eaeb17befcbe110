package hub

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
)

// slowReader is a live connection of some topics that has become slow, with the policy to
// drop the oldest events, and what was published meanwhile: so many events of a size.
func slowReader(t *testing.T, opts Options, topics []string, n, size int) (*State, *Conn) {
	t.Helper()
	s := NewState(opts)
	s.Tick(epoch)
	conn := &Conn{Notes: true, Slow: SlowDropOldest}
	s.Connect(Registration{ID: testID("slow"), User: "u", Topics: topics}, conn, From{})
	s.Take(0, &Batch{})
	s.Lag(conn)
	s.Take(0, &Batch{})
	for i := range n {
		ev := Event{ID: fmt.Sprint(i), Topic: "cats", Time: epoch, Message: bytes.Repeat([]byte("x"), size)}
		if i%3 == 0 {
			ev.User = "u"
		}
		if _, err := s.Publish(ev); err != nil {
			t.Fatal(err)
		}
	}
	return s, conn
}

// readOut has a connection read until it is live. It returns the positions of its events,
// and the gaps that it was told of, in order.
func readOut(t *testing.T, s *State, conn *Conn, step uint64) (events []Position, gaps []Gap) {
	t.Helper()
	s.step = step
	s.ChunkWritten(conn)
	for round := 0; conn.client.mode != modeLive; round++ {
		if round > 1_000_000 {
			t.Fatal("it does not become live")
		}
		s.Work()
		for b := s.Take(0, &Batch{}); b != nil; b = s.Take(0, &Batch{}) {
			for _, op := range b.Ops {
				switch {
				case op.Kind == OpDeliver || op.Kind == OpChunk:
					events = append(events, op.Frame.Position)
				case op.Kind == OpNote:
					if g, ok := op.Note.(Gap); ok {
						gaps = append(gaps, g)
					}
				}
			}
		}
		s.ChunkWritten(conn)
	}
	return events, gaps
}

// TestDropOldest: the newest events that may wait are kept, one at least, whatever retention
// has evicted, however long the steps are. What is left out is told.
func TestDropOldest(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name                string
		retained, lag, size int
		first               Position // of what it gets, of 480 events
		why                 GapReason
	}{
		{"all that is retained may wait", 100, 1 << 20, 2000, 321, GapExpired},
		{"less may wait than is retained", 1000, 100_000, 2000, 431, GapDropped},
		{"more was evicted than may wait", 100, 100_000, 2000, 431, GapDropped},
		{"the newest is larger than what may wait", 1000, 1000, 2000, 480, GapDropped},
	} {
		for _, topics := range [][]string{{"cats"}, {">"}, {"cats", "*"}} {
			for _, step := range []uint64{1, 40, stepWork} {
				t.Run(fmt.Sprintf("%s, %s, in steps of %d", test.name, topics, step), func(t *testing.T) {
					t.Parallel()
					opts := testOptions()
					opts.HistoryEvents, opts.MaxLagBytes = test.retained, test.lag
					if test.retained == 100 { // of each of the two streams: those for the user are fewer
						opts.HistoryEvents, opts.HistoryBytes = 1000, 160*(entryOverhead+2000)+10_000
					}
					s, conn := slowReader(t, opts, topics, 480, test.size)
					retained := s.window.entries.at(0).position
					first := test.first
					if test.why == GapExpired {
						first = retained
					}
					events, gaps := readOut(t, s, conn, step)
					want := make([]Position, 0)
					for p := first; p <= 480; p++ {
						want = append(want, p)
					}
					if !slices.Equal(events, want) {
						t.Errorf("it gets %v, want those from %d on", events, first)
					}
					if len(gaps) == 0 || gaps[0].Reason != test.why || gaps[len(gaps)-1].To.Position != first-1 {
						t.Errorf("it is told of %+v", gaps)
					}
				})
			}
		}
	}
}
