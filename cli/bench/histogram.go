package bench

import (
	"math/bits"
	"time"
)

// A histogram counts durations in buckets that are at most 1/32 wide of what is
// in them.
type histogram struct {
	counts [59 * steps]uint64 // up to the longest duration that there is
	total  uint64
	max    time.Duration
}

// steps are the buckets between a power of two and the next.
const steps = 32

func bucket(d time.Duration) int {
	n := uint64(max(d, 0))
	if n < steps {
		return int(n)
	}
	shift := bits.Len64(n) - 6 // leaves a number of 32 to 63
	return (shift+1)*steps + int(n>>shift) - steps
}

// least is the shortest duration of a bucket.
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

// quantile returns the duration that a share of all does not exceed, 0 to 1.
func (h *histogram) quantile(share float64) time.Duration {
	rank, seen := uint64(share*float64(h.total)), uint64(0)
	for i, n := range h.counts {
		if seen += n; seen > rank {
			return least(i)
		}
	}
	return h.max
}
