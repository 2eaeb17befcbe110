package hub

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// A sieve says what each pattern says by itself.
func TestSieve(t *testing.T) {
	t.Parallel()
	pattern := rapid.Custom(func(t *rapid.T) string {
		levels := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "*", "*"}), 1, 4).Draw(t, "levels")
		levels[0] = pick(t, levels[0], levels[0], "$s")
		if rapid.Bool().Draw(t, "tail") {
			levels = append(levels[:len(levels)-1], ">")
		}
		return strings.Join(levels, ".")
	})
	rapid.Check(t, func(t *rapid.T) {
		granted := rapid.SliceOfN(pattern, 0, 130).Draw(t, "granted")
		asked := pattern.Draw(t, "asked")
		want := slices.ContainsFunc(granted, func(g string) bool { return Covers(g, asked) })
		is, work := newSieve(granted).covers(asked)
		if is != want || work > MaxTopicLevels*(1+len(granted)/64+1) {
			t.Fatalf("%q under %q: %v in %d, want %v", asked, granted, is, work, want)
		}
	})
}
