package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"
)

// now is when every test takes place.
var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// signers are what the tests sign with; made once, for RSA takes a while.
var signers = sync.OnceValue(func() (s struct {
	secret []byte
	rsa    *rsa.PrivateKey
	weak   *rsa.PrivateKey
	ecdsa  *ecdsa.PrivateKey
	ed     ed25519.PrivateKey
}) {
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	var err error
	s.secret = []byte("0123456789abcdef0123456789abcdef")
	s.rsa, err = rsa.GenerateKey(rand.Reader, 2048)
	must(err)
	s.weak, err = rsa.GenerateKey(rand.Reader, 1024)
	must(err)
	s.ecdsa, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	_, s.ed, err = ed25519.GenerateKey(rand.Reader)
	must(err)
	return s
})

func TestMain(m *testing.M) {
	_ = signers()
	goleak.VerifyTestMain(m)
}

type m = map[string]any

// good are the claims of a token that is accepted.
func good(changes m) m {
	c := m{
		"aud": "belfry", "iss": "https://issuer.example", "sub": "7", "exp": now.Add(time.Hour).Unix(),
		"belfry": m{"subscribe": []string{"a.>"}, "publish": []string{"b"}},
	}
	for name, value := range changes {
		if c[name] = value; value == nil {
			delete(c, name)
		}
	}
	return c
}

// sign makes a token of any header and claims.
func sign(t *testing.T, method jwt.SigningMethod, key any, header, claims m) string {
	t.Helper()
	head := m{"alg": method.Alg(), "typ": "JWT"}
	for name, value := range header {
		head[name] = value
	}
	text := encode(t, head) + "." + encode(t, claims)
	signature, err := method.Sign(text, key)
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func encode(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

func newTokens(t *testing.T, change func(*TokenOptions)) *Tokens {
	t.Helper()
	s := signers()
	opts := TokenOptions{
		Secret: s.secret, PublicKeys: []crypto.PublicKey{&s.rsa.PublicKey, &s.ecdsa.PublicKey, s.ed.Public()},
		Audience: []string{"belfry", "chat"}, Issuer: "https://issuer.example", Leeway: 30 * time.Second, MaxTopics: 4,
	}
	if change != nil {
		change(&opts)
	}
	tokens, err := NewTokens(opts)
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

func TestTokens(t *testing.T) {
	t.Parallel()
	s := signers()
	tokens := newTokens(t, nil)
	for name, text := range map[string]string{
		"HS256":       sign(t, jwt.SigningMethodHS256, s.secret, nil, good(nil)),
		"RS256":       sign(t, jwt.SigningMethodRS256, s.rsa, nil, good(nil)),
		"ES256":       sign(t, jwt.SigningMethodES256, s.ecdsa, nil, good(nil)),
		"EdDSA":       sign(t, jwt.SigningMethodEdDSA, s.ed, nil, good(nil)),
		"more":        sign(t, jwt.SigningMethodHS256, s.secret, m{"kid": "x", "jku": "https://evil.example"}, good(m{"more": 1})),
		"another aud": sign(t, jwt.SigningMethodHS256, s.secret, nil, good(m{"aud": "chat"})),
		"no user":     sign(t, jwt.SigningMethodHS256, s.secret, nil, good(m{"sub": nil})),
		"audiences":   sign(t, jwt.SigningMethodHS256, s.secret, nil, good(m{"aud": []string{"other", "belfry"}})),
		"within leeway": sign(t, jwt.SigningMethodHS256, s.secret, nil, good(m{
			"exp": now.Add(time.Hour).Unix(), "nbf": now.Add(20 * time.Second).Unix()})),
	} {
		id, err := tokens.check(text, now)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		g := id.Grant()
		if id.User != map[bool]string{true: "", false: "7"}[name == "no user"] || id.Name != "token" || !slices.Equal(g.Subscribe, []string{"a.>"}) || !g.Expires.Equal(now.Add(time.Hour+30*time.Second)) {
			t.Errorf("%s: %+v, %+v", name, id, g)
		}
		for _, err := range []error{id.MayPublish("b"), id.MaySubscribe("a.b", "a.*"), id.Has(Subscribe)} {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, err := range []error{id.MayPublish("a.b"), id.MaySubscribe("a.b", "b"), id.Has(Admin), id.Has(Register)} {
			if denial := new(Denial); !errors.As(err, &denial) || denial.Status != 403 || denial.Code != "forbidden" {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func parts(token string) (head, body, signature string) {
	p := strings.Split(token, ".")
	return p[0], p[1], p[2]
}

// flip returns the character of base64url whose lowest bit differs: it is not
// one of the signature's, and strict decoding minds.
func flip(c byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(alphabet[strings.IndexByte(alphabet, c)^1])
}

func publicDER(t *testing.T, key crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func publicPEM(t *testing.T, key crypto.PublicKey) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: publicDER(t, key)})
}

func TestPublicKeys(t *testing.T) {
	t.Parallel()
	s := signers()
	wide, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	long := &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), maxRSA, 1), E: 65537}
	for name, test := range map[string]struct {
		opts TokenOptions
		ok   bool
	}{
		"RSA":                    {TokenOptions{PublicKeys: []crypto.PublicKey{&s.rsa.PublicKey}}, true},
		"P-256":                  {TokenOptions{PublicKeys: []crypto.PublicKey{&s.ecdsa.PublicKey}}, true},
		"Ed25519":                {TokenOptions{PublicKeys: []crypto.PublicKey{s.ed.Public()}}, true},
		"a secret":               {TokenOptions{Secret: s.secret}, true},
		"RSA of 1024 bits":       {TokenOptions{PublicKeys: []crypto.PublicKey{&s.weak.PublicKey}}, false},
		"RSA of 8193 bits":       {TokenOptions{PublicKeys: []crypto.PublicKey{long}}, false},
		"P-384":                  {TokenOptions{PublicKeys: []crypto.PublicKey{&wide.PublicKey}}, false},
		"a cut Ed25519":          {TokenOptions{PublicKeys: []crypto.PublicKey{s.ed.Public().(ed25519.PublicKey)[:31]}}, false},
		"a private key":          {TokenOptions{PublicKeys: []crypto.PublicKey{s.ed}}, false},
		"a kind that is unknown": {TokenOptions{PublicKeys: []crypto.PublicKey{"x"}}, false},
		"a short secret":         {TokenOptions{Secret: make([]byte, 31)}, false},
		"no keys":                {TokenOptions{}, false},
	} {
		if _, err := NewTokens(test.opts); (err == nil) != test.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
