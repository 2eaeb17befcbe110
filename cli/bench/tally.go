package bench

import (
	"sync"
	"time"
)

// A tally counts received events. A reader locks it, sets the time, counts, and calls
// [run.tell], ideally once for many connections.
type tally struct {
	sync.Mutex
	histogram
	now   time.Duration // when the events being counted were read
	fresh int64         // events that the run does not know yet
}

// event counts one event.
func (t *tally) event(sent time.Duration) {
	t.add(t.now - sent)
	t.fresh++
}

// tell unlocks the tally and reports its new events to the run.
func (r *run) tell() {
	fresh, now := r.tally.fresh, r.tally.now
	r.tally.fresh = 0
	r.tally.Unlock()
	if fresh == 0 {
		return
	}
	r.newest.Store(int64(now))
	r.received.Add(fresh)
	select {
	case r.note <- struct{}{}:
	default:
	}
}
