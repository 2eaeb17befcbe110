package auth

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/golang-jwt/jwt/v5"
)

// A verifier verifies one token.
//
// It does not use the parser of the library that makes and verifies signatures. That
// parser accepts names of claims in any case or given twice, numbers in quotes, dates that
// overflow and line breaks in base64. It also ignores crit, which says that a token must
// be refused where an extension is not known.
type verifier struct {
	tokens  *Tokens
	now     time.Time
	text    string
	explain bool   // findings are wanted
	found   string // the finding of the present check

	unreadable bool // no further check is possible
	head       header
	claims     claims
	signed     string // the signed part
	signature  []byte
	method     jwt.SigningMethod
	published  *published // the issuer's keys when the check began; nil: no issuer
	keys       []namedKey // that may have signed the token
	by         *namedKey  // that signed the token
	end        time.Time  // when the token expires
	user       string
	rights     rights
}

// checks are all checks of a token, in order.
var checks = []struct {
	name string
	pass func(*verifier) error
}{
	{"form", (*verifier).form},
	{"alg", (*verifier).alg},
	{"key", (*verifier).key},
	{"signature", (*verifier).verify},
	{"exp", (*verifier).exp},
	{"nbf", (*verifier).nbf},
	{"iat", (*verifier).iat},
	{"aud", (*verifier).aud},
	{"iss", (*verifier).iss},
	{"sub", (*verifier).sub},
	{"belfry", (*verifier).belfry},
	{"belfry.subscribe", (*verifier).subscribe},
	{"belfry.publish", (*verifier).publish},
}

// errUnchecked is the result of a check that an earlier failure makes impossible.
var errUnchecked = errors.New("not checked")

// say records what a check has found, if findings are wanted.
func (e *verifier) say(format string, args ...any) {
	if e.explain {
		e.found = fmt.Sprintf(format, args...)
	}
}

// header has the used members of a token's header (RFC 7515 section 4.1). References to
// keys (jku, jwk, x5u, x5c) are ignored.
type header struct {
	Alg  jsontext.Value `json:"alg"`
	Kid  jsontext.Value `json:"kid"`
	Crit jsontext.Value `json:"crit"`
	B64  jsontext.Value `json:"b64"`
	Zip  jsontext.Value `json:"zip"`
}

// form splits the token into its parts (RFC 7515 section 3.1).
func (e *verifier) form() error {
	err := e.split()
	e.unreadable = err != nil
	return err
}

func (e *verifier) split() error {
	if len(e.text) > maxCredentials {
		return fmt.Errorf("%d bytes; want at most %d", len(e.text), maxCredentials)
	}
	parts := strings.Split(e.text, ".")
	if len(parts) != 3 {
		return fmt.Errorf("%d parts; want header, claims and signature, separated by dots", len(parts))
	}
	e.signed = e.text[:len(parts[0])+1+len(parts[1])]
	head, err := decode("header", parts[0])
	if err != nil {
		return err
	}
	body, err := decode("claims", parts[1])
	if err != nil {
		return err
	}
	if e.signature, err = decode("signature", parts[2]); err != nil {
		return err
	}
	if err := json.Unmarshal(head, &e.head); err != nil {
		return fmt.Errorf("the header is not one JSON object: %w", err)
	}
	if err := json.Unmarshal(body, &e.claims); err != nil {
		return fmt.Errorf("the claims are not one JSON object: %w", err)
	}
	if e.head.Crit != nil || e.head.B64 != nil || e.head.Zip != nil { // RFC 7515 section 4.1.11, RFC 7797 section 3, RFC 7516 section 4.1.3
		return errors.New("the header has crit, b64 or zip; want a token without extensions")
	}
	e.say("%d bytes, header, claims and signature", len(e.text))
	return nil
}

// decode reads base64url without padding (RFC 7515 section 2). It checks for line breaks
// itself, because the decoder ignores them even if it is strict.
func decode(what, text string) ([]byte, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") {
		return nil, fmt.Errorf("%s: not base64url without padding", what)
	}
	return raw, nil
}

// textOf reads a string, "" if it is missing.
func textOf(value jsontext.Value) (string, error) {
	switch value.Kind() {
	case jsontext.KindInvalid, 'n':
		return "", nil
	case '"':
		text, err := jsontext.AppendUnquote(nil, value)
		return string(text), err
	}
	return "", fmt.Errorf("%.100s; want a string", value)
}

func (e *verifier) alg() error {
	name, err := textOf(e.head.Alg)
	if err != nil {
		return err
	}
	method := e.tokens.methods[name]
	if method == nil {
		return fmt.Errorf("%.100q; want an algorithm with a key: %s", name, strings.Join(slices.Sorted(maps.Keys(e.tokens.methods)), ", "))
	}
	e.method = method
	e.say("%s", name)
	return nil
}

// key finds the keys that may have signed the token. The algorithm determines the type of
// key, and the configured keys determine the algorithms: a public key must not be used as
// a secret.
func (e *verifier) key() error {
	kid, err := textOf(e.head.Kid)
	switch {
	case err != nil:
		return fmt.Errorf("kid: %w", err)
	case e.method == nil:
		return errUnchecked
	case e.method == jwt.SigningMethodHS256:
		e.keys = fitting(e.tokens.local, "", e.method)
		e.say("the secret")
		return nil
	}
	e.keys = fitting(e.tokens.local, "", e.method)
	if set := e.tokens.opts.KeySet; set != nil {
		published, err := set.find(kid, e.method, len(e.keys) == 0)
		if err != nil && len(e.keys) == 0 {
			return err
		}
		e.keys = append(e.keys, published...)
	}
	e.say("%d of this algorithm, kid %.100q", len(e.keys), kid)
	return nil
}

func (e *verifier) verify() error {
	if len(e.keys) == 0 {
		return errUnchecked
	}
	tried := len(e.keys)
	if e.signedBy(e.keys) {
		return nil
	}
	if set := e.tokens.opts.KeySet; set != nil && e.method != jwt.SigningMethodHS256 {
		// The issuer may have another key under the same name by now, or without one.
		kid, _ := textOf(e.head.Kid) // it has been read before
		others := set.findOthers(e.published, kid, e.method)
		if tried += len(others); e.signedBy(others) {
			return nil
		}
	}
	return fmt.Errorf("%d bytes; none of the %d keys has made this signature", len(e.signature), tried)
}

// signedBy reports whether one of the keys has signed the token.
func (e *verifier) signedBy(keys []namedKey) bool {
	for i := range keys {
		if e.method.Verify(e.signed, e.signature, keys[i].key) == nil {
			e.by = &keys[i]
			return true
		}
	}
	return false
}
