package limit

import (
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// A Rate is how fast something may happen: so often in a second, and so often at
// once by who has been quiet before. The zero value is no limit.
type Rate struct {
	PerSecond float64
	Burst     int
}

// PerSecond returns a rate that lets one second's worth happen at once.
func PerSecond(n float64) Rate {
	if n <= 0 {
		return Rate{}
	}
	return Rate{n, max(1, int(math.Ceil(n)))}
}

// None reports whether there is no limit.
func (r Rate) None() bool { return r.PerSecond <= 0 }

// Refill is how long a bucket takes that was empty to be full.
func (r Rate) Refill() time.Duration { return r.time(float64(r.Burst)) }

// longest is more than anybody waits, and leaves room for sums.
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

// set changes a bucket's rate; what it holds stays.
func (r Rate) set(b *rate.Limiter, now time.Time) {
	limit := rate.Inf
	if !r.None() {
		limit = rate.Limit(r.PerSecond)
	}
	b.SetLimitAt(now, limit)
	b.SetBurstAt(now, r.Burst)
}

// A Level is how full a bucket is.
type Level struct {
	Left int           // this many more may happen now
	Full time.Duration // until it is as if nothing had happened
	Wait time.Duration // until what was refused may happen
}

// take takes n tokens from a bucket, or none and reports false.
func (r Rate) take(b *rate.Limiter, n int, now time.Time) (Level, bool) {
	ok := b.AllowN(now, n)
	left := b.TokensAt(now)
	level := Level{Left: max(0, int(left)), Full: r.time(float64(r.Burst) - left)}
	if !ok {
		level.Wait = r.time(float64(n) - left)
	}
	return level, ok
}

// Buckets are token buckets, one for each key. A bucket that is full again is
// forgotten: it is as good as a new one. What is used is in recent; after the time
// that any bucket needs to be full recent becomes older, and what is in older by
// then has not been used for so long.
type Buckets[K comparable] struct {
	mu            sync.Mutex
	rate          Rate
	recent, older map[K]*rate.Limiter
	turn          time.Time // when older may be forgotten
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

// forget forgets what has been full for a while.
func (b *Buckets[K]) forget(now time.Time) {
	for range 2 { // after a pause both are to be forgotten
		if now.Before(b.turn) {
			return
		}
		b.older, b.recent = b.recent, make(map[K]*rate.Limiter)
		b.turn = b.turn.Add(b.rate.Refill())
	}
	b.turn = now.Add(b.rate.Refill())
}

// SetRate changes the rate of all buckets. What they hold stays.
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

// Len returns how many buckets are remembered.
func (b *Buckets[K]) Len(now time.Time) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.rate.None() {
		b.forget(now)
	}
	return len(b.recent) + len(b.older)
}
