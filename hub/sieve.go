package hub

import "strings"

// A sieve finds out whether one of many patterns covers another, at a cost of the
// levels of that one: all patterns go through it side by side, a bit each.
type sieve struct {
	levels   []sieveLevel
	all      bitset // of patterns
	reserved bitset // those of the broker's own topics
	size     int    // levels of all patterns
}

// A sieveLevel is what patterns have at one level.
type sieveLevel struct {
	named            map[string]bitset // by their level
	star, tail, ends bitset            // those with '*', those with '>', those of which it is the last
}

// bitset are a set of patterns, by their numbers.
type bitset []uint64

func (b bitset) set(i int) { b[i/64] |= 1 << (i % 64) }

// meets reports whether two sets have something in common.
func (b bitset) meets(other bitset) bool {
	for i := range b {
		if b[i]&other[i] != 0 {
			return true
		}
	}
	return false
}

func newSieve(patterns []string) *sieve {
	words := (len(patterns) + 63) / 64
	v := &sieve{all: make(bitset, words), reserved: make(bitset, words)}
	for i, p := range patterns {
		v.all.set(i)
		if reserved(p) {
			v.reserved.set(i)
		}
		for at, more := 0, true; more; at++ {
			if at == len(v.levels) {
				v.levels = append(v.levels, sieveLevel{make(map[string]bitset), make(bitset, words), make(bitset, words), make(bitset, words)})
			}
			var level string
			level, p, more = strings.Cut(p, ".")
			v.levels[at].add(level, i, !more, words)
			v.size++
		}
	}
	return v
}

// add adds a level of a pattern.
func (l *sieveLevel) add(level string, pattern int, last bool, words int) {
	switch level {
	case anyTail:
		l.tail.set(pattern)
		return
	case anyLevel:
		l.star.set(pattern)
	default:
		if l.named[level] == nil {
			l.named[level] = make(bitset, words)
		}
		l.named[level].set(pattern)
	}
	if last {
		l.ends.set(pattern)
	}
}

// covers reports whether one of the patterns covers a request, as [Covers] does, and what
// it took to find out.
func (v *sieve) covers(request string) (is bool, work int) {
	left := append(bitset(nil), v.all...)
	if reserved(request) {
		copy(left, v.reserved)
	}
	for at, more := 0, true; more && at < len(v.levels); at++ {
		var level string
		level, request, more = strings.Cut(request, ".")
		l := &v.levels[at]
		work += 1 + len(left)
		if left.meets(l.tail) {
			return true, work
		}
		named := l.named[level] // none of a wildcard
		for i := range left {
			here := l.star[i]
			if named != nil {
				here |= named[i]
			}
			left[i] &= here
		}
		if level == anyTail {
			return false, work
		}
		if !more {
			return left.meets(l.ends), work
		}
	}
	return false, work
}
