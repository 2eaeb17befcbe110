package hub

import "time"

// A Note is something that a connection is told beside its events, in order
// with them. The transport gives it a form.
type Note interface{ note() }

// A Welcome is the first thing that a connection is told.
type Welcome struct {
	User   string   // "" is nobody in particular
	Topics []string // its subscriptions
	Cursor Cursor   // where it begins
}

// An Ack answers a request that was done.
type Ack struct {
	Ref    []byte // the request's
	Cursor Cursor // the connection's resume point
}

// A ReplayEnd says that a replay is over.
type ReplayEnd struct {
	Ref    []byte // of the request for it
	Cursor Cursor // the connection's resume point
}

// A Gap says that events of some subscriptions in (From, To] can't be given
// any more.
type Gap struct {
	Topics []string
	From   Cursor // as the client has given it: perhaps of another log
	To     Cursor
	Reason GapReason
}

// An Expiring says when the client's grant ends, and with it the connection.
type Expiring struct {
	At time.Time
}

func (Expiring) note()  {}
func (Welcome) note()   {}
func (Ack) note()       {}
func (ReplayEnd) note() {}
func (Gap) note()       {}

// A GapReason says why events can't be given any more. Its text is what the
// client is told.
type GapReason uint8

// The reasons of gaps.
const (
	GapExpired   GapReason = iota // retention has dropped them
	GapRestarted                  // the cursor is not of this log
	GapDropped                    // the connection was too slow for them
)

func (r GapReason) String() string {
	return [...]string{"expired", "restarted", "dropped"}[r]
}
