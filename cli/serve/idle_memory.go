package serve

import (
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// The thresholds of a tidier.
const (
	tidyInterval = 2 * time.Second
	quietBytes   = 1 << 20 // allocated in an interval: below it the broker rests
	surplusBytes = 4 << 20 // held without use: above it a collection is worthwhile
)

// A tidier returns memory to the system when the broker rests after a burst. The runtime
// alone keeps about what it needed at the peak. With many idle connections that doubles
// the memory.
type tidier struct{ allocated, tidied uint64 }

func (t *tidier) look() {
	samples := []metrics.Sample{
		{Name: "/gc/heap/allocs:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/gc/heap/live:bytes"},
	}
	value := func(i int) uint64 { return samples[i].Value.Uint64() }
	metrics.Read(samples)
	total, free, garbage := value(0), value(1), value(2)-min(value(2), value(3))
	// Once after each burst: later allocations must make it worthwhile again.
	if total-t.allocated < quietBytes && total-t.tidied > surplusBytes && free+garbage > surplusBytes {
		debug.FreeOSMemory()
		t.tidied = total
	}
	t.allocated = total
}
