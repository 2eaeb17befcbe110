package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// What tidyMemory looks for.
const (
	tidyInterval = 2 * time.Second
	quietBytes   = 1 << 20 // allocated in an interval: less is rest
	surplusBytes = 4 << 20 // held without use: more is worth a collection
)

// tidyMemory gives memory back to the system when the broker has come to rest
// after a burst. The runtime by itself keeps about what it needed at the peak:
// with many quiet connections that is as much again as the connections take.
func tidyMemory(ctx context.Context) {
	samples := []metrics.Sample{
		{Name: "/gc/heap/allocs:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/gc/heap/live:bytes"},
	}
	value := func(i int) uint64 { return samples[i].Value.Uint64() }
	tick := time.NewTicker(tidyInterval)
	defer tick.Stop()
	var allocated, tidied uint64
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		metrics.Read(samples)
		total, free, garbage := value(0), value(1), value(2)-min(value(2), value(3))
		// Once after each burst: what is allocated since must be worth it, too.
		if total-allocated < quietBytes && total-tidied > surplusBytes && free+garbage > surplusBytes {
			debug.FreeOSMemory()
			tidied = total
		}
		allocated = total
	}
}
