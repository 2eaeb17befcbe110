package auth

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"belfry/hub"
)

// A proof is what is kept of a token that passed, so that it can be checked again without
// its text: the key that signed it, and the claims that other settings may refuse.
type proof struct {
	method jwt.SigningMethod
	kid    string
	by     [sha256.Size]byte // the print of the key
	claims claims            // the claims that rechecks need

	mark *mark      // of the [Tokens] that checked it
	keys *published // the issuer's keys at that time
}

// rechecks are the checks that a token may fail later. The check of its key comes first.
var rechecks = []struct {
	name string
	pass func(*verifier) error
}{
	{"exp", (*verifier).exp},
	{"nbf", (*verifier).nbf},
	{"iat", (*verifier).iat},
	{"aud", (*verifier).aud},
	{"iss", (*verifier).iss},
}

func (e *verifier) proof() *proof {
	kid, _ := textOf(e.head.Kid) // it has been read before
	c := &e.claims
	return &proof{
		method: e.method, kid: kid, by: e.by.print, mark: e.tokens.mark, keys: e.published,
		claims: claims{Exp: bytes.Clone(c.Exp), Nbf: bytes.Clone(c.Nbf), Iat: bytes.Clone(c.Iat), Aud: bytes.Clone(c.Aud), Iss: bytes.Clone(c.Iss)},
	}
}

// refresh returns the present identity of the holder of a token that this checker, or one
// with other settings, accepted. It fails with a [*Denial], as check does. It never waits.
func (t *Tokens) refresh(who *Identity, now time.Time) (*Identity, error) {
	if who.proof.mark == t.mark && who.proof.keys == t.published() && now.Before(who.subscribe.Expires) {
		return who, nil // the usual case: nothing has changed
	}
	if !t.has(who.proof) && !t.awaits(who.proof) {
		return nil, denialOf("key", errors.New("the key that signed the token is no longer accepted"))
	}
	e := verifier{tokens: t, now: now, claims: who.proof.claims}
	for i := range rechecks {
		if err := rechecks[i].pass(&e); err != nil {
			return nil, denialOf(rechecks[i].name, err)
		}
	}
	if !now.Before(e.end) {
		return nil, denialOf("exp", tooLate("the token has expired"))
	}
	if e.end.Equal(who.subscribe.Expires) {
		return who, nil
	}
	again := *who
	again.subscribe = &hub.Grant{Subscribe: who.subscribe.Subscribe, Expires: e.end, Holder: &again}
	return &again, nil
}

// awaits reports whether the issuer's keys have never been fetched, while one of them may
// have signed the token.
func (t *Tokens) awaits(p *proof) bool {
	issuer := t.published()
	return issuer != nil && !issuer.fetched && p.method != jwt.SigningMethodHS256
}

// has reports whether the key that signed the token would be tried now.
func (t *Tokens) has(p *proof) bool {
	for i := range t.local {
		if k := &t.local[i]; k.fits("", p.method) && k.print == p.by {
			return true
		}
	}
	issuer := t.published()
	if issuer == nil {
		return false
	}
	for i := range issuer.keys {
		if k := &issuer.keys[i]; k.fits(p.kid, p.method) && k.print == p.by {
			return true
		}
	}
	return false
}
