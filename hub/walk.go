package hub

// All that looks for something in the log does so here: so the bound of a step stands
// in one place.

// walk looks at entries from number i on, up to number end, which is not looked at:
// forwards, or backwards if end comes before i. It stops when visit says so or when so
// much work is done, and returns the number at which to go on.
func (s *State) walk(entries *deque[*entry], i, end int, most uint64, visit func(*entry) (more bool)) int {
	by := forward
	if end < i {
		by = backward
	}
	for ; i != end && s.work < most; i += by {
		s.spend(1)
		if !visit(entries.at(i)) {
			return i + by
		}
	}
	return i
}

// The directions of a walk.
const (
	forward  = 1
	backward = -1
)

// A source is a stream that is walked with others, at the entry that comes next.
type source struct {
	entries *deque[*entry]
	i       int
}

// walkTogether looks at the entries of streams in the order of the log, from where each
// of them is: so what is not in them costs nothing. It stops as walk does, but not before
// the first entry, and reports whether it has looked at all.
func (s *State) walkTogether(sources []source, by int, visit func(*source, *entry) (more bool)) (all bool) {
	s.spend(16 * len(sources))
	for most := s.allowance(); ; {
		s.spend(1 + len(sources))
		var next *entry
		var from *source
		for i := range sources {
			src := &sources[i]
			if 0 <= src.i && src.i < src.entries.len() {
				if e := src.entries.at(src.i); next == nil || (e.position < next.position) == (by == forward) {
					next, from = e, src
				}
			}
		}
		if next == nil {
			return true
		}
		from.i += by
		if !visit(from, next) || s.work >= most {
			return false
		}
	}
}

// end has a walk look at no more of a source.
func (src *source) end() { src.i = -1 }
