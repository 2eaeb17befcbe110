package hub

import "testing"

// From every mode a client can be forgotten, after which nothing follows; and what can't
// follow ends the hub.
func TestModes(t *testing.T) {
	t.Parallel()
	for from := range modes {
		for to := range modes {
			p := progress{mode: from}
			refused := func() (refused bool) {
				defer func() { refused = recover() != nil }()
				p.enter(to)
				return false
			}()
			want := from
			if !refused {
				want = to
			}
			switch {
			case p.mode != want:
				t.Errorf("from %d to %d, refused: %v: it is in %d", from, to, refused, p.mode)
			case (to == modeNew || from == modeGone) && !refused, to == modeGone && from != modeGone && refused:
				t.Errorf("from %d to %d, refused: %v", from, to, refused)
			}
		}
	}
}
