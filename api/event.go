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

// publishMembers lists the members of a publishRequest, for error texts.
const publishMembers = "topic, user_id, message, id and expires_in"

// request converts it to the hub's type.
func (r *publishRequest) request() hub.PublishRequest {
	return hub.PublishRequest{Topic: r.Topic, User: string(r.User), Message: r.Message.text, Text: r.Message.quoted, ID: r.ID, ExpiresIn: r.ExpiresIn}
}

// Kinds of idempotency keys.
const (
	givenKey = "key"   // chosen by the publisher, over any protocol
	eventKey = "event" // the source and the id of a CloudEvent
)

// keyOf returns the idempotency key of a publication. It depends on the publisher, the
// kind of key and its parts, and contains a digest of the content.
func (c *caller) keyOf(kind string, parts []string, published ...string) hub.Key {
	return hub.Key{Name: digest(append([]string{kind, c.who.Scope()}, parts...)), Print: digest(published)}
}

// digest hashes parts so that no two lists of parts have the same hash.
func digest(parts []string) (sum [16]byte) {
	h := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	copy(sum[:], h.Sum(nil))
	return sum
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
