package api

import (
	"sync"
	"time"

	"go.uber.org/zap"

	"belfry/hub"
)

// probeLimit is how long the hub may take to answer before it counts as hung.
const probeLimit = 2 * time.Second

var errUnresponsive = unresponsive.because("the hub has not answered in time; if this lasts, restart the broker")

// A probe asks the hub for its figures. It asks one question at a time, and all concurrent
// callers share the answer. So callers of a hung hub do not pile up goroutines.
type probe struct {
	hub   *hub.Hub
	took  func(v any, where string, about ...zap.Field) // records a panic
	mu    sync.Mutex
	asked *figures // under way, or nil
}

type figures struct {
	done  chan struct{} // closed when the other fields are set
	stats hub.Stats
	err   error
}

// stats returns the hub's figures. It fails with [hub.ErrClosed], or with errUnresponsive
// after probeLimit.
func (p *probe) stats() (hub.Stats, error) {
	f := p.ask()
	limit := time.NewTimer(probeLimit)
	defer limit.Stop()
	select {
	case <-f.done:
		return f.stats, f.err
	case <-limit.C:
		return hub.Stats{}, errUnresponsive
	}
}

func (p *probe) ask() *figures {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asked != nil {
		return p.asked
	}
	f := &figures{done: make(chan struct{})}
	p.asked = f
	go p.answer(f)
	return f
}

// answer answers a question. After a panic all callers that share it get an error.
func (p *probe) answer(f *figures) {
	defer func() {
		if v := recover(); v != nil {
			f.err = errPanicked
			p.took(v, "probe")
		}
		p.mu.Lock()
		p.asked = nil
		p.mu.Unlock()
		close(f.done)
	}()
	f.stats, f.err = p.hub.Stats()
}
