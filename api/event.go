package api

import (
	"crypto/sha256"
	"fmt"
	"strings"

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

// publishMembers are what a publishRequest has, for who has sent others.
const publishMembers = "topic, user_id, message, id and expires_in"

// request returns what is asked for.
func (r *publishRequest) request() hub.PublishRequest {
	return hub.PublishRequest{Topic: r.Topic, User: string(r.User), Message: r.Message.text, Text: r.Message.quoted, ID: r.ID, ExpiresIn: r.ExpiresIn}
}

// Kinds of keys of publications.
const (
	givenKey = "key"   // that the publisher has made up: one, whichever way it comes
	eventKey = "event" // the source and the id of a CloudEvent
)

// keyOf returns the key of a publication: of who publishes it, the kind of key,
// and its parts; and what is published under it.
func (c *caller) keyOf(kind string, parts []string, published ...string) hub.Key {
	return hub.Key{Name: digest(append([]string{kind, c.who.Scope()}, parts...)), Print: digest(published)}
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
