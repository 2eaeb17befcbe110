package bench

import (
	"sync"
	"time"
)

// A tally is what has been received. Who reads locks it, sets the time, counts, and
// calls [run.tell]: at best once for what has come over many connections.
type tally struct {
	sync.Mutex
	histogram
	now   time.Duration // when what is being counted was read
	fresh int64         // events that the run has not been told of
}

// event counts one.
func (t *tally) event(sent time.Duration) {
	t.add(t.now - sent)
	t.fresh++
}

// tell unlocks the tally, and lets everybody know of what is new in it.
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
