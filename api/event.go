package api

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"belfry/hub"
)

// A publishRequest is an event as publishers send it in JSON.
type publishRequest struct {
	Topic     string   `json:"topic"`
	User      userID   `json:"user_id"`
	Message   message  `json:"message"`
	ID        *string  `json:"id"`
	ExpiresIn *float64 `json:"expires_in"` // seconds
}

// publishMembers lists the members of a publishRequest, for error texts.
const publishMembers = "topic, user_id, message, id and expires_in"

// request converts it to the hub's type.
func (r *publishRequest) request() hub.PublishRequest {
	return hub.PublishRequest{Topic: r.Topic, User: string(r.User), Message: r.Message.text, Text: r.Message.quoted, ID: r.ID, ExpiresIn: r.ExpiresIn}
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

// traceParent returns the trace that a request belongs to (W3C Trace Context section 3.2).
// It returns "" if the header is missing or malformed, as the standard demands.
func traceParent(text string) string {
	if text == "" {
		return "" // the usual case
	}
	parts := strings.Split(text, "-")
	if len(text) > 255 || len(parts) < 4 || !isHex(parts[0], 2) || parts[0] == "ff" || parts[0] == "00" && len(parts) != 4 ||
		!isHex(parts[1], 32) || !isHex(parts[2], 16) || !isHex(parts[3], 2) || strings.Trim(parts[1], "0") == "" || strings.Trim(parts[2], "0") == "" {
		return ""
	}
	return text
}

func isHex(text string, length int) bool {
	return len(text) == length && strings.Trim(text, "0123456789abcdef") == ""
}
