package auth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// An issuer answers for the one that publishes keys; nothing goes over a wire.
type issuer struct {
	mu      sync.Mutex
	body    string
	status  int
	err     error
	hangs   bool
	asked   int
	answers func(*http.Request) (*http.Response, error) // instead, if set
}

func (i *issuer) RoundTrip(r *http.Request) (*http.Response, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.asked++
	switch {
	case i.hangs:
		<-r.Context().Done()
		return nil, r.Context().Err()
	case i.answers != nil:
		return i.answers(r)
	case i.err != nil:
		return nil, i.err
	}
	return &http.Response{StatusCode: i.status, Body: io.NopCloser(strings.NewReader(i.body)), Header: http.Header{}, Request: r}, nil
}

func (i *issuer) publishes(keys ...m) {
	i.mu.Lock()
	defer i.mu.Unlock()
	text, err := json.Marshal(m{"keys": append([]m{}, keys...)})
	if err != nil {
		panic(err)
	}
	i.body, i.status, i.err, i.hangs, i.answers = string(text), 200, nil, false, nil
}

// requests returns how often the issuer was asked.
func (i *issuer) requests() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.asked
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// jwk is a public key as an issuer publishes it.
func jwk(key crypto.PublicKey, changes m) m {
	var k m
	switch key := key.(type) {
	case *rsa.PublicKey:
		k = m{"kty": "RSA", "n": b64(key.N.Bytes()), "e": b64(big.NewInt(int64(key.E)).Bytes())}
	case *ecdsa.PublicKey:
		point, err := key.Bytes() // 4, x, y
		if err != nil {
			panic(err)
		}
		half := len(point) / 2
		k = m{"kty": "EC", "crv": key.Curve.Params().Name, "x": b64(point[1 : 1+half]), "y": b64(point[1+half:])}
	case ed25519.PublicKey:
		k = m{"kty": "OKP", "crv": "Ed25519", "x": b64(key)}
	}
	for name, value := range changes {
		k[name] = value
	}
	return k
}

// fromIssuer returns a checker whose only keys are the issuer's, in a bubble.
func fromIssuer(t *testing.T, i *issuer) (tokens *Tokens, faults func() []string) {
	var mu sync.Mutex
	var reported []string
	faults = func() []string {
		mu.Lock()
		defer mu.Unlock()
		return reported
	}
	set := newKeySet("https://issuer.example/jwks.json", Notices{Changed: func() {}, Failed: func(err error) {
		mu.Lock()
		defer mu.Unlock()
		reported = append(reported, err.Error())
	}}, i)
	set.Start()
	t.Cleanup(set.Close)
	return newTokens(t, func(o *TokenOptions) { o.Secret, o.PublicKeys, o.KeySet = nil, nil, set }), faults
}

// The keys of a set that are used, and for which tokens.
func TestKeySet(t *testing.T) {
	t.Parallel()
	s := signers()
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	wide, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		var i issuer
		i.publishes(
			jwk(&s.rsa.PublicKey, m{"kid": "rsa", "alg": "RS256", "use": "sig"}),
			jwk(&s.ecdsa.PublicKey, m{"kid": "ec", "key_ops": []string{"verify"}}),
			jwk(s.ed.Public(), m{"kid": "ed"}),
			jwk(&s.ecdsa.PublicKey, m{"kid": "twice"}), jwk(&other.PublicKey, m{"kid": "twice"}),
			jwk(&s.weak.PublicKey, m{"kid": "weak"}),
			jwk(&other.PublicKey, m{"kid": "enc", "use": "enc"}),
			jwk(&other.PublicKey, m{"kid": "ops", "key_ops": []string{"sign"}}),
			jwk(&other.PublicKey, m{"kid": "alg", "alg": "ES384"}),
			jwk(&s.rsa.PublicKey, m{"kid": "ps", "alg": "PS256"}),
			jwk(&wide.PublicKey, m{"kid": "wide"}),
			jwk(&other.PublicKey, m{"kid": "private", "d": b64(make([]byte, 32))}),
			jwk(&other.PublicKey, m{"kid": "off", "x": b64(make([]byte, 32))}),
			jwk(&other.PublicKey, m{"kid": "x5u", "x5u": "http://127.0.0.1:1/"}),
			m{"kid": "oct", "kty": "oct", "k": b64(s.secret), "alg": "HS256"},
			m{"kid": "new", "kty": "AKP", "alg": "ML-DSA-44"},
			m{"kty": 1},
		)
		tokens, faults := fromIssuer(t, &i)
		es := func(key *ecdsa.PrivateKey, header m) string {
			return sign(t, jwt.SigningMethodES256, key, header, good(nil))
		}
		for name, test := range map[string]struct{ text, reason string }{
			"RS256":                {sign(t, jwt.SigningMethodRS256, s.rsa, m{"kid": "rsa"}, good(nil)), ""},
			"ES256":                {es(s.ecdsa, m{"kid": "ec"}), ""},
			"EdDSA":                {sign(t, jwt.SigningMethodEdDSA, s.ed, m{"kid": "ed"}, good(nil)), ""},
			"no kid":               {es(s.ecdsa, nil), ""},
			"kid empty":            {es(s.ecdsa, m{"kid": ""}), ""},
			"a name of two, first": {es(s.ecdsa, m{"kid": "twice"}), ""},
			"a name of two, other": {es(other, m{"kid": "twice"}), ""},
			"by another key":       {es(other, m{"kid": "ec"}), "signature: "},
			"no kid, another key":  {sign(t, jwt.SigningMethodRS256, s.weak, nil, good(nil)), "signature: "},
			"kid of another kind":  {es(other, m{"kid": "rsa"}), `key: kid "rsa"; want one of the issuer's 6 keys that is for ES256`},
			"too weak":             {sign(t, jwt.SigningMethodRS256, s.weak, m{"kid": "weak"}, good(nil)), `key: kid "weak"; the issuer's key of that name is not used: an RSA key of 1024 bits`},
			"for encryption":       {es(other, m{"kid": "enc"}), `key: kid "enc"; the issuer's key of that name is not used: its use is "enc"`},
			"for signing only":     {es(other, m{"kid": "ops"}), `key: kid "ops"; the issuer's key of that name is not used: its key_ops`},
			"for another alg":      {es(other, m{"kid": "alg"}), `key: kid "alg"; the issuer's key of that name is not used: its alg is "ES384"`},
			"for PS256":            {sign(t, jwt.SigningMethodRS256, s.rsa, m{"kid": "ps"}, good(nil)), `key: kid "ps"; `},
			"P-384":                {es(other, m{"kid": "wide"}), `key: kid "wide"; `},
			"published privately":  {es(other, m{"kid": "private"}), `key: kid "private"; the issuer's key of that name is not used: its private part`},
			"not on the curve":     {es(other, m{"kid": "off"}), `key: kid "off"; `},
			"a certificate's URL":  {es(other, m{"kid": "x5u"}), ""}, // it is not looked at
			"a secret, as HS256":   {sign(t, jwt.SigningMethodHS256, s.secret, m{"kid": "oct"}, good(nil)), `alg: "HS256"; want an algorithm with a key: ES256, EdDSA, RS256`},
			"a secret, as ES256":   {es(other, m{"kid": "oct"}), `key: kid "oct"; the issuer's key of that name is not used: it is a secret`},
			"HS256 with the key":   {sign(t, jwt.SigningMethodHS256, publicPEM(t, &s.rsa.PublicKey), m{"kid": "rsa"}, good(nil)), `alg: "HS256"`},
			"kid unknown":          {es(s.ecdsa, m{"kid": "nobody"}), `key: kid "nobody"; want one of the issuer's 6 keys`},
			"kid in another case":  {es(s.ecdsa, m{"kid": "EC"}), `key: kid "EC"; `},
			"kid a path":           {es(s.ecdsa, m{"kid": "../../ec"}), `key: kid "../../ec"; `},
			"kid a query":          {es(s.ecdsa, m{"kid": "ec' OR '1'='1"}), `key: kid "ec' OR '1'='1"; `},
			"kid a URL":            {es(s.ecdsa, m{"kid": "https://evil.example/key"}), `key: kid "https://evil.example/key"; `},
			"kid with a NUL":       {es(s.ecdsa, m{"kid": "ec\x00"}), `key: kid "ec\x00"; `},
			"kid long":             {es(s.ecdsa, m{"kid": strings.Repeat("k", 4000)}), `key: kid "kkk`},
			"kid a number":         {es(s.ecdsa, m{"kid": 1}), "key: kid: 1; want a string"},
			"keys of its own":      {es(other, m{"kid": "own", "jku": "https://evil.example/", "x5u": "https://evil.example/", "jwk": jwk(&other.PublicKey, nil)}), `key: kid "own"; `},
		} {
			_, err := tokens.check(test.text, now)
			denial := new(Denial)
			if errors.As(err, &denial); (err == nil) != (test.reason == "") || !strings.HasPrefix(denial.Reason, test.reason) || len(denial.Reason) > 400 {
				t.Errorf("%s: %v, want %s", name, err, test.reason)
			}
		}
		if n := i.requests(); n != 1 || len(faults()) > 0 {
			t.Errorf("the issuer was asked %d times in an instant; %q", n, faults())
		}
	})
}

// When the issuer is asked: at once, every hour, and for an unknown key, but not for each
// token that names one.
func TestKeySetIsRefreshed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := signers()
		var i issuer
		i.publishes(jwk(&s.rsa.PublicKey, m{"kid": "old"}))
		tokens, faults := fromIssuer(t, &i)
		by := func(kid string) string {
			return sign(t, jwt.SigningMethodRS256, s.rsa, m{"kid": kid}, good(nil))
		}
		check := func(kid string, accepted bool, requests int) {
			t.Helper()
			if _, err := tokens.check(by(kid), now); (err == nil) != accepted || i.requests() != requests {
				t.Errorf("%s: %v, after %d requests, want %t and %d", kid, err, i.requests(), accepted, requests)
			}
		}
		check("old", true, 1)
		i.publishes(jwk(&s.rsa.PublicKey, m{"kid": "new"}))
		for range 100 {
			check("new", false, 1)
		}
		time.Sleep(refreshPause)
		check("old", true, 1)
		check("new", true, 2)
		check("old", false, 2) // taken back
		time.Sleep(refreshEvery)
		synctest.Wait()
		check("new", true, 3)

		t.Log("a fetch that fails changes nothing, and is tried again")
		i.mu.Lock()
		i.status = 503
		i.mu.Unlock()
		time.Sleep(refreshEvery + 35*time.Second)
		check("new", true, 6) // after an hour, and 10 and 20 seconds later
		if len(faults()) != 3 || faults()[0] != "the issuer answers with status 503" {
			t.Errorf("%q", faults())
		}

		t.Log("an issuer that publishes none has taken back all")
		i.publishes()
		time.Sleep(time.Minute)
		check("new", false, 8) // the seventh 40 seconds after the last, the eighth for this token
	})
}

// A broker starts without its issuer, and says why it accepts no tokens.
func TestIssuerIsDown(t *testing.T) {
	t.Parallel()
	s := signers()
	for name, test := range map[string]struct {
		issuer *issuer
		reason string
	}{
		"refused":    {&issuer{err: errors.New("connection refused")}, "connection refused"},
		"status":     {&issuer{status: 404}, "status 404"},
		"hangs":      {&issuer{hangs: true}, "deadline exceeded"},
		"no JSON":    {&issuer{status: 200, body: "<html>"}, "not a JWK set"},
		"no set":     {&issuer{status: 200, body: `{"kty":"RSA"}`}, "not a JWK set"},
		"a list":     {&issuer{status: 200, body: `[]`}, "not a JWK set"},
		"cut":        {&issuer{status: 200, body: `{"keys":[`}, "not a JWK set"},
		"keys twice": {&issuer{status: 200, body: `{"keys":[],"keys":[]}`}, "not a JWK set"},
		"large":      {&issuer{status: 200, body: `{"keys":[],"x":"` + strings.Repeat("x", maxSetBytes) + `"}`}, "more than 262144 bytes"},
		"without end": {&issuer{answers: func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Body: io.NopCloser(endless{}), Request: r}, nil
		}}, "more than 262144 bytes"},
		"many keys":     {&issuer{status: 200, body: `{"keys":[` + strings.Repeat("{},", maxSetKeys) + `{}]}`}, "65 keys"},
		"leads to http": {&issuer{answers: leadTo("http://127.0.0.1/jwks.json")}, `redirects to "http"`},
		"leads to file": {&issuer{answers: leadTo("file:///etc/passwd")}, `redirects to "file"`},
		"in circles":    {&issuer{answers: leadTo("https://issuer.example/jwks.json")}, "more than 3 times"},
	} {
		synctest.Test(t, func(t *testing.T) {
			tokens, faults := fromIssuer(t, test.issuer)
			_, err := tokens.check(sign(t, jwt.SigningMethodRS256, s.rsa, m{"kid": "a"}, good(nil)), now)
			denial := new(Denial)
			if !errors.As(err, &denial) || denial.Code != no || !strings.HasPrefix(denial.Reason, `key: kid "a"; the issuer's keys are not known: `) || !strings.Contains(denial.Reason, test.reason) {
				t.Errorf("%s: %v", name, err)
			}
			if len(faults()) != 1 || !strings.Contains(faults()[0], test.reason) || strings.Contains(faults()[0], "issuer.example") {
				t.Errorf("%s: reported %q", name, faults())
			}
			test.issuer.publishes(jwk(&s.rsa.PublicKey, m{"kid": "a"}))
			time.Sleep(refreshPause)
			synctest.Wait()
			if _, err := tokens.check(sign(t, jwt.SigningMethodRS256, s.rsa, m{"kid": "a"}, good(nil)), now); err != nil {
				t.Errorf("%s: when it is back: %v", name, err)
			}
		})
	}
}

// endless is a body without end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func leadTo(url string) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 302, Header: http.Header{"Location": {url}}, Body: http.NoBody, Request: r}, nil
	}
}

// Local keys keep working, without waiting, while an issuer hangs.
func TestKeysBesideAnIssuer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := signers()
		set := newKeySet("https://issuer.example", Notices{Failed: func(error) {}}, &issuer{hangs: true})
		set.Start()
		tokens := newTokens(t, func(o *TokenOptions) { o.KeySet = set })
		began := time.Now()
		for _, text := range []string{
			sign(t, jwt.SigningMethodES256, s.ecdsa, m{"kid": "x"}, good(nil)), sign(t, jwt.SigningMethodHS256, s.secret, nil, good(nil)),
		} {
			if _, err := tokens.check(text, now); err != nil {
				t.Error(err)
			}
		}
		set.Close()
		if d := time.Since(began); d > 0 {
			t.Errorf("it has taken %v", d)
		}
		set.Close() // again
		if _, err := set.find("x", jwt.SigningMethodRS256, true); err == nil {
			t.Error("a key of a set that is closed")
		}
	})
}

// Over real sockets: the issuer's certificate counts.
func TestIssuerIsVerified(t *testing.T) {
	t.Parallel()
	s := signers()
	text, err := json.Marshal(m{"keys": []m{jwk(&s.rsa.PublicKey, m{"kid": "a"})}})
	if err != nil {
		t.Fatal(err)
	}
	serve := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(text) })
	secure, plain := httptest.NewUnstartedServer(serve), httptest.NewServer(serve)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // it complains of handshakes that end
	secure.StartTLS()
	defer secure.Close()
	defer plain.Close()
	for url, reason := range map[string]string{plain.URL: "", secure.URL: "certificate"} {
		faults := make(chan error, 1)
		set := NewKeySet(url, Notices{Failed: func(err error) { faults <- err }, Changed: func() {}})
		set.Start()
		keys, err := set.find("a", jwt.SigningMethodRS256, true)
		if (err == nil) != (reason == "") || !strings.Contains(fmt.Sprint(err), reason) && reason != "" || (len(keys) == 1) != (reason == "") {
			t.Errorf("%s: %v, %v", url, keys, err)
		}
		set.Close()
		if len(faults) != min(len(reason), 1) {
			t.Errorf("%s: %d faults", url, len(faults))
		}
	}
	if _, err := (&KeySet{url: "https://\x7f"}).get(context.Background()); err == nil {
		t.Error("a URL that is none")
	}
}

// Nothing that an issuer sends may end the process: a fetch that panics has failed.
func TestAFetchThatPanics(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var failed []error
		panicked := 0
		set := newKeySet("https://issuer.example", Notices{
			Failed: func(err error) { failed = append(failed, err) }, Changed: func() {}, Panicked: func(any) { panicked++ },
		}, roundTripper(func(*http.Request) (*http.Response, error) { panic("of the fetch") }))
		set.Start()
		synctest.Wait()
		time.Sleep(refreshPause)
		synctest.Wait()
		set.Close()
		time.Sleep(fetchTimeout) // until then net/http waits
		if panicked != 2 || len(failed) != 2 || failed[0] != errPanicked {
			t.Errorf("%d panics, and %v", panicked, failed)
		}
		if _, err := set.find("x", jwt.SigningMethodRS256, false); !errors.Is(err, errPanicked) {
			t.Errorf("keys are missing because %v", err)
		}
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
