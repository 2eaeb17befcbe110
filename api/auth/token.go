package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"belfry/hub"
)

// TokenOptions say which tokens (JWTs, RFC 7519) are accepted. At least one of
// Secret, PublicKeys and Lookup is set.
type TokenOptions struct {
	Secret     []byte             // of HS256; at least 32 bytes; nil: none
	PublicKeys []crypto.PublicKey // of RS256 (at least 2048 bits), ES256 (P-256) and EdDSA (Ed25519)
	Lookup     jwt.Keyfunc        // finds a public key by the token's header, as in a JWKS (RFC 7517); nil: none
	Audience   string             // wanted in aud; "" takes any
	Issuer     string             // wanted as iss; "" takes any
	Leeway     time.Duration      // by which clocks may differ
	MaxTopics  int                // patterns that a token may list for each right
}

// Tokens checks tokens.
type Tokens struct {
	opts   TokenOptions
	parser func(now time.Time) *jwt.Parser
}

// NewTokens returns a checker. It fails for keys that are too weak or of another
// kind.
func NewTokens(opts TokenOptions) (*Tokens, error) {
	if opts.Secret == nil && len(opts.PublicKeys) == 0 && opts.Lookup == nil {
		return nil, errors.New("no key to check tokens with")
	}
	if opts.Secret != nil && len(opts.Secret) < 32 {
		return nil, fmt.Errorf("the secret has %d bytes; HS256 needs at least 32 (RFC 7518 section 3.2)", len(opts.Secret))
	}
	for _, key := range opts.PublicKeys {
		if err := checkKey(key); err != nil {
			return nil, err
		}
	}
	var methods []string
	if opts.Secret != nil {
		methods = append(methods, jwt.SigningMethodHS256.Alg())
	}
	if len(opts.PublicKeys) > 0 || opts.Lookup != nil {
		methods = append(methods, jwt.SigningMethodRS256.Alg(), jwt.SigningMethodES256.Alg(), jwt.SigningMethodEdDSA.Alg())
	}
	rules := []jwt.ParserOption{
		jwt.WithValidMethods(methods), jwt.WithExpirationRequired(), jwt.WithLeeway(opts.Leeway), jwt.WithStrictDecoding(),
	}
	if opts.Audience != "" {
		rules = append(rules, jwt.WithAudience(opts.Audience))
	}
	if opts.Issuer != "" {
		rules = append(rules, jwt.WithIssuer(opts.Issuer))
	}
	return &Tokens{opts, func(now time.Time) *jwt.Parser {
		return jwt.NewParser(append(rules[:len(rules):len(rules)], jwt.WithTimeFunc(func() time.Time { return now }))...)
	}}, nil
}

// checkKey refuses public keys that are too weak or of another kind.
func checkKey(key crypto.PublicKey) error {
	switch key := key.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() < 2048 {
			return fmt.Errorf("an RSA key of %d bits; RS256 needs at least 2048 (RFC 7518 section 3.3)", key.N.BitLen())
		}
	case *ecdsa.PublicKey:
		if name := key.Curve.Params().Name; name != "P-256" {
			return fmt.Errorf("an elliptic curve %s; ES256 needs P-256", name)
		}
	case ed25519.PublicKey:
	default:
		return fmt.Errorf("a public key of type %T; want RSA, P-256 or Ed25519", key)
	}
	return nil
}

// ParsePublicKey reads a public key, or that of a certificate, from PEM.
func ParsePublicKey(text []byte) (crypto.PublicKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("no PEM block")
	}
	switch block.Type {
	case "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(block.Bytes)
	case "CERTIFICATE":
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		return cert.PublicKey, nil
	}
	return nil, fmt.Errorf("a PEM block of type %.40q; want PUBLIC KEY or CERTIFICATE", block.Type)
}

// claims are what a token says.
type claims struct {
	jwt.RegisteredClaims
	Belfry *struct {
		Subscribe []string `json:"subscribe"`
		Publish   []string `json:"publish"`
	} `json:"belfry"`
}

// maxUserBytes is the length of the longest user id, in bytes.
const maxUserBytes = 255

// Validate implements [jwt.ClaimsValidator]: it checks what the registered
// claims do not say.
func (c *claims) Validate() error {
	switch {
	case c.Belfry == nil:
		return errors.New("the claim belfry is missing")
	case len(c.Subject) > maxUserBytes:
		return fmt.Errorf("the claim sub has more than %d bytes", maxUserBytes)
	}
	return nil
}

// check returns whose a token is. It fails with a [*Denial] whose reason names
// the claim.
func (t *Tokens) check(text string, now time.Time) (*Identity, error) {
	var c claims
	_, err := t.parser(now).ParseWithClaims(text, &c, t.keys)
	switch {
	case errors.Is(err, jwt.ErrTokenExpired) && !errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return nil, expired.because(err.Error())
	case err != nil:
		return nil, invalid.because(err.Error())
	}
	for claim, patterns := range map[string][]string{"subscribe": c.Belfry.Subscribe, "publish": c.Belfry.Publish} {
		if len(patterns) > t.opts.MaxTopics {
			return nil, invalid.because(fmt.Sprintf("the claim belfry.%s lists more than %d patterns", claim, t.opts.MaxTopics))
		}
		for _, p := range patterns {
			if err := hub.CheckPattern(p); err != nil {
				return nil, invalid.because(fmt.Sprintf("the claim belfry.%s: %v", claim, err))
			}
		}
	}
	id := &Identity{
		Name: "token", User: c.Subject, publish: c.Belfry.Publish,
		subscribe: &hub.Grant{Subscribe: c.Belfry.Subscribe, Expires: c.ExpiresAt.Add(t.opts.Leeway)},
	}
	if len(c.Belfry.Publish) > 0 {
		id.rights |= Publish
	}
	if len(c.Belfry.Subscribe) > 0 {
		id.rights |= Subscribe
	}
	return id, nil
}

// keys returns the keys that may have signed a token. Which kind they are of
// follows from the algorithm, never the other way round: a public key must not
// serve as a secret.
func (t *Tokens) keys(token *jwt.Token) (any, error) {
	var set jwt.VerificationKeySet
	add := func(key crypto.PublicKey) { set.Keys = append(set.Keys, key) }
	switch token.Method {
	case jwt.SigningMethodHS256:
		return t.opts.Secret, nil
	case jwt.SigningMethodRS256:
		addOf[*rsa.PublicKey](t.opts.PublicKeys, add)
	case jwt.SigningMethodES256:
		addOf[*ecdsa.PublicKey](t.opts.PublicKeys, add)
	case jwt.SigningMethodEdDSA:
		addOf[ed25519.PublicKey](t.opts.PublicKeys, add)
	}
	if t.opts.Lookup != nil {
		key, err := t.opts.Lookup(token)
		if err == nil {
			err = checkKey(key)
		}
		switch {
		case err == nil:
			add(key)
		case len(set.Keys) == 0:
			return nil, err
		}
	}
	if len(set.Keys) == 0 {
		return nil, fmt.Errorf("no key for the algorithm %v", token.Header["alg"])
	}
	return set, nil
}

func addOf[K crypto.PublicKey](keys []crypto.PublicKey, add func(crypto.PublicKey)) {
	for _, key := range keys {
		if k, ok := key.(K); ok {
			add(k)
		}
	}
}
