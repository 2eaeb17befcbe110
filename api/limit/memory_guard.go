package limit

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// MemoryInterval is how often the memory guard reads what is held.
const MemoryInterval = 100 * time.Millisecond

// A MemoryGuard decides which needs there is memory for. Above its limit the broker begins
// nothing new until it holds a tenth less, so that new load cannot kill existing
// connections. A reserve above the limit is for publishers with a key: memory held by
// strangers must not stop them.
type MemoryGuard struct {
	read func() MemoryReading
	log  *zap.Logger

	limit   atomic.Int64 // bytes; 0: no limit
	reserve atomic.Int64 // bytes
	held    atomic.Int64 // bytes, as of the last reading
	kern    atomic.Int64 // the bytes of held that the kernel holds
	refused atomic.Int32 // needs below this one are refused; 0: none
}

// refusals are the texts for the log about what is refused, by need.
var refusals = [Needs]string{
	ToBegin:        "connections, registrations and requests that wait",
	ToPublish:      "connections, registrations, requests that wait, and publishes with a token",
	ToPublishByKey: "connections, registrations, requests that wait, and all publishes",
}

// A MemoryReading is the memory held at one moment, in bytes.
type MemoryReading struct {
	process int64 // by the process itself
	kernel  int64 // by the kernel for connections
}

// NewMemoryGuard returns a guard without a limit. It calls read to get what is held.
func NewMemoryGuard(log *zap.Logger, read func() MemoryReading) *MemoryGuard {
	return &MemoryGuard{read: read, log: log}
}

// SetLimit sets the limit and the reserve above it, in bytes. A limit of zero means three
// quarters of the memory that the machine has, or that the process may use. A reserve of
// zero means a tenth of the limit.
func (g *MemoryGuard) SetLimit(max, reserve int) {
	most := int64(max)
	if most == 0 {
		most = availableMemory(os.DirFS("/")) / 4 * 3
	}
	if reserve == 0 {
		reserve = int(most / 10)
	}
	g.reserve.Store(int64(reserve))
	if g.limit.Swap(most) == most || most == 0 {
		return
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(lowWater(most)) // so that the collector works before anything is refused
	}
}

// lowWater is the level below which a need is admitted again.
func lowWater(limit int64) int64 { return limit / 10 * 9 }

// Overloaded reports whether there is too little memory for a need.
func (g *MemoryGuard) Overloaded(n Need) bool { return int32(n) < g.refused.Load() }

// Level returns how many needs are refused.
func (g *MemoryGuard) Level() int { return int(g.refused.Load()) }

// limitOf returns the most that may be held when there is a need.
func (g *MemoryGuard) limitOf(n Need) int64 {
	return g.limit.Load() + g.reserve.Load()*int64(n)/int64(Needs-1)
}

// Look compares what is held with the limits.
func (g *MemoryGuard) Look() {
	r := g.read()
	held, limited, before := r.process+r.kernel, g.limit.Load() > 0, g.refused.Load()
	g.held.Store(held)
	g.kern.Store(r.kernel)
	now := before
	for now < int32(Needs) && limited && held > g.limitOf(Need(now)) {
		now++
	}
	for now > 0 && (!limited || held < lowWater(g.limitOf(Need(now-1)))) {
		now--
	}
	g.refused.Store(now)
	about := []zap.Field{zap.Int64("bytes", held), zap.Int64("limit", g.limit.Load()), zap.Int64("reserve", g.reserve.Load())}
	switch {
	case now > before:
		g.log.Warn("memory is above max_memory", append(about, zap.String("refused", refusals[now-1]))...)
	case now < before && now > 0:
		g.log.Info("some memory is available again", append(about, zap.String("refused", refusals[now-1]))...)
	case now < before:
		g.log.Info("memory is available again", about...)
	}
}

// ReadMemory returns what the process holds, and what the kernel holds for all TCP
// connections of the machine. The kernel does not separate processes, so others count too.
// That is the safe side.
func ReadMemory() MemoryReading {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	text, _ := os.ReadFile("/proc/net/sockstat") // missing on some systems
	return MemoryReading{
		process: int64(samples[0].Value.Uint64() - samples[1].Value.Uint64()),
		kernel:  socketPages(string(text)) * int64(os.Getpagesize()),
	}
}

var (
	descMemory        = prometheus.NewDesc("belfry_memory_bytes", "Memory of the process, and of the kernel for TCP connections.", nil, nil)
	descMemoryKernel  = prometheus.NewDesc("belfry_memory_kernel_bytes", "Memory of the kernel for all TCP connections of the machine.", nil, nil)
	descMemoryLimit   = prometheus.NewDesc("belfry_memory_limit_bytes", "Memory above which the broker begins nothing new; 0: no limit.", nil, nil)
	descMemoryReserve = prometheus.NewDesc("belfry_memory_reserve_bytes", "Memory above the limit for publishes with a key.", nil, nil)
)

// Describe implements [prometheus.Collector].
func (g *MemoryGuard) Describe(out chan<- *prometheus.Desc) {
	out <- descMemory
	out <- descMemoryKernel
	out <- descMemoryLimit
	out <- descMemoryReserve
}

// Collect implements [prometheus.Collector].
func (g *MemoryGuard) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v int64) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v))
	}
	gauge(descMemory, g.held.Load())
	gauge(descMemoryKernel, g.kern.Load())
	gauge(descMemoryLimit, g.limit.Load())
	gauge(descMemoryReserve, g.reserve.Load())
}
