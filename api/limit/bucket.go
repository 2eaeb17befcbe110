package limit

import (
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// A Rate bounds how often something may happen: in a second, and at once after a pause.
// The zero value is no limit.
type Rate struct {
	PerSecond float64
	Burst     int
}

// PerSecond returns a rate that allows one second's worth at once.
func PerSecond(n float64) Rate {
	if n <= 0 {
		return Rate{}
	}
	return Rate{n, max(1, int(math.Ceil(n)))}
}

// None reports whether there is no limit.
func (r Rate) None() bool { return r.PerSecond <= 0 }

// Refill returns how long an empty bucket takes to be full.
func (r Rate) Refill() time.Duration { return r.time(float64(r.Burst)) }

// longest is longer than anybody waits, and leaves room for sums.
const longest = 100 * 365 * 24 * time.Hour

func (r Rate) time(tokens float64) time.Duration {
	return time.Duration(min(tokens/r.PerSecond*float64(time.Second), float64(longest)))
}

func (r Rate) bucket() *rate.Limiter {
	if r.None() {
		return rate.NewLimiter(rate.Inf, 0)
	}
	return rate.NewLimiter(rate.Limit(r.PerSecond), r.Burst)
}

// set changes the bucket's rate and keeps its content.
func (r Rate) set(b *rate.Limiter, now time.Time) {
	limit := rate.Inf
	if !r.None() {
		limit = rate.Limit(r.PerSecond)
	}
	b.SetLimitAt(now, limit)
	b.SetBurstAt(now, r.Burst)
}

// A Level describes the content of a bucket.
type Level struct {
	Left int           // so many more may happen now
	Full time.Duration // time until the bucket is full
	Wait time.Duration // time until the refused request would be accepted
}

// take takes n tokens from the bucket, or none and reports false.
func (r Rate) take(b *rate.Limiter, n int, now time.Time) (Level, bool) {
	ok := b.AllowN(now, n)
	left := b.TokensAt(now)
	level := Level{Left: max(0, int(left)), Full: r.time(float64(r.Burst) - left)}
	if !ok {
		level.Wait = r.time(float64(n) - left)
	}
	return level, ok
}

// Buckets are token buckets, one for each key. A bucket that is full again is removed,
// because a new one is the same. Used buckets are in recent. After the time that any
// bucket needs to fill, recent becomes older. A bucket that is then still in older was not
// used for so long, and is dropped.
type Buckets[K comparable] struct {
	mu            sync.Mutex
	rate          Rate
	recent, older map[K]*rate.Limiter
	turn          time.Time // when older may be dropped
}

// Take takes n tokens from the bucket of a key, or none and reports false.
func (b *Buckets[K]) Take(key K, n int, now time.Time) (Level, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rate.None() {
		return Level{}, true
	}
	b.forget(now)
	bucket := b.recent[key]
	if bucket == nil {
		if bucket = b.older[key]; bucket == nil {
			bucket = b.rate.bucket()
		}
		delete(b.older, key)
		b.recent[key] = bucket
	}
	return b.rate.take(bucket, n, now)
}

// forget drops the buckets that have been full for a while.
func (b *Buckets[K]) forget(now time.Time) {
	for range 2 { // after a pause both maps are old
		if now.Before(b.turn) {
			return
		}
		b.older, b.recent = b.recent, make(map[K]*rate.Limiter)
		b.turn = b.turn.Add(b.rate.Refill())
	}
	b.turn = now.Add(b.rate.Refill())
}

// SetRate changes the rate of all buckets and keeps their content.
func (b *Buckets[K]) SetRate(r Rate, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case r == b.rate:
		return
	case r.None() || b.rate.None():
		b.older, b.recent = nil, make(map[K]*rate.Limiter)
	}
	for _, buckets := range [...]map[K]*rate.Limiter{b.older, b.recent} {
		for _, bucket := range buckets {
			r.set(bucket, now)
		}
	}
	b.rate = r
	b.turn = now
	if !r.None() {
		b.turn = now.Add(r.Refill())
	}
}

// Len returns the number of buckets.
func (b *Buckets[K]) Len(now time.Time) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.rate.None() {
		b.forget(now)
	}
	return len(b.recent) + len(b.older)
}
