package transport

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"belfry/hub"
)

// The answers to requests of clients that are not done: over belfry.v1, the operations.

// A refusal is the answer to a request that is not done. Its code is stable:
// programs may rely on it.
type refusal struct {
	code   string
	detail string
}

func (r *refusal) Error() string { return r.code + ": " + r.detail }

// refusal returns what a client is told of an error of something that it asked for, nil if
// that is nothing. Requests without the right are logged.
func (c *conn) refusal(err error, what string) *refusal {
	var no *refusal
	switch {
	case err == nil || errors.Is(err, hub.ErrUnknownClient) || errors.Is(err, hub.ErrClosed):
		return nil // done, or the connection will end
	case !errors.As(err, &no):
		if no = refusalOf(err); errors.Is(err, hub.ErrForbidden) {
			c.server.opts.Denied(no.code, err.Error(), what)
		}
	}
	return no
}

// refusalOf returns what a client is told about an error of the hub.
func refusalOf(err error) *refusal {
	var topic *hub.TopicError
	if told, ok := errors.AsType[interface {
		error
		Refusal() (code, detail string)
	}](err); ok {
		code, detail := told.Refusal()
		return &refusal{code, detail}
	}
	switch {
	case errors.As(err, &topic) && topic.Reserved:
		return &refusal{"topic_reserved", err.Error()}
	case errors.As(err, &topic):
		return &refusal{"invalid_topic", err.Error()}
	case errors.Is(err, hub.ErrForbidden):
		return &refusal{"forbidden", "this is not among what was granted"}
	case errors.Is(err, hub.ErrTooManyTopics):
		return &refusal{"too_many_topics", "unsubscribe from some topics first, or subscribe to a pattern such as orders.*"}
	case errors.Is(err, hub.ErrTooManyReplays):
		return &refusal{"too_many_replays", "wait until some replays are over, or ask for several topics at once"}
	}
	return &refusal{"internal", err.Error()}
}

// malformed says what is wrong with a text that is not a JSON object, or not one that the
// JSON package reads.
func malformed(text []byte, err error) *refusal {
	syntactic, _ := errors.AsType[*jsontext.SyntacticError](err)
	switch {
	case bytes.HasPrefix(text, []byte("\ufeff")):
		return &refusal{"malformed_json", "the message begins with a byte order mark; send it without"}
	case syntactic != nil && strings.Contains(syntactic.Error(), "exceeded max depth"): // it has no name
		return &refusal{"too_deep", "the message nests deeper than max_depth permits; send a flatter one"}
	}
	return &refusal{"malformed_json", "send one JSON object (RFC 7493) such as {\"op\":\"ping\"}"}
}

// wrongTypes are the refusals of members of a wrong type, if HTTP has a code for that.
var wrongTypes = map[jsontext.Pointer]*refusal{
	"/last":    errLast,
	"/topic":   {"invalid_topic", "topic is no string; send a string such as \"cats\""},
	"/user_id": {"invalid_user_id", "user_id is neither an integer nor a string; send an integer such as 1, or a string of 1 to 255 bytes"},
}

var errExpires = &refusal{"invalid_expires_in", fmt.Sprintf("expires_in is no number of seconds above 0, of at most %.0f", hub.MaxExpires.Seconds())}

var errLast = &refusal{"invalid_last", fmt.Sprintf("last is a whole number of 1 to %d", hub.MaxLast)}
