package hub

import (
	"slices"
	"testing"
)

// speaking returns a connection whose protocol has notes.
func speaking() *Conn { return &Conn{Replay: 1, Notes: true} }

// gapsOf takes what waits for the courier, and returns the gaps among it.
func gapsOf(s *State) (gaps []Gap) {
	for _, op := range s.Take(0, &Batch{}).Ops {
		if g, ok := op.Note.(Gap); ok {
			gaps = append(gaps, g)
		}
	}
	return gaps
}

func publishSome(t *testing.T, s *State, topic string, count int) {
	t.Helper()
	for range count {
		if _, err := s.Publish(Event{Topic: topic, Message: []byte("m")}); err != nil {
			t.Fatal(err)
		}
	}
}

// A connection that is told of a gap may be lost before it has heard of it: the
// next one, which begins at the same point, is told again.
func TestAGapIsToldToEachConnection(t *testing.T) {
	t.Parallel()
	opts := testOptions()
	opts.HistoryEvents = 3
	s := NewState(opts)
	if _, err := s.Register(Registration{ID: testID("a"), Topics: []string{"cats", "*"}}); err != nil {
		t.Fatal(err)
	}
	first := speaking()
	s.Attach(testID("a"), first, From{})
	s.ConnEnded(ConnReport{Conn: first})
	publishSome(t, s, "cats", 10)
	s.Take(0, &Batch{})
	for i := range 3 {
		conn := speaking()
		s.Attach(testID("a"), conn, From{})
		s.Work()
		if gaps := gapsOf(s); len(gaps) != 1 || !slices.Equal(gaps[0].Topics, []string{"cats", "*"}) || gaps[0].To.Position != 7 {
			t.Errorf("connection %d was told of the gaps %+v", i+1, gaps)
		}
		s.ConnEnded(ConnReport{Conn: conn})
	}
}

// A pattern that is added while its client reads is read from where the client
// is. What it has lost before that is told, though the client has looked at that
// loss already, when it did not have the pattern.
func TestAGapOfAPatternAddedWhileReading(t *testing.T) {
	t.Parallel()
	opts := testOptions()
	opts.HistoryEvents = 2 * chunkEvents
	s := NewState(opts)
	if _, err := s.Register(Registration{ID: testID("a"), Topics: []string{"cats", "fish.*"}}); err != nil {
		t.Fatal(err)
	}
	first := speaking()
	s.Attach(testID("a"), first, From{})
	s.ConnEnded(ConnReport{Conn: first})
	publishSome(t, s, "cats", 2*chunkEvents)
	publishSome(t, s, "dogs.rex", opts.HistoryEvents+5)
	conn := speaking()
	s.Attach(testID("a"), conn, From{})
	s.Work() // a chunk of cats
	s.Take(0, &Batch{})
	after := s.cursor(s.upTo(conn.client))
	if err := s.Subscribe(conn, Subscribe{Topics: []string{"dogs.*"}, From: From{After: &after}}); err != nil {
		t.Fatal(err)
	}
	s.ChunkWritten(conn)
	for s.Busy() {
		s.Work()
		s.ChunkWritten(conn)
	}
	if gaps := gapsOf(s); len(gaps) != 1 || !slices.Equal(gaps[0].Topics, []string{"dogs.*"}) || gaps[0].To.Position != 2*chunkEvents+5 {
		t.Errorf("it was told of the gaps %+v", gaps)
	}
}
