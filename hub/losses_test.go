package hub

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// A search for losses finds all that a reader has lost and nothing else, however
// often it has to stop and whatever is lost, forgotten and split meanwhile.
func TestLossSearch(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		opts := testOptions()
		opts.HistoryEvents = pick(t, 1, 2)
		opts.HistoryBytes = pick(t, 1<<30, 20*(entryOverhead+streamOverhead))
		s := NewState(opts)
		s.Tick(epoch)
		name := func(words ...string) string {
			n := rapid.IntRange(1, 4).Draw(t, "levels")
			levels := make([]string, n)
			for i := range levels {
				levels[i] = pick(t, words...)
			}
			return strings.Join(levels, ".")
		}
		type lost struct{ topic, user string }
		var events []lost // by position, from 1 on
		publish := func() {
			defer func(step uint64) { s.step = step }(s.step)
			s.step = stepWork
			e := lost{pick(t, "", "", "$s.") + name("a", "b", "aa", "c", "d", "e", "f", "g", "h", "i", "k"), pick(t, "", "", "u", "v")}
			events = append(events, e)
			if _, err := s.Publish(Event{ID: fmt.Sprint(len(events)), Topic: e.topic, User: e.user, Time: epoch}); err != nil {
				t.Fatal(err)
			}
		}
		for range rapid.IntRange(50, 150).Draw(t, "events") {
			publish()
		}
		var subs []subscription
		for range rapid.IntRange(0, 4).Draw(t, "subscriptions") {
			p := pick(t, "", "", "$s.") + name("a", "b", "aa", "*", "*", ">")
			if before, _, tail := strings.Cut(p, ">"); tail {
				p = before + ">"
			}
			subs = append(subs, subscription{subject: &subject{name: p, pattern: isPattern(p)}})
		}
		rd := reading{pos: Position(rapid.IntRange(0, len(events)).Draw(t, "position"))}
		// gone reports whether an event of a subscription in (after, upTo] is gone.
		gone := func(sub string, after, upTo Position) bool {
			for p := after + 1; p <= upTo; p++ {
				e := events[p-1]
				i := s.window.after(p) - 1
				there := i >= 0 && s.window.entries.at(i).position == p && !s.window.entries.at(i).evicted()
				if !there && (e.user == "" || e.user == "u") && naiveMatch(sub, e.topic) {
					return true
				}
			}
			return false
		}
		told := make([]Position, len(subs))
		for range 3 {
			s.step = uint64(pick(t, 2, 10, 30, stepWork))
			for all := false; !all; s.step += 2 {
				var gaps []Gap
				gaps, all = s.gaps(subs, "u", &rd)
				for _, g := range gaps {
					for _, sub := range g.Topics {
						if !gone(sub, rd.pos, g.To.Position) && s.window.floor <= rd.pos {
							t.Fatalf("at %d, %s: told of a gap to %d", rd.pos, sub, g.To.Position)
						}
					}
				}
				for i := range subs {
					if subs[i].told < told[i] {
						t.Fatalf("%s: told up to %d, then up to %d", subs[i].name, told[i], subs[i].told)
					}
					told[i] = subs[i].told
				}
				for range rapid.IntRange(0, 20).Draw(t, "meanwhile") {
					if !all {
						publish()
					}
				}
			}
			for i := range subs {
				if p := max(rd.pos, subs[i].told); gone(subs[i].name, p, s.window.head) {
					t.Fatalf("at %d, %s is told of losses up to %d, not of all", rd.pos, subs[i].name, p)
				}
			}
			checkInvariants(t, s)
			for range rapid.IntRange(0, 20).Draw(t, "later") {
				publish()
			}
			rd.pos = max(rd.pos, Position(rapid.IntRange(0, len(events)).Draw(t, "position")))
		}
	})
}
