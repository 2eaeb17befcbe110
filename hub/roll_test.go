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

// TestRoll compares a roll with a list of what is there: who goes through it in parts,
// while things come and go, meets each that was there all the time exactly once, in
// order, and none twice.
func TestRoll(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var r roll[*rolled]
		var there []*rolled // in the order in which they came
		var met []int       // of the walk under way
		var through []int   // were there when it began, and are
		at, name := uint64(0), 0
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				for range rapid.IntRange(1, 150).Draw(t, "so many") {
					name++
					item := &rolled{name: name}
					r.add(item)
					there = append(there, item)
				}
			},
			"remove": func(t *rapid.T) {
				for range min(len(there), rapid.IntRange(1, 150).Draw(t, "so many")) {
					i := rapid.IntRange(0, len(there)-1).Draw(t, "which")
					r.remove(there[i])
					through = slices.DeleteFunc(through, func(name int) bool { return name == there[i].name })
					there = slices.Delete(there, i, i+1)
				}
			},
			"walk": func(t *rapid.T) {
				if at == 0 {
					met, through = nil, nil
					for _, item := range there {
						through = append(through, item.name)
					}
				}
				most, wanted := rapid.IntRange(1, 200).Draw(t, "most"), rapid.IntRange(1, 200).Draw(t, "wanted")
				got := 0
				last, more := r.after(at, most, func(item *rolled) bool {
					met = append(met, item.name)
					got++
					return got < wanted
				})
				if got > most || got > wanted || last < at {
					t.Fatalf("%d met of at most %d and %d, from %d to %d", got, most, wanted, at, last)
				}
				if at = last; more {
					return
				}
				at = 0
				if !slices.IsSorted(met) || len(slices.Compact(slices.Clone(met))) != len(met) {
					t.Fatalf("met %v", met)
				}
				for _, name := range through {
					if _, found := slices.BinarySearch(met, name); !found {
						t.Fatalf("%d was there all the time and is not met", name)
					}
				}
			},
			"": func(t *rapid.T) {
				var all []*rolled
				r.after(0, len(r.rows), func(item *rolled) bool { all = append(all, item); return true })
				if !slices.Equal(all, there) {
					t.Fatalf("%d there, want %d", len(all), len(there))
				}
				if len(r.rows) > 2*len(there)+130 {
					t.Fatalf("%d rows for %d", len(r.rows), len(there))
				}
			},
		})
	})
}
