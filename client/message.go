package client

import (
	"encoding/json"
	"time"
)

// A Message is what [Client.Next] returns: an [*Event], [*Gap], [*Ack],
// [*Refused], [*Live], [*Restart], [*Connected] or [*Disconnected]. Ignore
// those that are of no interest, and those that later versions may add.
type Message interface {
	// size is about how many bytes the message holds on to.
	size() int
}

// An Event is one event of a topic that the client is subscribed to.
type Event struct {
	Topic  string
	ID     string          // the same wherever and however often the event is seen
	Time   time.Time       // when the broker took it
	Data   json.RawMessage // the message as JSON; the receiver may keep it
	UserID string          // of the user whom it is directed to; "" is everybody
	// Replay is the request whose replay the event is part of, nil for events
	// that come as they are published, or that a reconnection has held up.
	Replay *Request
	// Cursor is the client's resume point once this event is dealt with: see
	// [Client.Cursor].
	Cursor string
}

// A Gap says that events are lost: those of Topics in (From, To] can't be given
// any more, though some of them may follow all the same. A gap may be told
// where nothing was lost, but never the reverse. Whoever keeps state that
// depends on every event should load it anew.
type Gap struct {
	Topics []string // as they were subscribed, patterns among them
	From   string   // a cursor
	To     string   // a cursor
	Reason string   // "expired": no longer retained; "restarted": the broker was
}

// An Ack says that the broker has done a request. Behind that of a Subscribe
// comes its first event, behind that of an Unsubscribe none of its topics,
// unless another subscription covers them. It comes once, whatever happens to
// the connection later.
type Ack struct{ Request *Request }

// A Live says that the replay of a request is over: the events of its topics
// come as they are published.
type Live struct{ Request *Request }

// A Restart says that the replay of a request was cut and can't be taken up
// where it was: forget what you had of it, all of it follows again. Only the
// replays of Last, and longer ones than [Options.ReplayMemory] says, need that.
//
// If the request is not one of yours, it stands for topics that were lost with
// the connection: of the events behind [Client.Cursor] some come twice.
type Restart struct{ Request *Request }

// A Connected says that there is a connection to the broker: the first one, or
// one more. It is not news about events: those that were missed follow.
type Connected struct {
	Handle string   // names the client in the broker's log and metrics; no secret
	UserID string   // whose registration it is; "" without a registration
	Topics []string // what the broker has the client subscribed to
}

// A Disconnected says that a connection has ended, or could not be made, and
// that the next attempt is made in a while.
type Disconnected struct {
	Err     error         // often a [*CloseError] or a [*HandshakeError]
	RetryIn time.Duration // from when the connection ended; 0 is at once
}

// overhead is about what a message costs beside its contents: it bounds the
// number of small ones that wait.
const overhead = 256

func (m *Event) size() int        { return overhead + len(m.Topic) + len(m.ID) + len(m.Data) + len(m.UserID) }
func (m *Gap) size() int          { return overhead + bytesOf(m.Topics) }
func (m *Ack) size() int          { return overhead }
func (m *Live) size() int         { return overhead }
func (m *Restart) size() int      { return overhead }
func (m *Refused) size() int      { return overhead + len(m.Code) + len(m.Detail) }
func (m *Connected) size() int    { return overhead + bytesOf(m.Topics) }
func (m *Disconnected) size() int { return overhead }

func bytesOf(all []string) (n int) {
	for _, s := range all {
		n += len(s) + 16 // a string's header
	}
	return n
}
