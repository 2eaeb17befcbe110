package serve

import (
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// What a tidier looks for.
const (
	tidyInterval = 2 * time.Second
	quietBytes   = 1 << 20 // allocated in an interval: less is rest
	surplusBytes = 4 << 20 // held without use: more is worth a collection
)

// A tidier gives memory back to the system when the broker has come to rest
// after a burst. The runtime by itself keeps about what it needed at the peak:
// with many quiet connections that is as much again as the connections take.
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
	// Once after each burst: what is allocated since must be worth it, too.
	if total-t.allocated < quietBytes && total-t.tidied > surplusBytes && free+garbage > surplusBytes {
		debug.FreeOSMemory()
		t.tidied = total
	}
	t.allocated = total
}
