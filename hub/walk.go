package hub

// All that looks for something in the log does so here: so the bound of a step stands
// in one place.

// walk looks at entries from number i on, up to number end, which is not looked at:
// forwards, or backwards if end comes before i. It stops when visit says so or when so
// much work is done, but not before the first entry, and returns the number at which to go
// on. So a walk always gets on.
func (s *State) walk(entries *deque[*entry], i, end int, most uint64, visit func(*entry) (more bool)) int {
	by := forward
	if end < i {
		by = backward
	}
	for i != end {
		s.spend(1)
		more := visit(entries.at(i))
		if i += by; !more || s.work >= most {
			break
		}
	}
	return i
}

// The directions of a walk.
const (
	forward  = 1
	backward = -1
)

// A source is a stream that is walked with others.
type source struct {
	entries *deque[*entry]
	i       int      // of the entry that comes next
	at      Position // of that entry; 0: there is none
}

// newSource returns a source whose first entry is number i.
func newSource(entries *deque[*entry], i int) source {
	src := source{entries: entries}
	src.seek(i)
	return src
}

func (src *source) seek(i int) {
	src.i, src.at = i, 0
	if 0 <= i && i < src.entries.len() {
		src.at = src.entries.at(i).position
	}
}

// end has a walk look at nothing more of a source.
func (src *source) end() { src.at = 0 }

// A joint walk looks at the entries of streams in the order of the log, from where each of
// them is: so what is not in them costs nothing.
type jointWalk struct {
	s       *State
	sources []source
	by      int
	most    uint64  // it stops when so much work is done, but not before the first entry
	from    *source // of the entry looked at last
	all     bool    // it has looked at all
}

// walkTogether begins a walk of streams, bounded as a step is.
func (s *State) walkTogether(sources []source, by int) jointWalk {
	s.spend(16 * len(sources))
	return jointWalk{s: s, sources: sources, by: by, most: s.allowance()}
}

// next returns the entry that comes next, or nil when the walk is at its end.
func (w *jointWalk) next() *entry {
	if w.from != nil && w.s.work >= w.most {
		return nil
	}
	w.s.spend(1 + len(w.sources))
	var next *source
	for i := range w.sources {
		if src := &w.sources[i]; src.at > 0 && (next == nil || src.at < next.at == (w.by == forward)) {
			next = src
		}
	}
	if next == nil {
		w.all = true
		return nil
	}
	w.from = next
	e := next.entries.at(next.i)
	next.seek(next.i + w.by)
	return e
}
