package client

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// A Subscription names topics, with or without a replay of earlier events. After and Last
// exclude each other.
type Subscription struct {
	Topics []string // of 1 to 255 bytes; with "*" or ">" for levels
	After  string   // a cursor: replay the events after it
	Last   int      // 1 to 1,000: replay the newest events of each topic, 1,000 in all
}

// A Request is a Subscribe or an Unsubscribe under way. Messages about it refer to it.
type Request struct {
	subscription Subscription // as requested
	unsubscribe  bool
	repair       bool // made by the client itself; the application is not told about it

	// Owned by the sessionState.
	topics   []string // still wanted
	fresh    []string // of topics, those that the connection did not have before
	stage    stage
	ref      uint64 // on the present connection
	tried    bool   // it was sent, on any connection
	repeated bool   // it was sent on an earlier connection
	told     bool   // the application has its Ack
	seen     seen   // of its replay

	done chan struct{} // closed when the answer is known, or will never be
	err  error         // valid after done
}

// A stage is the state of a request on the present connection.
type stage uint8

const (
	waiting stage = iota // to be sent
	sent                 // not answered yet
	acked                // the replay is not over
)

func newRequest(s Subscription, unsubscribe bool) *Request {
	s.Topics = slices.Clone(s.Topics)
	return &Request{subscription: s, unsubscribe: unsubscribe, topics: unique(s.Topics), done: make(chan struct{})}
}

// Topics returns the topics that the request is about. Don't change them.
func (r *Request) Topics() []string { return r.subscription.Topics }

func (r *Request) String() string {
	verb := "Subscribe"
	if r.unsubscribe {
		verb = "Unsubscribe"
	}
	return fmt.Sprintf("%s(%s)", verb, strings.Join(r.subscription.Topics, ", "))
}

// Wait waits until the broker has done the request, even across reconnections. It returns
// nil, a [*Refused], the error that [Client.Next] returns at the end, or ctx's error. In
// the last case the request continues.
//
// Do not call it in the goroutine that calls Next: the answer may wait after events that
// only Next removes. There, look for the [*Ack].
func (r *Request) Wait(ctx context.Context) error {
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *Request) replays() bool { return r.subscription.After != "" || r.subscription.Last != 0 }

// holds reports whether the new topics of the request must wait for its replay, although
// the broker may believe that we have had it.
func (r *Request) holds() bool {
	return r.subscription.After != "" && (r.repair || r.repeated)
}

// answer ends the waiting. Only the first call counts.
func (r *Request) answer(err error) {
	select {
	case <-r.done:
	default:
		r.err = err
		close(r.done)
	}
}

// operation returns the request in wire form.
func (r *Request) operation() operation {
	op := operation{Op: "subscribe", Topics: r.topics, After: r.subscription.After, Last: r.subscription.Last, Ref: r.ref}
	if r.unsubscribe {
		op.Op = "unsubscribe"
	}
	return op
}
