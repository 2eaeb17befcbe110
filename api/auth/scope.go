package auth

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
)

// Scope names a publisher: its rate and the idempotency keys of its publishes are its
// own. No two publishers have the same scope, however they are called: the kind is a
// part of it. One publisher are all who need no credentials, an API key by its name,
// and the tokens of one issuer and user. A token without a user is one by itself.
func (id *Identity) Scope() string { return id.scope }

// ByKey reports whether an identity is that of an API key.
func (id *Identity) ByKey() bool { return id.key != nil }

const openScope = "open"

func keyScope(name string) string { return "key " + name }

// scope is that of the token, which has passed.
func (e *exam) scope() string {
	if e.user == "" {
		// Of the signature there may be several for one token.
		sum := sha256.Sum256([]byte(e.signed))
		return "token " + hex.EncodeToString(sum[:])
	}
	issuer, _ := textOf(e.claims.Iss) // what is no text names nobody
	return "user " + strconv.Quote(issuer) + " " + e.user
}
