package client

import (
	"encoding/json"
	"time"
)

// A Message is what [Client.Next] returns: an [*Event], [*Gap], [*Ack], [*Refused],
// [*Live], [*Restart], [*Connected] or [*Disconnected]. Ignore the types that you do not
// need. Later versions may add others.
type Message interface {
	// size is about how many bytes the message keeps in memory.
	size() int
}

// An Event is one event of a topic that the client is subscribed to.
type Event struct {
	Topic  string
	ID     string          // the same for everybody and each time
	Time   time.Time       // when the broker accepted it
	Data   json.RawMessage // the message as JSON; the receiver may keep it
	UserID string          // of the user that it is for; "": everybody
	// Replay is the request whose replay the event belongs to. It is nil for live events
	// and for those that follow a reconnection.
	Replay *Request
	// Cursor is the client's resume point once this event is handled: see [Client.Cursor].
	Cursor string
}

// A Gap says that events are lost: those of Topics in (From, To] are no longer all
// available, though some may still follow. There may be a gap where nothing was lost, but
// no loss without a gap. If your state depends on every event, load it again.
type Gap struct {
	Topics []string // topics and patterns, as they were subscribed
	From   string   // a cursor
	To     string   // a cursor
	Reason string   // "expired": no longer retained; "dropped": the client was slow; "restarted": another log
}

// An Ack says that the broker has done a request. The first event of a Subscribe comes
// after it. After that of an Unsubscribe, no event of its topics comes, unless another
// subscription covers them. It comes once, even if the connection is lost later.
type Ack struct{ Request *Request }

// A Live says that the replay of a request is over. Its topics are live from now on.
type Live struct{ Request *Request }

// A Restart says that the replay of a request was cut and cannot be continued. Discard
// what you had of it: it starts again. Only replays with Last, and those longer than
// [Options.ReplayMemory], need that.
//
// If the request is not one of yours, it stands for topics that were lost with the
// connection: some events after [Client.Cursor] come twice.
type Restart struct{ Request *Request }

// A Connected says that the client has connected or reconnected. It says nothing about
// events: missed ones follow.
type Connected struct {
	Handle string   // names the client in the broker's log and metrics; no secret
	UserID string   // the user of the registration; "" without one
	Topics []string // what the client is subscribed to
}

// A Disconnected says that a connection has ended or could not be made, and when the next
// attempt follows.
type Disconnected struct {
	Err     error         // often a [*CloseError] or a [*HandshakeError]
	RetryIn time.Duration // from the end of the connection; 0: at once
}

// overhead is about the cost of a message besides its contents, in bytes. It bounds the
// number of small messages that wait.
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
