package api

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"belfry/hub"
)

// A publishRequest is an event as a publisher sends it.
type publishRequest struct {
	Topic     string   `json:"topic"`
	User      userID   `json:"user_id"`
	Message   message  `json:"message"`
	ID        *string  `json:"id"`
	ExpiresIn *float64 `json:"expires_in"` // seconds
}

// publishMembers are what a publishRequest has, for who has sent others.
const publishMembers = "topic, user_id, message, id and expires_in"

var errExpiresIn = invalidExpiry.because(fmt.Sprintf("expires_in is no number of seconds above 0, of at most %.0f", hub.MaxExpires.Seconds()))

// event returns the event that a request asks for, if its publisher may.
func (s *Server) event(x *exchange, req *publishRequest) (hub.Event, error) {
	ev := hub.Event{Topic: req.Topic, User: string(req.User), Time: s.opts.Clock(), Message: req.Message.text, Text: req.Message.quoted}
	if req.Message.text == nil {
		return ev, invalidMessage.because("message is missing; send any JSON value, null included")
	}
	if req.ID != nil {
		if ev.ID = *req.ID; !hub.IsName(ev.ID) {
			return ev, invalidID.because(fmt.Sprintf("id is no text of 1 to %d bytes without control characters; leave it out to be given one", hub.MaxNameBytes))
		}
	}
	if req.ExpiresIn != nil {
		if *req.ExpiresIn <= 0 || *req.ExpiresIn > hub.MaxExpires.Seconds() {
			return ev, errExpiresIn
		}
		ev.Expires = ev.Time.Add(time.Duration(*req.ExpiresIn * float64(time.Second)))
	}
	if x.trace != "" {
		ev.Details = &hub.Details{TraceParent: x.trace}
	}
	return ev, s.complete(x, &ev)
}

// complete checks what every event must keep to, and gives it an id if it has
// none.
func (s *Server) complete(x *exchange, ev *hub.Event) error {
	switch {
	case ev.Topic == "":
		return invalidTopic.because("topic is missing or empty; say what to publish to")
	case len(ev.Message) > x.limits.MaxMessage:
		return messageTooLarge.because(fmt.Sprintf("the message has %d bytes; send at most %d, or raise max_message", len(ev.Message), x.limits.MaxMessage))
	}
	if err := hub.CheckTopic(ev.Topic); err != nil {
		return err
	}
	if err := x.who.MayPublish(ev.Topic); err != nil {
		return err
	}
	if ev.ID == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return fmt.Errorf("make an event id: %w", err)
		}
		ev.ID = id.String()
	}
	return nil
}

// Kinds of keys of publications.
const (
	givenKey = "key"   // that the publisher has made up: one, whichever way it comes
	eventKey = "event" // the source and the id of a CloudEvent
)

// keyOf returns the key of a publication: of who publishes it, the kind of key,
// and its parts; and what is published under it.
func (x *exchange) keyOf(kind string, parts []string, published ...string) hub.Key {
	return hub.Key{Name: digest(append([]string{kind, x.who.Scope()}, parts...)), Print: digest(published)}
}

// digest hashes parts so that no others have the same hash.
func digest(parts []string) (sum [16]byte) {
	h := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	copy(sum[:], h.Sum(nil))
	return sum
}

// traceParent returns the trace that a request belongs to (W3C Trace Context
// section 3.2), "" if it does not say or is not well-formed, as the standard has
// it.
func traceParent(text string) string {
	if text == "" {
		return "" // nearly all
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
