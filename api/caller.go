package api

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"belfry/api/auth"
	"belfry/hub"
)

// A caller is the sender of a request, or of an operation over a connection.
type caller struct {
	who    *auth.Identity // nil: the route needs no right
	limits *Limits        // those in force when it asked
	trace  string         // the trace of the request; "" if unknown
}

var errExpiresIn = invalidExpiry.because(fmt.Sprintf("expires_in must be a number of seconds above 0 and at most %.0f", hub.MaxExpires.Seconds()))

// event checks a request to publish, from any protocol, and returns its event.
func (s *Server) event(c *caller, req *hub.PublishRequest) (ev hub.Event, err error) {
	ev = hub.Event{Topic: req.Topic, User: req.User, Time: s.opts.Clock(), Message: req.Message, Text: req.Text, Expires: req.Expires, Details: req.Details}
	if req.Message == nil {
		return ev, invalidMessage.because("message is missing; send any JSON value, null included")
	}
	if ev.ID, err = eventID(req.ID); err != nil {
		return ev, err
	}
	if req.ExpiresIn != nil {
		if *req.ExpiresIn <= 0 || *req.ExpiresIn > hub.MaxExpires.Seconds() {
			return ev, errExpiresIn
		}
		ev.Expires = ev.Time.Add(time.Duration(*req.ExpiresIn * float64(time.Second)))
	}
	if c.trace != "" && ev.Details == nil {
		ev.Details = &hub.Details{TraceParent: c.trace}
	}
	switch {
	case ev.Topic == "":
		return ev, invalidTopic.because("topic is missing or empty; name the topic to publish to")
	case len(ev.Message) > c.limits.MaxMessage:
		return ev, messageTooLarge.because(fmt.Sprintf("the message has %d bytes; send at most %d, or raise max_message", len(ev.Message), c.limits.MaxMessage))
	}
	if err := hub.CheckTopic(ev.Topic); err != nil {
		return ev, err
	}
	return ev, c.who.MayPublish(ev.Topic)
}

// eventID returns the given id, or a new one.
func eventID(given *string) (string, error) {
	if given == nil {
		id, err := uuid.NewV7()
		if err != nil {
			return "", fmt.Errorf("make an event id: %w", err)
		}
		return id.String(), nil
	}
	if !hub.IsName(*given) {
		return "", invalidID.because(fmt.Sprintf("id is not a text of 1 to %d bytes without control characters; leave it out to be given one", hub.MaxNameBytes))
	}
	return *given, nil
}
