package hub

// An authority decides what is in the log, and where. It gives each event its position,
// remembers publications with keys, and knows their repeats. What it has decided the
// hub applies (see [State.apply]).
//
// This is the authority of a broker in memory: it lives in the hub, and both happen in
// one step. docs/adr/0018-the-authority-of-the-log.md says how a log elsewhere takes its
// place.
type authority struct {
	epoch uint64   // names the log
	head  Position // the last one given
	keys  dedupe
}

// order gives an event its position.
func (a *authority) order() Position {
	a.head++
	return a.head
}

// orderOutput gives an event of the hub itself its position, and an id that tells it.
func (a *authority) orderOutput(ev *Event) Position {
	at := a.order()
	ev.ID = outputPrefix + Cursor{a.epoch, at}.String()
	return at
}

// outputPrefix begins the ids of events of the hub itself.
const outputPrefix = "presence-"

// cursor names a position of this log.
func (s *State) cursor(p Position) Cursor { return Cursor{s.authority.epoch, p} }
