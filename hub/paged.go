package hub

import "sort"

// A pagedList keeps things in the order in which they came. It can be read in pages while
// things come and go. Adding and removing are O(1), amortised. Each thing has a number
// that is never used again.
type pagedList[T interface{ place() *int32 }] struct {
	rows   []row[T]
	holes  int
	serial uint64 // of the last one
	// Holes are closed a few rows at a time: those up to kept have come to their new
	// places, those from looked on are where they were, and between them is nothing.
	kept, looked int
}

type row[T any] struct {
	serial uint64
	of     T
	gone   bool
}

// add puts an item at the end.
func (r *pagedList[T]) add(item T) {
	r.serial++
	*item.place() = int32(len(r.rows))
	r.rows = append(r.rows, row[T]{serial: r.serial, of: item})
}

// compactRows is how many rows each removal looks at while holes are closed: so many that
// this ends before there are too many again.
const compactRows = 16

// remove takes an item out. Others may have other places now: those in the rows from
// one up to another.
func (r *pagedList[T]) remove(item T) (from, to int) {
	r.rows[*item.place()] = row[T]{serial: r.rows[*item.place()].serial, gone: true}
	if r.holes++; r.looked == 0 && (r.holes <= 64 || r.holes <= len(r.rows)/3) {
		return 0, 0
	}
	return r.compact()
}

// compact goes on with closing the holes.
func (r *pagedList[T]) compact() (from, to int) {
	from = r.kept
	for end := min(r.looked+compactRows, len(r.rows)); r.looked < end; r.looked++ {
		row := r.rows[r.looked]
		r.rows[r.looked].of, r.rows[r.looked].gone = *new(T), true
		if !row.gone {
			*row.of.place() = int32(r.kept)
			r.rows[r.kept] = row
			r.kept++
		}
	}
	to = r.kept
	if r.looked == len(r.rows) {
		r.holes -= r.looked - r.kept
		r.rows, r.kept, r.looked = shrink(r.rows[:r.kept]), 0, 0
	}
	return from, to
}

// from returns the index of the first row at i or after it.
func (r *pagedList[T]) from(i int) int {
	if r.kept <= i && i < r.looked {
		return r.looked
	}
	return i
}

// indexAfter returns the index of the first row after a number.
func (r *pagedList[T]) indexAfter(serial uint64) int {
	find := func(from, to int) int {
		return from + sort.Search(to-from, func(i int) bool { return r.rows[from+i].serial > serial })
	}
	if i := find(0, r.kept); i < r.kept {
		return i
	}
	return find(r.looked, len(r.rows))
}

// after calls yield with what came after a number, until yield says no or so many rows
// were looked at. It returns the number of the last of them, and whether there may be
// more.
func (r *pagedList[T]) after(serial uint64, most int, yield func(T) bool) (last uint64, more bool) {
	last = serial
	for i, n := r.indexAfter(serial), 0; i < len(r.rows); i, n = r.from(i+1), n+1 {
		if n == most {
			return last, true
		}
		last = r.rows[i].serial
		if !r.rows[i].gone && !yield(r.rows[i].of) {
			return last, i+1 < len(r.rows)
		}
	}
	return last, false
}
