package client

import (
	"errors"
	"fmt"
)

// Errors that end a connection, besides a Close frame of the broker.
var (
	// ErrClosed is the error of a closed client.
	ErrClosed = errors.New("the client is closed")
	// ErrSilent ends a connection that was silent for too long: twice the broker's
	// heartbeat, or [Options.PingTimeout] after a ping.
	ErrSilent = errors.New("the broker is silent")
	// ErrProtocol ends a connection on which the broker violated belfry.v1, or which was
	// cut in the middle of a message.
	ErrProtocol = errors.New("not understood")
)

// Close codes of the broker that programs may want to know.
const (
	CodeRestart        = 1012 // the broker is shutting down
	CodeOverCapacity   = 1013 // too many connections
	CodeUnregistered   = 4000 // the client was removed
	CodeReplaced       = 4001 // another connection took over
	CodeForbidden      = 4002 // too many takeovers, or a topic reserved for the broker
	CodeGap            = 4003 // register again
	CodeUnknownClient  = 4004 // the registration no longer exists
	CodeSlowConsumer   = 4100 // too much waited for the client
	CodePongTimeout    = 4101 // the client did not answer
	CodeMessageTimeout = 4102 // a message of the client arrived too slowly
)

// A CloseError is the broker's Close frame.
type CloseError struct {
	Code   int    // 1000 to 4999: RFC 6455 section 7.4, and the broker's own
	Reason string // in words; may be empty
}

func (e *CloseError) Error() string {
	return fmt.Sprintf("the broker has closed the connection: %d %s", e.Code, e.Reason)
}

// Permanent reports whether it is useless to reconnect with the same URL: codes 4000 to
// 4099.
func (e *CloseError) Permanent() bool { return e.Code >= 4000 && e.Code <= 4099 }

// gone reports whether only the URL is gone: with another one the client can continue.
func (e *CloseError) gone() bool {
	return e.Code == CodeUnregistered || e.Code == CodeGap || e.Code == CodeUnknownClient
}

// A HandshakeError is an HTTP response instead of a WebSocket with belfry.v1. It is not
// permanent: a proxy may have answered while the broker restarts.
type HandshakeError struct {
	Status int // of the response; 101 if only the subprotocol is missing
	Err    error
}

func (e *HandshakeError) Error() string {
	return fmt.Sprintf("want a WebSocket with %s, got HTTP status %d: %v", subprotocol, e.Status, e.Err)
}

func (e *HandshakeError) Unwrap() error { return e.Err }

// A TooLargeError says that a message exceeds [Options.ReadLimit]. It ends the client,
// because the broker would send the message again and again.
type TooLargeError struct {
	Limit int64 // in bytes
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("a message is larger than %d bytes; raise Options.ReadLimit", e.Limit)
}

// Permanent reports true.
func (e *TooLargeError) Permanent() bool { return true }

// A urlError says that a URL is invalid.
type urlError struct{ err error }

func (e *urlError) Error() string   { return "the broker's URL: " + e.err.Error() }
func (e *urlError) Unwrap() error   { return e.err }
func (e *urlError) Permanent() bool { return true }

// permanent reports whether an error ends the client: its method Permanent reports true.
func permanent(err error) bool {
	var p interface{ Permanent() bool }
	return errors.As(err, &p) && p.Permanent()
}

// A Code says why the broker refuses a request. It is an error, so that
// errors.Is(err, TooManyTopics) finds it in a [*Refused].
type Code string

// The codes that a correct request can get. A broker may have others.
const (
	InvalidTopic   Code = "invalid_topic"
	TopicReserved  Code = "topic_reserved"
	TooManyTopics  Code = "too_many_topics"
	InvalidCursor  Code = "invalid_cursor"
	InvalidLast    Code = "invalid_last"
	Forbidden      Code = "forbidden"
	RequestTooLong Code = "request_too_long" // found by the client: longer than the broker accepts
)

func (c Code) Error() string { return string(c) }

// A Refused says that the broker has refused a request, which then had no effect. It is
// also the error that [Request.Wait] returns.
//
// If the request is not one of yours, it stands for topics that were lost with the
// connection and that the broker now refuses. The client is no longer subscribed to them.
type Refused struct {
	Request *Request
	Code    Code
	Detail  string // what happened and what to do
}

func (e *Refused) Error() string {
	return fmt.Sprintf("the broker refuses %s: %s: %s", e.Request, e.Code, e.Detail)
}

// Unwrap returns the code.
func (e *Refused) Unwrap() error { return e.Code }
