package api

import (
	"crypto/sha256"
	"fmt"

	"belfry/api/auth"
	"belfry/hub"
)

// A caller is the sender of a request, or of an operation over a connection.
type caller struct {
	who    *auth.Identity // nil: the route needs no right
	limits *Limits        // those in force when it asked
	trace  string         // the trace of the request; "" if unknown
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
