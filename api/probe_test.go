package api

import (
	"context"
	"testing"
	"time"

	"belfry/hub"
)

// Callers share the answer of a question that is under way.
func TestProbeAsksOnce(t *testing.T) {
	t.Parallel()
	h := hub.New(hub.Options{Clock: time.Now, Queue: 1})
	p := probe{hub: h}
	first := p.ask()
	if p.ask() != first {
		t.Error("two questions at a time")
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer func() { cancel(); <-h.Done() }()
	go h.Run(ctx)
	<-first.done
	if p.ask() == first {
		t.Error("a new question got an old answer")
	}
	if _, err := p.stats(); err != nil {
		t.Error(err)
	}
}
