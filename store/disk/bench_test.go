package disk

import (
	"fmt"
	"testing"
	"time"

	"belfry/hub"
)

// BenchmarkCommit stores events of 128 bytes, so many in a commit. It reports the time of
// one event.
func BenchmarkCommit(b *testing.B) {
	for _, n := range []int{1, 16, 100, 500} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			now := birth
			s := open(b, b.TempDir(), options(&now))
			defer s.Close()
			next := hub.Position(1)
			for i := 0; i < b.N; i += n {
				if err := s.Commit(commit(next, n, 128, now)); err != nil {
					b.Fatal(err)
				}
				next += hub.Position(n)
			}
		})
	}
}

// BenchmarkOpen opens a store of a million events and loads what fits into 64 MiB.
func BenchmarkOpen(b *testing.B) {
	now := birth
	dir := b.TempDir()
	s := open(b, dir, options(&now))
	for first := hub.Position(1); first < 1_000_000; first += 10_000 {
		if err := s.Commit(commit(first, 10_000, 128, now)); err != nil {
			b.Fatal(err)
		}
	}
	s.Close()
	for b.Loop() {
		s := open(b, dir, options(&now))
		begun := time.Now()
		r, err := s.Load(64 << 20)
		if err != nil {
			b.Fatal(err)
		}
		n := 0
		for range r.Events {
			n++
		}
		b.ReportMetric(float64(n), "events")
		b.ReportMetric(time.Since(begun).Seconds(), "s/load")
		s.Close()
	}
}
