package hub

import "time"

// A From says where reading begins. Its zero value leaves that to the hub: at
// the head, or where an earlier connection came to.
type From struct {
	After *Cursor // the events after this cursor; nil says nothing
	Last  int     // with the newest so many events of each topic, [MaxLast] in all; only without After
}

func (f From) given() bool { return f.After != nil || f.Last > 0 }

// A Want is what a new connection asks for.
type Want struct {
	Registered bool
	ID         ID       // of the registered client, or for the new one
	User       string   // of a new one
	Topics     []string // of a new one
	Grant      *Grant   // of a new one
	From       From
	Slow       *SlowPolicy // nil: the broker's
	Publish    Publisher   // nil: it may not publish
	Admin      bool        // it may subscribe to the broker's own topics
	Address    string      // of the peer, if its socket does not tell; else ""
}

// A PublishRequest asks for one event to be published, in whatever form it came. What it
// holds has not been checked.
type PublishRequest struct {
	Topic     string
	User      string    // "" is everybody
	Message   []byte    // valid UTF-8; nil is missing
	Text      bool      // the message is the text of a JSON string; else it is JSON
	ID        *string   // nil leaves it to the broker
	Key       *string   // the idempotency key; nil is none
	ExpiresIn *float64  // seconds; nil is never
	Expires   time.Time // instead of ExpiresIn; zero is never
	Details   *Details  // may be nil
}

// A Publisher publishes an event for a client. It returns when the hub has taken the
// event, and what waits for the receipt, which is to be called once.
type Publisher func(PublishRequest) (receipt func() (Receipt, error), err error)

// A ConnInfo is what a transport knows of a connection.
type ConnInfo struct {
	Protocol   string   // such as "belfry.v1"
	Address    string   // of the peer, as far as it is known
	QueueBytes int      // that wait for it
	Blocked    bool     // its socket is full
	Written    Position // of the last event that was written whole; 0 if none was
}
