package hub

import "sort"

// A deque is a ring buffer that grows: a queue whose front can be popped and
// whose middle can be searched, without moving what it holds. Its zero value
// is empty.
type deque[T any] struct {
	ring  []T // length is zero or a power of two
	front int
	n     int
}

func (d *deque[T]) len() int { return d.n }

func (d *deque[T]) at(i int) T { return d.ring[(d.front+i)&(len(d.ring)-1)] }

func (d *deque[T]) set(i int, v T) { d.ring[(d.front+i)&(len(d.ring)-1)] = v }

// truncate removes all but the first n.
func (d *deque[T]) truncate(n int) {
	d.n = n
	size := 1
	for size < n {
		size *= 2
	}
	d.resize(size)
}

func (d *deque[T]) push(v T) {
	if d.n == len(d.ring) {
		d.resize(max(1, 2*d.n))
	}
	d.ring[(d.front+d.n)&(len(d.ring)-1)] = v
	d.n++
}

func (d *deque[T]) pop() T {
	var zero T
	v := d.ring[d.front]
	d.ring[d.front] = zero
	d.front = (d.front + 1) & (len(d.ring) - 1)
	d.n--
	// A burst must not keep its memory for ever.
	if len(d.ring) > 64 && d.n < len(d.ring)/8 {
		d.resize(len(d.ring) / 4)
	}
	return v
}

// resize moves the elements into a ring of the given size, a power of two.
func (d *deque[T]) resize(size int) {
	ring := make([]T, size)
	if n := copy(ring[:d.n], d.ring[d.front:]); n < d.n {
		copy(ring[n:d.n], d.ring)
	}
	d.ring, d.front = ring, 0
}

// search returns the smallest index whose element satisfies after, or len.
// The elements must be ordered so that after turns from false to true once.
func (d *deque[T]) search(after func(T) bool) int {
	return sort.Search(d.n, func(i int) bool { return after(d.at(i)) })
}
