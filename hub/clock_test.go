package hub

import (
	"testing"
	"time"
)

// mortals are a state with something of all that ends after a time.
type mortals struct {
	*testing.T
	s   *State
	now time.Time
}

const mortalTime = 3 * time.Second // after it, all of it ends

func newMortals(t *testing.T) *mortals {
	opts := testOptions()
	opts.MaxStep = time.Second
	opts.RegisterTTL, opts.ResumeWindow, opts.DedupeWindow, opts.HistoryAge = mortalTime, mortalTime, mortalTime, mortalTime
	opts.DedupeBytes = 1 << 20
	w := &mortals{t, NewState(opts), epoch}
	w.s.Tick(w.now)
	for _, name := range []string{"new", "away"} {
		if _, err := w.s.Register(Registration{ID: testID(name), Topics: []string{"cats"}}); err != nil {
			t.Fatal(err)
		}
	}
	conn := &Conn{Owner: "c"}
	w.s.Attach(testID("away"), conn, From{})
	w.s.ConnEnded(ConnReport{Conn: conn, Reason: Disconnected})
	p := Publication{Events: []Event{{ID: "1", Topic: "cats", Time: w.now, Message: []byte("1")}}, Key: Key{Name: [16]byte{1}}}
	taking, err := w.s.Begin(p)
	if err != nil || !w.s.Continue(taking) {
		t.Fatal(err)
	}
	return w
}

// jump sets the clock.
func (w *mortals) jump(d time.Duration) {
	w.now = w.now.Add(d)
	w.s.Tick(w.now)
}

// pass has the hub look at its clock as often as it does.
func (w *mortals) pass(d time.Duration) {
	for ; d > 0; d -= tickInterval {
		w.jump(tickInterval)
	}
}

// left returns how many of the things that end are there.
func (w *mortals) left() int {
	st := w.s.Stats()
	return st.Clients + st.Retained + st.Keys
}

// TestClockJumps: what ends after a time does so after that much of the time in which
// the broker was at work. It does not matter that the process was stopped meanwhile, or
// that somebody set the clock.
func TestClockJumps(t *testing.T) {
	t.Parallel()
	for name, jump := range map[string]time.Duration{
		"none": 0, "stopped": 4500 * time.Millisecond, "asleep": 8 * time.Hour, "set forward": time.Hour, "set back": -time.Hour, "set back a little": -2 * time.Second,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newMortals(t)
			w.pass(time.Second)
			w.jump(jump)
			w.pass(500 * time.Millisecond)
			if n := w.left(); n != 4 {
				t.Errorf("%d of 4 are left in time", n)
			}
			w.pass(mortalTime)
			if n := w.left(); n != 0 {
				t.Errorf("%d are left for too long", n)
			}
		})
	}
}

// TestStoppedClientsComeBack: who comes back when the process goes on is served before
// its time is over, though the hub looks at its clock first.
func TestStoppedClientsComeBack(t *testing.T) {
	t.Parallel()
	w := newMortals(t)
	w.jump(30 * time.Second)
	conn := &Conn{Owner: "d"}
	w.s.Attach(testID("away"), conn, From{})
	if w.s.clients[testID("away")] == nil || conn.client == nil {
		t.Error("it is forgotten")
	}
}

// TestTakeoversAfterClockJumps: a clock that is set neither forgets takeovers nor counts
// them for longer.
func TestTakeoversAfterClockJumps(t *testing.T) {
	t.Parallel()
	for name, jump := range map[string]time.Duration{"forward": time.Hour, "back": -time.Hour} {
		w := newMortals(t)
		takeover := func() bool {
			conn := &Conn{Owner: "d"}
			w.s.Attach(testID("new"), conn, From{})
			return conn.client != nil
		}
		for range maxTakeovers + 1 {
			takeover()
		}
		w.jump(jump)
		if takeover() {
			t.Errorf("set %s: one takeover too many", name)
		}
		w.pass(takeoverWindow)
		if !takeover() {
			t.Errorf("set %s: no takeover after the time that it takes", name)
		}
	}
}
