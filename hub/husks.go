package hub

// A sweeping is a sweep of husks that is under way: the entries before number looked
// were moved to the front, up to number kept. Between the two there is a hole, which is
// one husk in many places, with the position of the last that was kept.
type sweeping struct {
	hole         *entry // nil: no sweep is under way
	kept, looked int
}

// sweepStep is how many entries are looked at each time.
const sweepStep = 4096

// sweep goes on with a sweep, or begins one when husks are the greater part. It
// returns how many entries it has looked at.
func (l *window) sweep() (work int) {
	if l.hole == nil {
		if l.husks <= 64 || l.husks <= l.entries.len()/2 {
			return 0
		}
		l.sweeping = sweeping{hole: &entry{}}
	}
	for ; work < sweepStep && l.looked < l.entries.len(); work++ {
		e := l.entries.at(l.looked)
		l.entries.set(l.looked, l.hole)
		l.looked++
		if !e.evicted() {
			l.entries.set(l.kept, e)
			l.kept++
			l.hole.position = e.position
		}
	}
	if l.looked == l.entries.len() {
		l.husks -= l.looked - l.kept
		l.entries.truncate(l.kept)
		l.sweeping = sweeping{}
	}
	return work
}

// popHusk removes a husk from the front.
func (l *window) popHusk() {
	l.entries.pop()
	l.husks--
	l.kept, l.looked = max(l.kept-1, 0), max(l.looked-1, 0)
}
