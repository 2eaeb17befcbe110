package hub

// A step of the hub is a command, or one of [State.Work]. Its work is counted in
// comparisons: a level of a topic with one of a pattern, an entry of the log or a
// member looked at, a node of a tree visited.
const (
	// stepWork is how much a step does of what can be left to the next one.
	stepWork = 1 << 16
	// pieceWork bounds what can't be divided: an event that goes to its
	// subscribers, one client that comes or goes. Connections and subscriptions
	// have limits of their own, for which this holds as they are by default.
	pieceWork = 1 << 17
)

// spend counts work where it is done.
func (s *State) spend(n int) { s.work += uint64(n) }

// allowance returns the work at which a step that begins now leaves the rest.
func (s *State) allowance() uint64 { return s.work + s.step }

// Spent returns the work done so far.
func (s *State) Spent() uint64 { return s.work }
