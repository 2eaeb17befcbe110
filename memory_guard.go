package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// memoryInterval is how often the memory guard looks.
const memoryInterval = 100 * time.Millisecond

// A memoryGuard knows whether there is memory for more. When the broker holds
// more than its limit nothing is begun that takes some, until it holds a tenth
// less: what there is must not die of what comes.
type memoryGuard struct {
	read func() memoryReading
	log  *zap.Logger

	limit atomic.Int64 // bytes; 0: none
	held  atomic.Int64 // bytes, as of the last look
	kern  atomic.Int64 // of those, bytes that the kernel holds
	full  atomic.Bool
}

// A memoryReading is what is held at one moment, in bytes.
type memoryReading struct {
	process int64 // by the process itself
	kernel  int64 // by the kernel for connections
}

func newMemoryGuard(log *zap.Logger, read func() memoryReading) *memoryGuard {
	return &memoryGuard{read: read, log: log}
}

// setLimit sets the limit, in bytes. Zero is three quarters of what the machine
// has, or what the process may have of it.
func (g *memoryGuard) setLimit(max int) {
	limit := int64(max)
	if limit == 0 {
		limit = availableMemory(os.DirFS("/")) / 4 * 3
	}
	if g.limit.Swap(limit) == limit || limit == 0 {
		return
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(lowWater(limit)) // so that garbage goes first
	}
}

// lowWater is below what there is memory for more again.
func lowWater(limit int64) int64 { return limit / 10 * 9 }

// overloaded reports whether nothing should be begun that takes memory.
func (g *memoryGuard) overloaded() bool { return g.full.Load() }

// run looks again and again, until ctx ends.
func (g *memoryGuard) run(ctx context.Context) {
	tick := time.NewTicker(memoryInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			g.look()
		case <-ctx.Done():
			return
		}
	}
}

// look compares what is held with the limit.
func (g *memoryGuard) look() {
	r := g.read()
	held, limit, full := r.process+r.kernel, g.limit.Load(), g.full.Load()
	g.held.Store(held)
	g.kern.Store(r.kernel)
	switch {
	case !full && limit > 0 && held > limit:
		g.full.Store(true)
		g.log.Warn("memory is above max_memory: new work is refused", zap.Int64("bytes", held), zap.Int64("limit", limit))
	case full && (limit == 0 || held < lowWater(limit)):
		g.full.Store(false)
		g.log.Info("there is memory again", zap.Int64("bytes", held), zap.Int64("limit", limit))
	}
}

// readMemory returns what the process holds, and what the kernel holds for all
// TCP connections of the machine: it does not tell whose they are. So others
// count, too, which errs on the safe side.
func readMemory() memoryReading {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	text, _ := os.ReadFile("/proc/net/sockstat") // which not all systems have
	return memoryReading{
		process: int64(samples[0].Value.Uint64() - samples[1].Value.Uint64()),
		kernel:  socketPages(string(text)) * int64(os.Getpagesize()),
	}
}

var (
	descMemory       = prometheus.NewDesc("belfry_memory_bytes", "What the process holds, and the kernel for TCP connections.", nil, nil)
	descMemoryKernel = prometheus.NewDesc("belfry_memory_kernel_bytes", "What the kernel holds for all TCP connections of the machine.", nil, nil)
	descMemoryLimit  = prometheus.NewDesc("belfry_memory_limit_bytes", "Above this new work is refused; 0 is no limit.", nil, nil)
)

// Describe implements [prometheus.Collector].
func (g *memoryGuard) Describe(out chan<- *prometheus.Desc) {
	out <- descMemory
	out <- descMemoryKernel
	out <- descMemoryLimit
}

// Collect implements [prometheus.Collector].
func (g *memoryGuard) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v int64) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v))
	}
	gauge(descMemory, g.held.Load())
	gauge(descMemoryKernel, g.kern.Load())
	gauge(descMemoryLimit, g.limit.Load())
}
