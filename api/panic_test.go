package api

import (
	"context"
	"testing"
	"time"

	"go.uber.org/zap"

	"belfry/hub"
)

// A question to the hub that panics fails for all callers that share the answer. The next
// question is a new one.
func TestProbeThatPanics(t *testing.T) {
	t.Parallel()
	took := make(chan string, 1)
	p := probe{took: func(_ any, where string, _ ...zap.Field) { took <- where }} // without a hub
	if _, err := p.stats(); err != errPanicked || <-took != "probe" {
		t.Errorf("it fails with %v", err)
	}
	h := hub.New(hub.Options{Clock: time.Now, Queue: 1})
	ctx, cancel := context.WithCancel(t.Context())
	defer func() { cancel(); <-h.Done() }()
	p.hub = h
	go h.Run(ctx)
	if _, err := p.stats(); err != nil {
		t.Error(err)
	}
}
