package auth

import (
	"crypto"
	"crypto/ed25519"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// FuzzCheck: any token gives an identity or a complete denial, the same as explained. An
// identity comes only from a signature by one of the keys. The keys are the same in each
// fuzzing process.
func FuzzCheck(f *testing.F) {
	secret := []byte("0123456789abcdef0123456789abcdef")
	private := ed25519.NewKeyFromSeed(secret)
	tokens, err := NewTokens(TokenOptions{Secret: secret, PublicKeys: []crypto.PublicKey{private.Public()}, MaxTopics: 4})
	if err != nil {
		f.Fatal(err)
	}
	guard, err := New(Options{Tokens: tokens, Clock: func() time.Time { return now }})
	if err != nil {
		f.Fatal(err)
	}
	signed := make(map[string]bool)
	for _, claims := range []jwt.MapClaims{
		{"exp": now.Unix() + 60, "belfry": m{"subscribe": []string{"a.*"}}},
		{"exp": now.Unix() + 60, "sub": "7", "nbf": 1, "iat": 2.5, "aud": []string{"a"}, "belfry": m{"publish": []string{">"}}},
	} {
		for _, by := range []struct {
			method jwt.SigningMethod
			key    any
		}{{jwt.SigningMethodHS256, secret}, {jwt.SigningMethodEdDSA, private}, {jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType}} {
			text, err := jwt.NewWithClaims(by.method, claims).SignedString(by.key)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
			signed[text] = by.method != jwt.SigningMethodNone
		}
	}
	f.Add("..")
	f.Add("bk_x")
	f.Fuzz(func(t *testing.T, text string) {
		id, err := guard.Check(text)
		if (err == nil) != signed[text] || (id == nil) != (err != nil) {
			t.Fatalf("%q: %+v, %v", text, id, err)
		}
		denied := code(t, err)
		for _, finding := range tokens.Explain(text, now) {
			if finding.Denial != nil {
				if finding.Denial.Code != denied || len(text) > 16 && strings.Contains(finding.Denial.Reason, text) {
					t.Fatalf("%q: %v, explained by %v", text, err, finding.Denial)
				}
				return
			}
		}
		if err != nil {
			t.Fatalf("%q: %v, but nothing explains it", text, err)
		}
	})
}

// FuzzKeySet: of any published set, only valid keys of the known algorithms are used.
func FuzzKeySet(f *testing.F) {
	for _, text := range []string{
		`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}]}`,
		`{"keys":[{"kty":"EC","crv":"P-256","use":"sig","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}`,
		`{"keys":[{"kty":"RSA","alg":"RS256","key_ops":["verify"],"n":"AQAB","e":"AQAB"}]}`,
		`{"keys":[{"kty":"oct","k":"AAAA"},{"kty":"RSA","n":"","e":"","x5u":"https://a.example","x5c":["AA"]}]}`,
		`{"keys":[]}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		set, err := parseSet(text)
		if (err == nil) != (set != nil) {
			t.Fatalf("%v, %v", set, err)
		}
		if err != nil {
			return
		}
		for _, key := range set.keys {
			if method, err := methodOf(key.key); err != nil || method != key.method {
				t.Fatalf("%+v: %v", key, err)
			}
			key.method.Verify("x", make([]byte, 64), key.key) //nolint:errcheck // it must not panic
		}
	})
}
