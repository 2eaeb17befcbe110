package client

import (
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// The messages of belfry.v1: JSON, one object each.

const subprotocol = "belfry.v1"

// An operation is a message to the broker.
type operation struct {
	Op     string   `json:"op"`
	Topics []string `json:"topics,omitempty"`
	After  string   `json:"after,omitempty"`
	Last   int      `json:"last,omitzero"`
	Token  string   `json:"token,omitzero"`
	Ref    uint64   `json:"ref,omitzero"`
}

// text returns an operation in wire form. It fails for text that is not UTF-8.
func (op operation) text() ([]byte, error) { return json.Marshal(op) }

// A frame is a message from the broker. It has the members of all types.
type frame struct {
	Type   string `json:"type"`
	Ref    uint64 `json:"ref"` // ours are numbers
	Cursor string `json:"cursor"`

	Topic  string         `json:"topic"` // of event
	ID     string         `json:"id"`
	Time   time.Time      `json:"time"`
	Data   jsontext.Value `json:"data"`
	Replay bool           `json:"replay"`
	UserID userID         `json:"user_id"` // and of welcome

	Topics      []string `json:"topics"` // of gap and welcome
	From        string   `json:"from"`
	To          string   `json:"to"`
	Reason      string   `json:"reason"` // and of closing
	Handle      string   `json:"handle"` // of welcome
	HeartbeatMS int64    `json:"heartbeat_ms"`
	Limits      struct {
		MaxMessage int `json:"max_message"`
	} `json:"limits"`

	ExpiresInMS int64 `json:"expires_in_ms"` // of expiring

	Code             string `json:"code"` // of error
	Detail           string `json:"detail"`
	ReconnectAfterMS *int64 `json:"reconnect_after_ms"` // of closing
}

// parse reads a message. It refuses anything that is not one complete JSON object: at the
// end of a stream the library may return the beginning of a message as if it were
// complete.
func parse(text []byte) (*frame, error) {
	f := new(frame)
	if err := json.Unmarshal(text, f); err != nil {
		return nil, fmt.Errorf("%w: a message of %d bytes: %w", ErrProtocol, len(text), err)
	}
	return f, nil
}

// A userID is a number or a string on the wire. Both name the same user.
type userID string

// UnmarshalJSON reads a string, a number or null.
func (u *userID) UnmarshalJSON(text []byte) error {
	switch jsontext.Value(text).Kind() {
	case '"':
		s, err := jsontext.AppendUnquote(nil, text)
		*u = userID(s)
		return err
	case '0':
		*u = userID(text)
	}
	return nil
}

// milliseconds returns n milliseconds, between none and an hour. A larger value is a
// mistake and could overflow.
func milliseconds(n int64) time.Duration {
	return time.Duration(min(max(n, 0), int64(time.Hour/time.Millisecond))) * time.Millisecond
}
