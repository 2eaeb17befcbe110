package bench

import (
	"math/bits"
	"time"
)

// A histogram counts durations in buckets whose width is at most 1/32 of their content.
type histogram struct {
	counts [59 * steps]uint64 // enough for any duration
	total  uint64
	max    time.Duration
}

// steps is the number of buckets between two powers of two.
const steps = 32

func bucket(d time.Duration) int {
	n := uint64(max(d, 0))
	if n < steps {
		return int(n)
	}
	shift := bits.Len64(n) - 6 // leaves a number of 32 to 63
	return (shift+1)*steps + int(n>>shift) - steps
}

// least returns the shortest duration of a bucket.
func least(i int) time.Duration {
	if i < steps {
		return time.Duration(i)
	}
	return time.Duration(i%steps+steps) << (i/steps - 1)
}

func (h *histogram) add(d time.Duration) {
	h.counts[bucket(d)]++
	h.total++
	h.max = max(h.max, d)
}

// quantile returns the duration that a share q of all (0 to 1) does not exceed.
func (h *histogram) quantile(share float64) time.Duration {
	rank, seen := uint64(share*float64(h.total)), uint64(0)
	for i, n := range h.counts {
		if seen += n; seen > rank {
			return least(i)
		}
	}
	return h.max
}
