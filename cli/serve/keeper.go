package serve

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"belfry/config"
	"belfry/hub"
	"belfry/store/disk"
)

// retryInterval is the time between two attempts to write a log that can't be written.
const retryInterval = time.Second

// trimInterval is how often events are looked for that have become too old on the disk.
const trimInterval = 10 * time.Second

// A keeper keeps the log on the disk: it stores one commit of the hub after another. A
// commit that fails does not end the broker. Until one succeeds the broker is not ready,
// and tries by itself.
type keeper struct {
	// Static after construction.
	store *disk.Store
	log   *zap.Logger
	clock func() time.Time

	failing atomic.Bool   // the last commit failed
	bytes   atomic.Uint64 // of the log
	floor   atomic.Uint64 // position of the last event that retention took

	duration prometheus.Histogram
	events   prometheus.Histogram
	failures prometheus.Counter
	gauges   []prometheus.Collector
}

// newKeeper opens the store of a directory. It returns nil if there is none.
func newKeeper(cfg config.Config, log *zap.Logger, clock func() time.Time) (*keeper, error) {
	if cfg.Data.Dir == "" {
		return nil, nil
	}
	store, err := disk.Open(cfg.Data.Dir, disk.Options{
		MaxBytes: int64(cfg.Data.Bytes), MaxAge: cfg.Data.Age, KeyWindow: cfg.DedupeWindow, Epoch: newEpoch(), Clock: clock,
	})
	if err != nil {
		return nil, err
	}
	k := &keeper{store: store, log: log, clock: clock}
	k.duration = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "belfry_store_commit_duration_seconds",
		Help:    "Time to write a commit to the disk and to sync it.",
		Buckets: []float64{1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, .1, .25, .5, 1, 2.5, 5, 10},
	})
	k.events = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "belfry_store_commit_events",
		Help:    "Events of a commit.",
		Buckets: prometheus.ExponentialBuckets(1, 4, 7),
	})
	k.failures = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "belfry_store_failures_total",
		Help: "Attempts to write the log that failed.",
	})
	gauge := func(name, help string, value func() float64) {
		k.gauges = append(k.gauges, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
	}
	gauge("belfry_store_bytes", "Bytes of the events on the disk.", func() float64 { return float64(k.bytes.Load()) })
	gauge("belfry_store_floor_position", "Position of the last event that data.bytes or data.age has removed from the disk.", func() float64 { return float64(k.floor.Load()) })
	gauge("belfry_store_failing", "1 while the log cannot be written, else 0.", func() float64 {
		if k.failing.Load() {
			return 1
		}
		return 0
	})
	k.measure()
	return k, nil
}

// collectors are the metrics; there are none without a store.
func (k *keeper) collectors() []prometheus.Collector {
	if k == nil {
		return nil
	}
	return append(k.gauges, k.duration, k.events, k.failures)
}

// fails reports whether the log can't be written.
func (k *keeper) fails() bool { return k != nil && k.failing.Load() }

// restore has the hub begin with what is stored, as far as the hub's memory may hold it.
func (k *keeper) restore(h *hub.Hub, bytes int) error {
	begun := k.clock()
	r, err := k.store.Load(bytes)
	if err != nil {
		return errors.Join(err, k.store.Close())
	}
	h.Restore(r)
	k.log.Info("log is open", zap.String("head", h.Cursor(r.Head).String()), zap.Uint64("bytes", k.store.Bytes()), zap.Duration("took", k.clock().Sub(begun)))
	return nil
}

// close closes the store of a broker that does not run.
func (k *keeper) close() error {
	if k == nil {
		return nil
	}
	return k.store.Close()
}

// run stores what the hub commits until ctx ends.
func (k *keeper) run(ctx context.Context, h *hub.Hub) {
	trim, retry := time.NewTicker(trimInterval), time.NewTicker(retryInterval)
	defer trim.Stop()
	defer retry.Stop()
	for {
		select {
		case c := <-h.Commits():
			if err, known := k.commit(ctx, h, c); known {
				h.Stored(c, err)
			}
		case <-trim.C:
			k.settle(ctx, h, k.store.Trim())
		case <-retry.C:
			if k.failing.Load() {
				k.commit(ctx, h, &hub.Commit{})
			}
		case <-ctx.Done():
			if err := k.store.Close(); err != nil {
				k.log.Error("the log cannot be closed", zap.Error(err))
			}
			return
		}
	}
}

// commit stores a commit. It returns what became of it, unless ctx ends before that is
// known.
func (k *keeper) commit(ctx context.Context, h *hub.Hub, c *hub.Commit) (err error, known bool) {
	begun := k.clock()
	err, known = k.settle(ctx, h, k.store.Commit(c))
	k.duration.Observe(k.clock().Sub(begun).Seconds())
	k.events.Observe(float64(len(c.Events)))
	return err, known
}

// settle takes note of what the store has returned. While it is not known what became of a
// commit it tries to find that out, and the hub takes nothing.
func (k *keeper) settle(ctx context.Context, h *hub.Hub, err error) (_ error, known bool) {
	k.told(err)
	if !isUnsure(err) {
		return err, true
	}
	_ = h.SetStoreDown(true) // if the hub has ended, nobody asks
	defer h.SetStoreDown(false)
	retry := time.NewTicker(retryInterval)
	defer retry.Stop()
	for isUnsure(err) {
		select {
		case <-retry.C:
			err = k.store.Recover()
			k.told(err)
		case <-ctx.Done():
			return err, false
		}
	}
	return err, true
}

func isUnsure(err error) bool {
	var unsure *disk.UnsureError
	return errors.As(err, &unsure)
}

// told logs and counts what the store has returned.
func (k *keeper) told(err error) {
	k.measure()
	if err == nil {
		if k.failing.Swap(false) {
			k.log.Info("the log can be written again")
		}
		return
	}
	k.failures.Inc()
	if !k.failing.Swap(true) {
		k.log.Error("the log cannot be written; publishes are refused until it can", zap.Error(err))
	}
}

func (k *keeper) measure() {
	k.bytes.Store(k.store.Bytes())
	k.floor.Store(uint64(k.store.Floor()))
}
