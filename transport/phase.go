package transport

import (
	"maps"
	"slices"
	"sync"
)

// A phase is where a connection is in its life, as its courier sees it. Events come from
// the hub and from the peer, which do not know of each other. So an end may come before
// the beginning.
//
//	              new                open               closing          ended
//	hub.OpOpen    opens, or ends     -                  -                -
//	other ops     -                  done               nothing          nothing
//	reportRefused     opens, then closes -                  -                -
//	reportPing        -                  answered           nothing          nothing
//	reportPong        -                  noted              nothing          nothing
//	reportPartial     -                  awaited            nothing          nothing
//	reportWhole       -                  noted              nothing          nothing
//	reportClose       -                  closes             ends, if written nothing
//	reportFault       -                  closes             nothing          nothing
//	reportGone        ends as it opens   ends               ends             nothing
//	reportFailed      ends as it opens   ends               ends             nothing
//	reportWritten     -                  goes on, or ends   goes on, or ends counted
//	deadlines     -                  as they are        ends             -
//	courier ends  aborted            aborted            aborted          nothing
//
// Cells with - can't happen. The hub hears of a connection's end once: when it
// stops being open.
type phase uint8

const (
	phaseNew     phase = iota // its hub.OpOpen has not come yet; no reader runs
	phaseOpen                 // takes frames
	phaseClosing              // takes no more frames; a Close frame is queued or written
	phaseEnded                // its socket is closed
)

// Arrivals are a courier's connections in phaseNew. The hub says when they are opened,
// and it may end before that. The calls may come from any goroutine.
type arrivals struct {
	mu    sync.Mutex
	conns map[*conn]struct{}
	over  bool // the courier has ended
}

// add adds a connection. It reports whether the courier still runs.
func (a *arrivals) add(c *conn) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over {
		return false
	}
	if a.conns == nil {
		a.conns = make(map[*conn]struct{})
	}
	a.conns[c] = struct{}{}
	return true
}

// remove removes a connection and reports whether it was there. The caller then has to
// open or to end it.
func (a *arrivals) remove(c *conn) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, came := a.conns[c]
	delete(a.conns, c)
	return came
}

func (a *arrivals) any() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.conns) > 0
}

// end removes all, and does not take others from then on.
func (a *arrivals) end() []*conn {
	a.mu.Lock()
	defer a.mu.Unlock()
	left := slices.Collect(maps.Keys(a.conns))
	a.conns, a.over = nil, true
	return left
}
