package hub

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// A sparse log is one whose positions grow by leaps, beside a dense one that is told the
// same. A position of the one has its counterpart in the other.
type sparseTest struct {
	t             *testing.T
	rnd           *rand.Rand
	dense, sparse *State
	of            []Position // by dense position; what lies between two belongs to the first
}

// publish publishes the same event in both.
func (x *sparseTest) publish(topic string) {
	x.t.Helper()
	x.sparse.authority.head += Position(x.rnd.IntN(1000))
	text := fmt.Append(nil, len(x.of))
	for _, s := range []*State{x.dense, x.sparse} {
		if _, err := s.Publish(Event{ID: "e", Topic: topic, Message: text}); err != nil {
			x.t.Fatal(err)
		}
	}
	x.of = append(x.of, x.sparse.authority.head)
}

// after returns the same place in both logs, in the sparse one maybe between two events.
func (x *sparseTest) after() (dense, sparse Cursor) {
	at := x.rnd.IntN(len(x.of))
	p := x.of[at]
	if at+1 < len(x.of) {
		p += Position(x.rnd.Uint64N(uint64(x.of[at+1] - p)))
	}
	return x.dense.cursor(Position(at)), x.sparse.cursor(p)
}

// heard is what a new connection is given and told, with the positions of the dense log.
func (x *sparseTest) heard(s *State, from From, topics []string) (all []string) {
	x.t.Helper()
	at := func(p Position) int {
		if s == x.dense {
			return int(p)
		}
		i, ok := slices.BinarySearch(x.of, p)
		if !ok {
			i--
		}
		return i
	}
	conn := speaking()
	s.Connect(Registration{ID: testID("a"), Topics: topics}, conn, from)
	for live := false; !live; {
		for s.Busy() {
			s.Work()
		}
		b := s.Take(0, &Batch{})
		if b == nil {
			break
		}
		for _, op := range b.Ops {
			switch gap, isGap := op.Note.(Gap); {
			case isGap:
				all = append(all, fmt.Sprint("gap ", gap.Topics, at(gap.To.Position)))
			case op.Frame != nil:
				all = append(all, string(op.Frame.Bytes))
			}
			live = live || op.Kind == OpLive
		}
		s.ChunkWritten(conn)
	}
	s.ConnEnded(ConnReport{Conn: conn, UpTo: s.window.head})
	return all
}

// Positions need not be dense: readers are given the same by a log with holes.
func TestSparsePositions(t *testing.T) {
	t.Parallel()
	opts := testOptions()
	opts.HistoryEvents = 5
	x := &sparseTest{t: t, rnd: rand.New(rand.NewPCG(1, 2)), dense: NewState(opts), sparse: NewState(opts), of: []Position{0}}
	topics := []string{"cats", "dogs", "fish.red", "fish.blue"}
	for range 500 {
		x.publish(topics[x.rnd.IntN(len(topics))])
		dense, sparse := x.after()
		for _, names := range [][]string{{"cats", "dogs"}, {"fish.*"}, {">"}} {
			if a, b := x.heard(x.dense, From{After: &dense}, names), x.heard(x.sparse, From{After: &sparse}, names); !slices.Equal(a, b) {
				t.Fatalf("after %v of %v: %q, and with holes %q", dense, names, a, b)
			}
			if a, b := x.heard(x.dense, From{Last: 3}, names), x.heard(x.sparse, From{Last: 3}, names); !slices.Equal(a, b) {
				t.Fatalf("the last of %v: %q, and with holes %q", names, a, b)
			}
		}
	}
}

// A gap is what the log has lost. What only the window has dropped is none.
func TestOnlyTheLogsFloorIsAGap(t *testing.T) {
	t.Parallel()
	opts := testOptions()
	opts.HistoryEvents = 2
	s := NewState(opts)
	publishSome(t, s, "cats", 10)
	s.window.gone = 5 // the log itself has more than its window
	x := &sparseTest{t: t, dense: s, sparse: s}
	for after, want := range map[Position]string{3: "gap [cats] 5", 6: ""} {
		at := s.cursor(after)
		all := x.heard(s, From{After: &at}, []string{"cats"})
		if got := all[0]; want != "" && got != want || want == "" && len(all) != 2 {
			t.Errorf("after %d: %q", after, all)
		}
	}
}
