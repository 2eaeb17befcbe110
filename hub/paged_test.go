package hub

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

type rolled struct {
	name int
	row  int32
}

func (r *rolled) place() *int32 { return &r.row }

// A rollWorld is a roll, and a list of what is there.
type rollWorld struct {
	r     pagedList[*rolled]
	there []*rolled // in the order in which they came
	names int

	// Of the walk under way.
	at      uint64
	met     []int
	through map[int]bool // were there when it began, and are
}

func (w *rollWorld) add(t *rapid.T) {
	for range rapid.IntRange(1, 50).Draw(t, "so many") {
		w.names++
		item := &rolled{name: w.names}
		w.r.add(item)
		w.there = append(w.there, item)
	}
}

// remove takes out every so manyth of those that follow one of them.
func (w *rollWorld) remove(t *rapid.T) {
	n, by := rapid.IntRange(1, 50).Draw(t, "so many"), rapid.IntRange(1, 3).Draw(t, "every")
	i := rapid.IntRange(0, len(w.there)).Draw(t, "from")
	for ; n > 0 && i < len(w.there); n, i = n-1, i+by-1 {
		w.r.remove(w.there[i])
		delete(w.through, w.there[i].name)
		w.there = slices.Delete(w.there, i, i+1)
	}
}

// walk goes on with a walk, or begins one, and looks at what it has met in all when it
// is over.
func (w *rollWorld) walk(t *rapid.T) {
	if w.at == 0 {
		w.met, w.through = nil, make(map[int]bool)
		for _, item := range w.there {
			w.through[item.name] = true
		}
	}
	most, wanted := rapid.IntRange(1, 100).Draw(t, "most"), rapid.IntRange(1, 100).Draw(t, "wanted")
	got := 0
	last, more := w.r.after(w.at, most, func(item *rolled) bool {
		w.met = append(w.met, item.name)
		got++
		return got < wanted
	})
	if got > most || got > wanted || last < w.at {
		t.Fatalf("%d met of at most %d and %d, from %d to %d", got, most, wanted, w.at, last)
	}
	if w.at = last; more {
		return
	}
	w.at = 0
	if !slices.IsSorted(w.met) || len(slices.Compact(slices.Clone(w.met))) != len(w.met) {
		t.Fatalf("met %v", w.met)
	}
	for _, name := range w.met {
		delete(w.through, name)
	}
	if len(w.through) > 0 {
		t.Fatalf("%v were there all the time and are not met", w.through)
	}
}

// check looks at all that there is.
func (w *rollWorld) check(t *rapid.T) {
	n := 0
	w.r.after(0, len(w.r.rows), func(item *rolled) bool {
		if n == len(w.there) || w.there[n] != item {
			t.Fatalf("%d is not number %d", item.name, n)
		}
		n++
		return true
	})
	if n != len(w.there) {
		t.Fatalf("%d there, want %d", n, len(w.there))
	}
	if len(w.r.rows) > 2*len(w.there)+130 {
		t.Fatalf("%d rows for %d", len(w.r.rows), len(w.there))
	}
}

// TestRoll compares a roll with a list of what is there: who goes through it in parts,
// while things come and go, meets each that was there all the time exactly once, in
// order, and none twice.
func TestRoll(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var w rollWorld
		t.Repeat(map[string]func(*rapid.T){"add": w.add, "remove": w.remove, "walk": w.walk, "": w.check})
	})
}
