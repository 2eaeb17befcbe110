package auth

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
)

// Scope names a publisher. Each has its own rate and its own idempotency keys. The scopes
// of two publishers never coincide, because the kind of credentials is a part of them.
// These count as one publisher: all callers without credentials, an API key, and all
// tokens with the same issuer and user. A token without a user is a publisher of its own.
func (id *Identity) Scope() string { return id.scope }

// ByKey reports whether the identity comes from an API key.
func (id *Identity) ByKey() bool { return id.key != nil }

const openScope = "open"

func keyScope(name string) string { return "key " + name }

// scope returns the scope of the token, which has passed.
func (e *verifier) scope() string {
	if e.user == "" {
		// the signature is left out: one token can have several
		sum := sha256.Sum256([]byte(e.signed))
		return "token " + hex.EncodeToString(sum[:])
	}
	issuer, _ := textOf(e.claims.Iss) // another type of value names no issuer
	return "user " + strconv.Quote(issuer) + " " + e.user
}
