package hub

// A Reason says why a connection or a registration ended. Its text is the
// label in metrics, the field in logs and what the client is told.
type Reason uint8

// The reasons.
const (
	Disconnected    Reason = iota // the peer went away or closed
	Unregistered                  // its registration was removed
	Replaced                      // a newer connection of the same client took over
	TakeoverLimit                 // too many takeovers in a short time
	EventsLost                    // events were lost that the protocol cannot tell of
	UnknownClient                 // its registration ended before it was connected
	OverCapacity                  // there are too many connections
	SlowConsumer                  // more waited for it than may
	Draining                      // the broker shuts down
	PongTimeout                   // it did not answer a ping
	ProtocolError                 // it broke the rules of its protocol
	InvalidUTF8                   // it sent text that is not UTF-8
	TooBig                        // it sent a message over the limit
	PolicyViolation               // it asked for what may not be, or too fast
	Forbidden                     // it asked for what it has no right to
	UnsupportedData               // it sent binary data where text is due
	TokenExpired                  // what it was granted has ended
	Revoked                       // what it was granted was taken back
	Expired                       // a registration whose time ran out
	InternalError                 // serving it made the broker fail
	MessageTimeout                // it began a message and did not end it in time
	reasons
)

var reasonNames = [reasons]string{
	"disconnected", "unregistered", "replaced", "takeover_limit", "gap", "unknown_client", "over_capacity",
	"slow_consumer", "draining", "pong_timeout", "protocol_error", "invalid_utf8", "too_big", "policy_violation", "forbidden",
	"unsupported_data", "token_expired", "revoked", "expired", "internal_error", "message_timeout",
}

func (r Reason) String() string { return reasonNames[r] }

// Reasons lists all reasons.
func Reasons() []Reason {
	all := make([]Reason, reasons)
	for i := range all {
		all[i] = Reason(i)
	}
	return all
}
