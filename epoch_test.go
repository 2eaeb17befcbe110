package main

import (
	"testing"
	"testing/synctest"

	"belfry/hub"
)

// TestEpoch: two brokers never name their logs alike, even if no time passes between
// their starts. What is no cursor names neither.
func TestEpoch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // the clock stands still
		seen := map[uint64]bool{0: true}
		for range 10 {
			at := idleBroker(t).hub.Cursor(7)
			if read, ok := hub.ParseCursor(at.String()); !ok || read != at {
				t.Errorf("%+v is read as %+v", at, read)
			}
			if seen[at.Epoch] {
				t.Fatalf("a second log has the name %x", at.Epoch)
			}
			seen[at.Epoch] = true
		}
	})
}
