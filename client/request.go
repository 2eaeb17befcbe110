package client

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// A Subscription asks for topics: from now on, or with a replay of earlier
// events first. At most one of After and Last may be given.
type Subscription struct {
	Topics []string // of 1 to 255 bytes; with "*" or ">" for levels
	After  string   // a cursor: replay the events behind it
	Last   int      // 1 to 1,000: replay the newest so many events of each topic, 1,000 in all
}

// A Request is a Subscribe or an Unsubscribe on its way. The messages about it
// name it, so that they can be told apart.
type Request struct {
	subscription Subscription // as it was asked for
	unsubscribe  bool
	repair       bool // the client's own: nobody is told how it goes

	// Owned by the ledger.
	topics   []string // those that are still wanted
	fresh    []string // those of them that the connection did not have before
	stage    stage
	ref      uint64 // on the present connection
	tried    bool   // it was sent, on whatever connection
	repeated bool   // it was sent on an earlier connection
	told     bool   // its Ack is given to the application
	seen     seen   // of its replay

	done chan struct{} // closed when it is answered, or never will be
	err  error         // valid after done
}

// A stage is how far a request is on the present connection.
type stage uint8

const (
	waiting stage = iota // to be sent
	sent                 // no answer yet
	acked                // its replay is not over
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

// Wait waits until the broker has done the request, however often that takes
// another connection, and returns nil, a [*Refused], the client's end as
// [Client.Next] tells it, or ctx's error; the request goes on after the last.
//
// Don't call it in the goroutine that calls Next: the answer may wait behind
// events that only Next takes out of the way. There, look for the [*Ack].
func (r *Request) Wait(ctx context.Context) error {
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *Request) replays() bool { return r.subscription.After != "" || r.subscription.Last != 0 }

// holds reports whether the topics that were new in the request are to wait for
// its replay, although the broker may think that we have had it.
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

// operation is the request as it is sent.
func (r *Request) operation() operation {
	op := operation{Op: "subscribe", Topics: r.topics, After: r.subscription.After, Last: r.subscription.Last, Ref: r.ref}
	if r.unsubscribe {
		op.Op = "unsubscribe"
	}
	return op
}
