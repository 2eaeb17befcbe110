package hub

import "errors"

// What the hub refuses a command with.
var (
	ErrUnknownClient      = errors.New("no such client; register again")
	ErrDuplicateClient    = errors.New("the client id is taken")
	ErrTooManyClients     = errors.New("too many registered clients; try again later")
	ErrTooManyUserClients = errors.New("too many clients of one user; try again later")
	ErrTooManyConnections = errors.New("too many connections; try again later")
	ErrTooManyTopics      = errors.New("too many topics for one client")
	ErrTooManyReplays     = errors.New("too many replays of one client wait")
	ErrForbidden          = errors.New("this was not granted")
	ErrDraining           = errors.New("the broker is shutting down")
	ErrOverCapacity       = errors.New("there is no room now; try again later") // what others than the hub refuse with
)
