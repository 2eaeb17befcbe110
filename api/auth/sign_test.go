package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"slices"
	"testing"
	"time"
)

// Tokens that are signed here are accepted here, for each kind of key.
func TestSign(t *testing.T) {
	t.Parallel()
	s := signers()
	tokens := newTokens(t, func(o *TokenOptions) { o.MaxAge = time.Minute })
	asked := NewToken{
		User: "größe", Subscribe: []string{"a.>"}, Publish: []string{"b", "c.*"}, Audience: []string{"x", "chat"},
		Issuer: "https://issuer.example", KeyID: "k", Issued: now, Expires: now.Add(time.Hour),
	}
	for name, key := range map[string]any{"HS256": s.secret, "RS256": s.rsa, "ES256": s.ecdsa, "EdDSA": s.ed} {
		text, err := asked.Sign(key)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		id, err := tokens.check(text, now)
		if err != nil || id.User != asked.User || !slices.Equal(id.publish, asked.Publish) || !slices.Equal(id.Grant().Subscribe, asked.Subscribe) {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
	}
	text, err := NewToken{Issued: now, Expires: now.Add(time.Hour)}.Sign(s.secret)
	if err != nil {
		t.Fatal(err)
	}
	plain := newTokens(t, func(o *TokenOptions) { o.Audience, o.Issuer = nil, "" })
	if id, err := plain.check(text, now); err != nil || id.User != "" || id.Has(Publish) == nil || id.Has(Subscribe) == nil {
		t.Errorf("a token that says next to nothing: %+v, %v", id, err)
	}
	wide, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]any{
		"a short secret": s.secret[:31], "weak RSA": s.weak, "P-384": wide, "a public key": &s.rsa.PublicKey, "nothing": nil,
	} {
		if text, err := asked.Sign(key); err == nil {
			t.Errorf("%s: %s", name, text)
		}
	}
}
