package hub

import "sort"

// A roll lists what there is in the order in which it came, for those who look at
// a part after the other while things come and go. Adding and removing cost
// nothing; each has a number that is never used again.
type roll[T interface{ place() *int32 }] struct {
	rows   []row[T]
	holes  int
	serial uint64 // of the last one
}

type row[T any] struct {
	serial uint64
	of     T
	gone   bool
}

func (r *roll[T]) add(item T) {
	r.serial++
	*item.place() = int32(len(r.rows))
	r.rows = append(r.rows, row[T]{serial: r.serial, of: item})
}

// remove takes an item out, and reports whether others have other places now.
func (r *roll[T]) remove(item T) (moved bool) {
	i := *item.place()
	r.rows[i] = row[T]{serial: r.rows[i].serial, gone: true}
	if r.holes++; r.holes > 64 && r.holes > len(r.rows)/2 {
		r.sweep()
		return true
	}
	return false
}

// sweep closes the holes. Its cost is shared by the removals that made them.
func (r *roll[T]) sweep() {
	kept := make([]row[T], 0, 2*(len(r.rows)-r.holes))
	for _, row := range r.rows {
		if !row.gone {
			*row.of.place() = int32(len(kept))
			kept = append(kept, row)
		}
	}
	r.rows, r.holes = kept, 0
}

// behind returns the index of the first row behind a number.
func (r *roll[T]) behind(serial uint64) int {
	return sort.Search(len(r.rows), func(i int) bool { return r.rows[i].serial > serial })
}

// after calls yield with what came behind a number, until that says no, for at most
// so many rows. It returns the number of the last that it has looked at, and
// whether there may be more.
func (r *roll[T]) after(serial uint64, most int, yield func(T) bool) (last uint64, more bool) {
	first := r.behind(serial)
	last = serial
	for i := first; i < len(r.rows); i++ {
		if i-first == most {
			return last, true
		}
		last = r.rows[i].serial
		if !r.rows[i].gone && !yield(r.rows[i].of) {
			return last, i+1 < len(r.rows)
		}
	}
	return last, false
}
