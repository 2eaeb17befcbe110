package auth

import (
	"crypto"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"belfry/hub"
)

// TokenOptions say which tokens (JWTs, RFC 7519) are accepted. At least one of Secret,
// PublicKeys and KeySet must be set.
type TokenOptions struct {
	Secret     []byte             // for HS256, at least 32 bytes; nil: none
	PublicKeys []crypto.PublicKey // for RS256 (2048 to 8192 bits), ES256 (P-256) and EdDSA (Ed25519)
	KeySet     *KeySet            // the issuer's published keys; nil: none
	Audience   []string           // aud must contain one of these; none: aud is ignored
	Issuer     string             // the required iss; "": iss is ignored
	Leeway     time.Duration      // tolerated difference of clocks
	MaxAge     time.Duration      // the longest time since iat, which is then required; 0: any
	MaxTopics  int                // patterns that a token may list for each right
}

// Tokens checks tokens. It is safe for concurrent use.
type Tokens struct {
	opts    TokenOptions
	methods map[string]jwt.SigningMethod // by alg: those with a key
	local   []namedKey                   // of opts.Secret and opts.PublicKeys
	cache   tokenCache
	mark    *mark
}

// A mark identifies a [Tokens] for the tokens that it checked, so that they do not keep
// its keys in memory.
type mark struct{ _ byte }

// NewTokens returns a checker. It fails for keys that are too weak or of another type.
func NewTokens(opts TokenOptions) (*Tokens, error) {
	if opts.Secret == nil && len(opts.PublicKeys) == 0 && opts.KeySet == nil {
		return nil, errors.New("no key to check tokens with")
	}
	t := &Tokens{opts: opts, methods: make(map[string]jwt.SigningMethod), mark: new(mark)}
	if opts.Secret != nil {
		if len(opts.Secret) < minSecret {
			return nil, fmt.Errorf("the secret has %d bytes; HS256 needs at least %d (RFC 7518 section 3.2)", len(opts.Secret), minSecret)
		}
		t.methods[jwt.SigningMethodHS256.Alg()] = jwt.SigningMethodHS256
		t.local = append(t.local, namedKey{method: jwt.SigningMethodHS256, key: opts.Secret, print: sha256.Sum256(opts.Secret)})
	}
	for _, public := range opts.PublicKeys {
		key, err := newPublicKey("", public)
		if err != nil {
			return nil, err
		}
		t.methods[key.method.Alg()] = key.method
		t.local = append(t.local, key)
	}
	if opts.KeySet != nil {
		for _, method := range publicMethods {
			t.methods[method.Alg()] = method
		}
	}
	return t, nil
}

// check returns the identity of a token. It fails with a [*Denial], whose reason begins
// with the name of the first check that failed.
func (t *Tokens) check(text string, now time.Time) (*Identity, error) {
	token, keys := sha256.Sum256([]byte(text)), t.published()
	if id := t.cache.find(token, now, keys); id != nil {
		return id, nil
	}
	e := verifier{tokens: t, now: now, text: text, published: keys}
	for i := range checks {
		if err := checks[i].pass(&e); err != nil {
			return nil, denialOf(checks[i].name, err)
		}
	}
	id := e.identity()
	t.cache.keep(token, cacheEntry{id, e.end, keys})
	return id, nil
}

// published returns the issuer's current keys, nil if there is no issuer.
func (t *Tokens) published() *published {
	if t.opts.KeySet == nil {
		return nil
	}
	return t.opts.KeySet.latest.Load()
}

// A Finding is the result of one check of a token.
type Finding struct {
	Check  string  // form, alg, key, signature, or the claim's name
	Found  string  // for a check that passed: the value in the token; "" if there is none
	Denial *Denial // why the token is refused; nil if the check passed or was not possible
	Passed bool
}

// Explain makes all possible checks of a token, in the broker's order. The token is
// accepted if it passes them all. Otherwise the first denial is the one that the broker
// reports.
func (t *Tokens) Explain(text string, now time.Time) []Finding {
	e := verifier{tokens: t, now: now, text: text, published: t.published(), explain: true}
	var all []Finding
	for _, c := range checks {
		e.found = ""
		switch err := c.pass(&e); {
		case err == nil:
			all = append(all, Finding{Check: c.name, Found: e.found, Passed: true})
		case errors.Is(err, errUnchecked):
			all = append(all, Finding{Check: c.name})
		default:
			all = append(all, Finding{Check: c.name, Denial: denialOf(c.name, err)})
		}
		if e.unreadable {
			break
		}
	}
	return all
}

func denialOf(check string, err error) *Denial {
	reason := check + ": " + err.Error()
	if _, over := errors.AsType[tooLate](err); over {
		return expired.because(reason)
	}
	return invalid.because(reason)
}

// identity returns the identity of a token that passed.
func (e *verifier) identity() *Identity {
	id := &Identity{Name: "token", User: e.user, scope: e.scope(), publish: e.rights.Publish, proof: e.proof()}
	id.subscribe = &hub.Grant{Subscribe: e.rights.Subscribe, Expires: e.end, Holder: id}
	if len(e.rights.Publish) > 0 {
		id.rights |= Publish
	}
	if len(e.rights.Subscribe) > 0 {
		id.rights |= Subscribe
	}
	return id
}
