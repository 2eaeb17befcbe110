package hub

// A step bounds the work that the hub does before it looks at its inbox again. [Hub.Run]
// begins a turn for each look, and all commands of the turn share one step. Where there are
// no turns, as in most tests, each command is a step of its own. Work is counted in
// comparisons: a level of a topic with one of a pattern, an entry of the log or a member
// looked at, a node of a tree visited.
const (
	// stepWork is how much a step does of what can be left to the next one.
	stepWork = 1 << 16
	// pieceWork bounds what can't be divided: an event that goes to its
	// subscribers, one client that comes or goes. Connections and subscriptions
	// have limits of their own, for which this holds as they are by default.
	pieceWork = 1 << 17
	// encodeWork is what it counts to encode an event.
	encodeWork = 32
	// wakeWork is what it counts to wake a request that waits.
	wakeWork = 8
)

// spend counts work where it is done.
func (s *State) spend(n int) { s.work += uint64(n) }

// allowance returns the work at which a step that begins now leaves the rest (invariant
// 10).
func (s *State) allowance() uint64 {
	if s.turn > 0 {
		return s.turn
	}
	return s.work + s.step
}

// Turn begins a turn: all that is done until the next one shares a step. Without turns
// each command is a step of its own.
func (s *State) Turn() {
	if s.turn > 0 {
		s.stats.LongestTurn = max(s.stats.LongestTurn, s.work+s.step-s.turn)
	}
	s.turn = s.work + s.step
}

// Over reports whether the work of the turn is done.
func (s *State) Over() bool { return s.turn > 0 && s.work >= s.turn }

// Defer keeps what a connection asks for until it has begun, and reports whether it
// has not yet: it asked for the newest events, and it is still looked for where they
// begin. What is kept is done by [State.Settle], also for a connection that ends
// before that. Whoever asks waits, so that there is one for each goroutine at most.
func (s *State) Defer(conn *Conn, do func()) bool {
	c := conn.client
	if c == nil || c.conn != conn || c.mode != modeLocatingNewest {
		return false
	}
	s.asked[conn] = append(s.asked[conn], do)
	return true
}

// answer has what a connection asked for be done at the end of the step.
func (s *State) answer(conn *Conn) {
	s.late = append(s.late, s.asked[conn]...)
	delete(s.asked, conn)
}

// Settle ends a step: it does what was deferred and publishes what the hub itself has
// to say. So nothing of that comes before the answers to what has led to it.
func (s *State) Settle() {
	s.answerLate()
	s.publishOutput()
}

// answerLate does what was deferred, until the turn is over.
func (s *State) answerLate() {
	for len(s.late) > 0 && !s.Over() {
		do := s.late[0]
		s.late[0], s.late = nil, s.late[1:]
		do()
	}
}

// Busy reports whether a step has left something to do.
func (s *State) Busy() bool {
	return s.overdue || s.Applying() || s.reading.len() > 0 || s.releases.len() > 0 || s.unsettled()
}

// unsettled reports whether the end of a step has left something to do.
func (s *State) unsettled() bool {
	return len(s.late) > 0 || s.news.order.Len() > 0 && !s.Full()
}

// kindsOfWork is how many kinds of work [State.Work] goes on with.
const kindsOfWork = 5

// Work goes on with something that a step has left, of another kind each time: so no
// kind waits until there is nothing of the others.
func (s *State) Work() {
	for range kindsOfWork {
		s.kind = (s.kind + 1) % kindsOfWork
		if s.goOn(s.kind) {
			return
		}
	}
}

// goOn goes on with a kind of work, and reports whether there was some.
func (s *State) goOn(kind int) bool {
	switch {
	case kind == 0 && s.overdue:
		s.Tick(s.now)
	case kind == 1 && s.releases.len() > 0:
		s.ConnEnded(s.releases.pop())
	case kind == 2 && s.reading.len() > 0:
		s.readOne(s.reading.pop())
	case kind == 3 && s.unsettled():
		s.Settle()
	case kind == 4 && s.Applying():
		s.applyCommit()
	default:
		return false
	}
	return true
}
