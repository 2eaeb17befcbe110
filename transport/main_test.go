package transport

import (
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
	"go.uber.org/zap"
)

// panics counts those that were recovered from. No test may have any but those
// that make them, which count by themselves.
var panics atomic.Int64

func panicked(v any, where string, _ ...zap.Field) {
	panics.Add(1)
	fmt.Fprintf(os.Stderr, "recovered from a panic of a %s: %v\n%s", where, v, debug.Stack())
}

func TestMain(m *testing.M) {
	// The same sequences in every run; -rapid.seed=0 looks for new ones.
	if err := flag.Set("rapid.seed", "1"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(status int) {
		if panics.Load() > 0 {
			status = 1
		}
		os.Exit(status)
	}))
}
