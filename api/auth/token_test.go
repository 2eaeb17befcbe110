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
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
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
	m.Run()
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
		Audience: "belfry", Issuer: "https://issuer.example", Leeway: 30 * time.Second, MaxTopics: 4,
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
		"HS256":     sign(t, jwt.SigningMethodHS256, s.secret, nil, good(nil)),
		"RS256":     sign(t, jwt.SigningMethodRS256, s.rsa, nil, good(nil)),
		"ES256":     sign(t, jwt.SigningMethodES256, s.ecdsa, nil, good(nil)),
		"EdDSA":     sign(t, jwt.SigningMethodEdDSA, s.ed, nil, good(nil)),
		"more":      sign(t, jwt.SigningMethodHS256, s.secret, m{"kid": "x", "jku": "https://evil.example"}, good(m{"more": 1})),
		"audiences": sign(t, jwt.SigningMethodHS256, s.secret, nil, good(m{"aud": []string{"other", "belfry"}})),
		"within leeway": sign(t, jwt.SigningMethodHS256, s.secret, nil, good(m{
			"exp": now.Add(time.Hour).Unix(), "nbf": now.Add(20 * time.Second).Unix()})),
	} {
		id, err := tokens.check(text, now)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		g := id.Grant()
		if id.User != "7" || id.Name != "token" || !slices.Equal(g.Subscribe, []string{"a.>"}) || !g.Expires.Equal(now.Add(time.Hour+30*time.Second)) {
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

// Tokens that somebody might try to get in with.
func TestHostileTokens(t *testing.T) {
	t.Parallel()
	s := signers()
	hs := func(header, changes m) string {
		return sign(t, jwt.SigningMethodHS256, s.secret, header, good(changes))
	}
	valid := hs(nil, nil)
	head, body, signature := parts(valid)
	rsaPublic := publicPEM(t, &s.rsa.PublicKey)
	otherSecret := []byte("ffffffffffffffffffffffffffffffff")
	none := encode(t, m{"alg": "none"}) + "." + body + "."
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ text, code, reason string }{
		"alg none":                      {none, "credentials_invalid", "none is invalid"},
		"alg None":                      {strings.Replace(none, encode(t, m{"alg": "none"}), encode(t, m{"alg": "None"}), 1), "credentials_invalid", ""},
		"alg none with a signature":     {none + signature, "credentials_invalid", ""},
		"alg empty":                     {encode(t, m{"alg": ""}) + "." + body + "." + signature, "credentials_invalid", ""},
		"alg missing":                   {encode(t, m{"typ": "JWT"}) + "." + body + "." + signature, "credentials_invalid", ""},
		"alg a number":                  {encode(t, m{"alg": 256}) + "." + body + "." + signature, "credentials_invalid", ""},
		"alg HS384":                     {sign(t, jwt.SigningMethodHS384, s.secret, nil, good(nil)), "credentials_invalid", "HS384"},
		"alg HS512":                     {sign(t, jwt.SigningMethodHS512, s.secret, nil, good(nil)), "credentials_invalid", "HS512"},
		"alg PS256":                     {sign(t, jwt.SigningMethodPS256, s.rsa, nil, good(nil)), "credentials_invalid", "PS256"},
		"a public key as the secret":    {sign(t, jwt.SigningMethodHS256, rsaPublic, nil, good(nil)), "credentials_invalid", "signature"},
		"a DER key as the secret":       {sign(t, jwt.SigningMethodHS256, publicDER(t, &s.rsa.PublicKey), nil, good(nil)), "credentials_invalid", "signature"},
		"another secret":                {sign(t, jwt.SigningMethodHS256, otherSecret, nil, good(nil)), "credentials_invalid", "signature"},
		"an empty secret":               {sign(t, jwt.SigningMethodHS256, []byte{}, nil, good(nil)), "credentials_invalid", "signature"},
		"another RSA key":               {sign(t, jwt.SigningMethodRS256, s.weak, nil, good(nil)), "credentials_invalid", ""},
		"another P-256 key":             {sign(t, jwt.SigningMethodES256, other, nil, good(nil)), "credentials_invalid", "signature"},
		"RS256 said, HS256 signed":      {encode(t, m{"alg": "RS256"}) + "." + body + "." + signature, "credentials_invalid", ""},
		"the signature cut":             {head + "." + body + "." + signature[:len(signature)-4], "credentials_invalid", "signature"},
		"no signature":                  {head + "." + body + ".", "credentials_invalid", "signature"},
		"the signature of another body": {head + "." + encode(t, good(m{"sub": "8"})) + "." + signature, "credentials_invalid", "signature"},
		"a signature with padding":      {valid + "=", "credentials_invalid", ""},
		"a signature with other bits":   {valid[:len(valid)-1] + flip(valid[len(valid)-1]), "credentials_invalid", ""},
		"a body that is no JSON":        {head + "." + base64.RawURLEncoding.EncodeToString([]byte("{")) + "." + signature, "credentials_invalid", ""},
		"a body that is no base64":      {head + ".%%%." + signature, "credentials_invalid", ""},
		"empty parts":                   {"..", "credentials_invalid", ""},
		"expired":                       {hs(nil, m{"exp": now.Add(-time.Minute).Unix()}), "token_expired", "expired"},
		"expired, another secret":       {sign(t, jwt.SigningMethodHS256, otherSecret, nil, good(m{"exp": 1})), "credentials_invalid", "signature"},
		"no exp":                        {hs(nil, m{"exp": nil}), "credentials_invalid", "exp"},
		"exp a string":                  {hs(nil, m{"exp": "tomorrow"}), "credentials_invalid", ""},
		"exp null":                      {sign(t, jwt.SigningMethodHS256, s.secret, nil, withNull(good(nil), "exp")), "credentials_invalid", "exp"},
		"exp far beyond":                {hs(nil, m{"exp": 1e300}), "token_expired", ""},
		"nbf in the future":             {hs(nil, m{"nbf": now.Add(time.Minute).Unix()}), "credentials_invalid", "not valid yet"},
		"another aud":                   {hs(nil, m{"aud": "other"}), "credentials_invalid", "aud"},
		"no aud":                        {hs(nil, m{"aud": nil}), "credentials_invalid", "aud"},
		"another iss":                   {hs(nil, m{"iss": "https://issuer.example.evil"}), "credentials_invalid", "iss"},
		"no iss":                        {hs(nil, m{"iss": nil}), "credentials_invalid", "iss"},
		"no belfry":                     {hs(nil, m{"belfry": nil}), "credentials_invalid", "belfry"},
		"belfry a list":                 {hs(nil, m{"belfry": []string{">"}}), "credentials_invalid", ""},
		"a pattern malformed":           {hs(nil, m{"belfry": m{"subscribe": []string{"a..b"}}}), "credentials_invalid", "belfry.subscribe"},
		"a pattern of the broker":       {hs(nil, m{"belfry": m{"publish": []string{"$sys.>"}}}), "credentials_invalid", "belfry.publish"},
		"too many patterns":             {hs(nil, m{"belfry": m{"subscribe": strings.Split("a,b,c,d,e", ",")}}), "credentials_invalid", "more than 4"},
		"a long sub":                    {hs(nil, m{"sub": strings.Repeat("é", 128)}), "credentials_invalid", "sub"},
		"a sub that is a number":        {hs(nil, m{"sub": 7}), "credentials_invalid", ""},
		"crit":                          {sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, m{"crit": []string{"exp"}}, good(nil)), "credentials_invalid", ""},
		"a key in its header":           {sign(t, jwt.SigningMethodHS256, otherSecret, m{"jwk": m{"kty": "oct", "k": "ZmZm"}}, good(nil)), "credentials_invalid", "signature"},
		"a kid that is a path":          {sign(t, jwt.SigningMethodHS256, []byte{}, m{"kid": "/dev/null"}, good(nil)), "credentials_invalid", "signature"},
		"a kid that is a query":         {sign(t, jwt.SigningMethodHS256, otherSecret, m{"kid": "x' UNION SELECT 'ff"}, good(nil)), "credentials_invalid", "signature"},
		"letters that look alike":       {strings.Replace(valid, "e", "е", 1), "credentials_invalid", ""},
		"four parts":                    {valid + "." + signature, "credentials_invalid", "no such key"},
		"two parts":                     {head + "." + body, "credentials_invalid", "no such key"},
		"white space":                   {head + " ." + body + "." + signature, "credentials_invalid", ""},
		"a NUL":                         {valid + "\x00", "credentials_invalid", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			guard, err := New(Options{Tokens: newTokens(t, nil), Clock: func() time.Time { return now }})
			if err != nil {
				t.Fatal(err)
			}
			id, err := guard.Check(test.text)
			denial := new(Denial)
			if !errors.As(err, &denial) || denial.Status != 401 || denial.Code != test.code || !strings.Contains(denial.Reason, test.reason) {
				t.Errorf("%+v, %v; want %s: ...%s...", id, err, test.code, test.reason)
			}
			if denial != nil && len(test.text) > 10 && strings.Contains(denial.Error()+denial.Detail, test.text) {
				t.Errorf("the reason holds the token: %v", err)
			}
		})
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

func withNull(claims m, name string) m {
	claims[name] = json.RawMessage("null")
	return claims
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
	for name, test := range map[string]struct {
		key crypto.PublicKey
		ok  bool
	}{
		"RSA": {&s.rsa.PublicKey, true}, "P-256": {&s.ecdsa.PublicKey, true}, "Ed25519": {s.ed.Public(), true},
		"RSA of 1024 bits": {&s.weak.PublicKey, false}, "P-384": {&wide.PublicKey, false},
	} {
		key, err := ParsePublicKey(publicPEM(t, test.key))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, err := NewTokens(TokenOptions{PublicKeys: []crypto.PublicKey{key}}); (err == nil) != test.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	private, err := x509.MarshalPKCS8PrivateKey(s.ed)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"nothing": "", "no PEM": "x", "no key": string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")})),
		"a private key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})),
	} {
		if _, err := ParsePublicKey([]byte(text)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for name, opts := range map[string]TokenOptions{
		"no keys": {}, "a short secret": {Secret: make([]byte, 31)}, "a kind that is unknown": {PublicKeys: []crypto.PublicKey{"x"}},
	} {
		if _, err := NewTokens(opts); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// Keys that are looked up are held to the same rules as those at hand.
func TestLookup(t *testing.T) {
	t.Parallel()
	s := signers()
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tokens := newTokens(t, func(o *TokenOptions) {
		o.Secret, o.PublicKeys = nil, []crypto.PublicKey{&s.ecdsa.PublicKey}
		o.Lookup = func(token *jwt.Token) (any, error) {
			switch token.Header["kid"] {
			case "other":
				return &other.PublicKey, nil
			case "weak":
				return &s.weak.PublicKey, nil
			case "secret":
				return s.secret, nil
			}
			return nil, fmt.Errorf("no key of that name")
		}
	})
	for name, test := range map[string]struct {
		text string
		ok   bool
	}{
		"at hand":         {sign(t, jwt.SigningMethodES256, s.ecdsa, nil, good(nil)), true},
		"looked up":       {sign(t, jwt.SigningMethodES256, other, m{"kid": "other"}, good(nil)), true},
		"not found":       {sign(t, jwt.SigningMethodES256, other, m{"kid": "x"}, good(nil)), false},
		"too weak":        {sign(t, jwt.SigningMethodRS256, s.weak, m{"kid": "weak"}, good(nil)), false},
		"a secret":        {sign(t, jwt.SigningMethodHS256, s.secret, m{"kid": "secret"}, good(nil)), false},
		"of another kind": {sign(t, jwt.SigningMethodRS256, s.rsa, m{"kid": "other"}, good(nil)), false},
	} {
		if _, err := tokens.check(test.text, now); (err == nil) != test.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
