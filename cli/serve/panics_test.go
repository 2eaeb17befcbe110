package serve

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// An actor of the broker's that panics goes on with its next step.
func TestAStepThatPanics(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		core, logged := observer.New(zapcore.InfoLevel)
		p := newPanics(zap.New(core))
		ctx, cancel := context.WithCancel(t.Context())
		steps := 0
		go p.every(ctx, time.Second, "memory guard", func() {
			if steps++; steps%2 == 1 {
				panic("of a step")
			}
		})
		time.Sleep(4500 * time.Millisecond)
		cancel()
		synctest.Wait()
		entries := logged.FilterMessage(PanicMessage).All()
		if steps != 4 || p.count(t) != 2 || len(entries) != 2 {
			t.Fatalf("%d steps, %v panics, %v", steps, p.count(t), entries)
		}
		if about := entries[0].ContextMap(); about["where"] != "memory guard" || about["stack"] == "" {
			t.Errorf("the log says %v", about)
		}
	})
}
