package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// A hostile token is one that somebody might try to get in with. Its reason is
// how the denial's begins, as far as that is the same each time.
type hostile struct{ name, text, code, reason string }

const (
	no   = "credentials_invalid"
	late = "token_expired"
)

// raw signs a header and claims with the right secret as they stand.
func raw(head, body string) string {
	text := base64.RawURLEncoding.EncodeToString([]byte(head)) + "." + base64.RawURLEncoding.EncodeToString([]byte(body))
	mac := hmac.New(sha256.New, signers().secret)
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// claiming signs claims that are good but for one, which stands as it is given.
func claiming(name, value string) string {
	all := map[string]string{
		"aud": `"belfry"`, "iss": `"https://issuer.example"`, "sub": `"7"`, "exp": fmt.Sprint(now.Add(time.Hour).Unix()),
		"belfry": `{"subscribe":["a.>"],"publish":["b"]}`,
	}
	all[name] = value
	var members []string
	for name, value := range all {
		members = append(members, fmt.Sprintf("%q:%s", name, value))
	}
	return raw(`{"alg":"HS256","typ":"JWT"}`, "{"+strings.Join(members, ",")+"}")
}

// heading signs good claims under a header.
func heading(head string) string {
	_, body, _ := parts(claiming("sub", `"7"`))
	claims, _ := base64.RawURLEncoding.DecodeString(body)
	return raw(head, string(claims))
}

func hostileTokens(t *testing.T) (all []hostile) {
	all = append(all, hostileForms(t)...)
	all = append(all, hostileHeaders(t)...)
	all = append(all, hostileSignatures(t)...)
	return append(all, hostileClaims()...)
}

func hostileForms(t *testing.T) []hostile {
	valid := claiming("sub", `"7"`)
	head, body, signature := parts(valid)
	text := base64.RawURLEncoding.EncodeToString
	return []hostile{
		{"empty parts", "..", no, "form: the header is not one JSON object"},
		{"two parts", head + "." + body, no, ""},
		{"four parts", valid + "." + signature, no, ""},
		{"five parts, as of an encrypted token", valid + "." + signature + "." + signature, no, ""},
		{"too long", claiming("more", `"`+strings.Repeat("x", maxCredentials)+`"`), no, ""},
		{"padding", valid + "=", no, "form: signature: not base64url"},
		{"padding in the header", head + "=." + body + "." + signature, no, "form: header: not base64url"},
		{"a signature with other bits", valid[:len(valid)-1] + flip(valid[len(valid)-1]), no, "form: signature: not base64url"},
		{"base64 that is not base64url", head + "." + body + "." + strings.Repeat("+/", 21) + "A", no, "form: signature: not base64url"},
		{"a body that is no base64", head + ".%%%." + signature, no, "form: claims: not base64url"},
		{"letters that look alike", strings.Replace(valid, "e", "е", 1), no, "form: header: not base64url"},
		{"white space", head + " ." + body + "." + signature, no, "form: header: not base64url"},
		{"a NUL", valid + "\x00", no, "form: signature: not base64url"},
		{"a line break at its end", valid + "\n", no, "form: signature: not base64url"},
		{"a line break in it", head + "." + body[:4] + "\r\n" + body[4:] + "." + signature, no, "form: claims: not base64url"},
		{"a byte order mark", "\ufeff" + valid, no, "form: header: not base64url"},
		{"claims that are cut", raw(`{"alg":"HS256"}`, `{`), no, "form: the claims are not one JSON object"},
		{"claims that are a list", raw(`{"alg":"HS256"}`, `[]`), no, "form: the claims are not one JSON object"},
		{"claims that are null", raw(`{"alg":"HS256"}`, `null`), no, "exp: missing"},
		{"claims with something after them", raw(`{"alg":"HS256"}`, `{} {}`), no, "form: the claims are not one JSON object"},
		{"claims that are no UTF-8", claiming("sub", "\"\xff\""), no, "form: the claims are not one JSON object"},
		{"half of a surrogate pair", claiming("sub", `"\ud800"`), no, "form: the claims are not one JSON object"},
		{"a nested token", raw(`{"alg":"HS256","cty":"JWT"}`, valid), no, "form: the claims are not one JSON object"},
		{"claims that are compressed", raw(`{"alg":"HS256","zip":"DEF"}`, "\x4b\x04\x00"), no, "form: "},
		{"a claim given twice", raw(`{"alg":"HS256"}`, `{"exp":1,"sub":"7","exp":4102444800,"belfry":{}}`), no, "form: the claims are not one JSON object"},
		{"a claim of ours given twice", claiming("belfry", `{"publish":[],"publish":[">"]}`), no, "form: the claims are not one JSON object"},
		{"a header that is no JSON", text([]byte("HS256")) + "." + body + "." + signature, no, "form: the header is not one JSON object"},
		{"a deep header", heading(`{"alg":"HS256","x":` + strings.Repeat("[", 2000) + strings.Repeat("]", 2000) + `}`), "", ""},
	}
}

func hostileHeaders(t *testing.T) []hostile {
	s := signers()
	_, body, signature := parts(claiming("sub", `"7"`))
	none := encode(t, m{"alg": "none"}) + "." + body + "."
	return []hostile{
		{"alg none", none, no, `alg: "none"; want an algorithm with a key: ES256, EdDSA, HS256, RS256`},
		{"alg None", encode(t, m{"alg": "None"}) + "." + body + ".", no, `alg: "None"`},
		{"alg NONE with a signature", encode(t, m{"alg": "NONE"}) + "." + body + "." + signature, no, `alg: "NONE"`},
		{"alg none with a signature", none + signature, no, `alg: "none"`},
		{"alg empty", heading(`{"alg":""}`), no, `alg: ""`},
		{"alg missing", heading(`{"typ":"JWT"}`), no, `alg: ""`},
		{"alg null", heading(`{"alg":null}`), no, `alg: ""`},
		{"alg a number", heading(`{"alg":256}`), no, "alg: 256; want a string"},
		{"alg a list", heading(`{"alg":["HS256"]}`), no, `alg: ["HS256"]; want a string`},
		{"alg in another case", heading(`{"alg":"hs256"}`), no, `alg: "hs256"`},
		{"Alg", heading(`{"Alg":"HS256"}`), no, `alg: ""`},
		{"alg twice", heading(`{"alg":"none","alg":"HS256"}`), no, "form: the header is not one JSON object"},
		{"alg HS384", sign(t, jwt.SigningMethodHS384, s.secret, nil, good(nil)), no, `alg: "HS384"`},
		{"alg HS512", sign(t, jwt.SigningMethodHS512, s.secret, nil, good(nil)), no, `alg: "HS512"`},
		{"alg PS256", sign(t, jwt.SigningMethodPS256, s.rsa, nil, good(nil)), no, `alg: "PS256"`},
		{"alg RS384", sign(t, jwt.SigningMethodRS384, s.rsa, nil, good(nil)), no, `alg: "RS384"`},
		{"crit", heading(`{"alg":"HS256","crit":["exp"]}`), no, "form: the header has crit"},
		{"crit null", heading(`{"alg":"HS256","crit":null}`), no, "form: the header has crit"},
		{"b64 false", heading(`{"alg":"HS256","b64":false,"crit":["b64"]}`), no, "form: the header has crit"},
		{"b64 false, not critical", heading(`{"alg":"HS256","b64":false}`), no, "form: the header has crit"},
		{"zip", heading(`{"alg":"HS256","zip":"DEF"}`), no, "form: the header has crit"},
		{"kid a number", heading(`{"alg":"HS256","kid":1}`), no, "key: kid: 1; want a string"},
		{"kid an object", heading(`{"alg":"HS256","kid":{"$ne":""}}`), no, "key: kid: "},
		{"a kid that is a path", sign(t, jwt.SigningMethodHS256, []byte{}, m{"kid": "/dev/null"}, good(nil)), no, "signature: "},
		{"a kid that is a path up", sign(t, jwt.SigningMethodHS256, []byte{}, m{"kid": "../../../../dev/null"}, good(nil)), no, "signature: "},
		{"a kid that is a query", sign(t, jwt.SigningMethodHS256, otherSecret, m{"kid": "x' UNION SELECT 'ff"}, good(nil)), no, "signature: "},
		{"a kid that is a command", sign(t, jwt.SigningMethodHS256, otherSecret, m{"kid": "key|sleep 9"}, good(nil)), no, "signature: "},
		{"a key in its header", sign(t, jwt.SigningMethodHS256, otherSecret, m{"jwk": m{"kty": "oct", "k": base64.RawURLEncoding.EncodeToString(otherSecret)}}, good(nil)), no, "signature: "},
		{"a URL of keys in its header", sign(t, jwt.SigningMethodHS256, otherSecret, m{"jku": "http://127.0.0.1:1/", "x5u": "http://127.0.0.1:1/"}, good(nil)), no, "signature: "},
		{"a certificate in its header", sign(t, jwt.SigningMethodHS256, otherSecret, m{"x5c": []string{"AAAA"}}, good(nil)), no, "signature: "},
	}
}

var otherSecret = []byte("ffffffffffffffffffffffffffffffff")

func hostileSignatures(t *testing.T) []hostile {
	s := signers()
	head, body, signature := parts(claiming("sub", `"7"`))
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	es := encode(t, m{"alg": "ES256"}) + "." + body
	sum := sha256.Sum256([]byte(es))
	der, err := ecdsa.SignASN1(rand.Reader, s.ecdsa, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	signed := func(text string, signature []byte) string {
		return text + "." + base64.RawURLEncoding.EncodeToString(signature)
	}
	order := elliptic.P256().Params().N.FillBytes(make([]byte, 32))
	_, _, ed := parts(sign(t, jwt.SigningMethodEdDSA, s.ed, nil, good(nil)))
	return []hostile{
		{"a public key as the secret", sign(t, jwt.SigningMethodHS256, publicPEM(t, &s.rsa.PublicKey), nil, good(nil)), no, "signature: "},
		{"a DER key as the secret", sign(t, jwt.SigningMethodHS256, publicDER(t, &s.rsa.PublicKey), nil, good(nil)), no, "signature: "},
		{"another secret", sign(t, jwt.SigningMethodHS256, otherSecret, nil, good(nil)), no, "signature: 32 bytes; none of the 1 keys has made this signature"},
		{"an empty secret", sign(t, jwt.SigningMethodHS256, []byte{}, nil, good(nil)), no, "signature: "},
		{"another RSA key", sign(t, jwt.SigningMethodRS256, s.weak, nil, good(nil)), no, "signature: "},
		{"another P-256 key", sign(t, jwt.SigningMethodES256, other, nil, good(nil)), no, "signature: "},
		{"RS256 said, HS256 signed", encode(t, m{"alg": "RS256"}) + "." + body + "." + signature, no, "signature: "},
		{"EdDSA said, ES256 signed", encode(t, m{"alg": "EdDSA"}) + "." + body + "." + signature, no, "signature: "},
		{"the signature cut", head + "." + body + "." + signature[:len(signature)-3], no, "signature: "},
		{"no signature", head + "." + body + ".", no, "signature: 0 bytes"},
		{"the signature of another body", head + "." + encode(t, good(m{"sub": "8"})) + "." + signature, no, "signature: "},
		{"a header changed after signing", encode(t, m{"alg": "HS256", "kid": "x"}) + "." + body + "." + signature, no, "signature: "},
		{"ES256 as DER", signed(es, der), no, "signature: "},
		{"ES256 of zeros", signed(es, make([]byte, 64)), no, "signature: "},
		{"ES256 of nothing", es + ".", no, "signature: "},
		{"ES256 of the curve's order", signed(es, append(order[:32:32], order...)), no, "signature: "},
		{"ES256 of 65 bytes", signed(es, make([]byte, 65)), no, "signature: "},
		{"ES256 of 63 bytes", signed(es, make([]byte, 63)), no, "signature: "},
		{"EdDSA of another body", encode(t, m{"alg": "EdDSA", "typ": "JWT"}) + "." + encode(t, good(m{"sub": "8"})) + "." + ed, no, "signature: "},
		{"EdDSA of zeros", signed(encode(t, m{"alg": "EdDSA"})+"."+body, make([]byte, 64)), no, "signature: "},
		{"RS256 of zeros", signed(encode(t, m{"alg": "RS256"})+"."+body, make([]byte, 256)), no, "signature: "},
		{"RS256 of ones", signed(encode(t, m{"alg": "RS256"})+"."+body, append(make([]byte, 255), 1)), no, "signature: "},
		{"expired, another secret", sign(t, jwt.SigningMethodHS256, otherSecret, nil, good(m{"exp": 1})), no, "signature: "},
	}
}

func hostileClaims() []hostile {
	at := func(d time.Duration) string { return fmt.Sprint(now.Add(d).Unix()) }
	return []hostile{
		{"expired", claiming("exp", at(-time.Minute)), late, "exp: 2026-01-02T03:03:05Z, 1m0s ago; want a time in the future"},
		{"expired at the end of the leeway", claiming("exp", at(-30*time.Second)), late, "exp: "},
		{"expired since 1970", claiming("exp", "0"), late, "exp: 1970"},
		{"no exp", claiming("exp", "null"), no, "exp: missing"},
		{"exp in words", claiming("exp", `"tomorrow"`), no, `exp: "tomorrow"; want seconds`},
		{"exp in quotes", claiming("exp", `"4102444800"`), no, `exp: "4102444800"; want seconds`},
		{"exp true", claiming("exp", "true"), no, "exp: true"},
		{"exp a list", claiming("exp", "[4102444800]"), no, "exp: [4102444800]"},
		{"exp negative", claiming("exp", "-1"), no, "exp: -1; want seconds"},
		{"exp far beyond", claiming("exp", "1e300"), no, "exp: 1e300"},
		{"exp beyond all", claiming("exp", "1e999"), no, "exp: 1e999"},
		{"exp in the year 10000", claiming("exp", "253402300800"), no, "exp: 253402300800"},
		{"exp in milliseconds", claiming("exp", at(time.Hour)+"000"), no, "exp: "},
		{"exp of 64 bits", claiming("exp", "9223372036854775807"), no, "exp: "},
		{"exp that overflows into a date", claiming("exp", "18446744073709551616"), no, "exp: "},
		{"EXP", raw(`{"alg":"HS256"}`, `{"EXP":4102444800,"belfry":{}}`), no, "exp: missing"},
		{"nbf in the future", claiming("nbf", at(time.Minute)), no, "nbf: 2026-01-02T03:05:05Z, in 1m0s; want a time in the past"},
		{"nbf in quotes", claiming("nbf", `"0"`), no, `nbf: "0"; want seconds`},
		{"nbf far beyond", claiming("nbf", "1e300"), no, "nbf: 1e300"},
		{"nbf negative", claiming("nbf", "-1e300"), no, "nbf: -1e300"},
		{"iat in the future", claiming("iat", at(time.Minute)), no, "iat: 2026-01-02T03:05:05Z, in 1m0s; want a time in the past"},
		{"iat in quotes", claiming("iat", `"0"`), no, "iat: "},
		{"another aud", claiming("aud", `"other"`), no, `aud: ["other"]; want one of ["belfry" "chat"]`},
		{"aud in another case", claiming("aud", `"Belfry"`), no, "aud: "},
		{"aud that begins the same", claiming("aud", `"belfry.evil.example"`), no, "aud: "},
		{"no aud", claiming("aud", "null"), no, "aud: []; want one of"},
		{"aud empty", claiming("aud", `""`), no, "aud: []"},
		{"aud an empty list", claiming("aud", `[]`), no, "aud: []"},
		{"aud a list of others", claiming("aud", `["a","b"]`), no, `aud: ["a" "b"]`},
		{"aud a list in a list", claiming("aud", `[["belfry"]]`), no, `aud: [["belfry"]]; want a string or a list of strings`},
		{"aud a list with a number", claiming("aud", `["belfry",1]`), no, "aud: "},
		{"aud a list with a null", claiming("aud", `["belfry",null]`), no, `aud: ["belfry",null]; want a string or a list of strings`},
		{"aud a list that begins with a null", claiming("aud", `[null,"belfry"]`), no, "aud: "},
		{"aud a list with a list", claiming("aud", `["belfry",["belfry"]]`), no, "aud: "},
		{"a list of topics with a null", claiming("belfry", `{"subscribe":["a",null]}`), no, "belfry.subscribe: "},
		{"aud an object", claiming("aud", `{"belfry":1}`), no, "aud: "},
		{"aud two names in one", claiming("aud", `"belfry other"`), no, "aud: "},
		{"another iss", claiming("iss", `"https://issuer.example.evil"`), no, `iss: "https://issuer.example.evil"; want "https://issuer.example"`},
		{"iss with a slash more", claiming("iss", `"https://issuer.example/"`), no, "iss: "},
		{"no iss", claiming("iss", "null"), no, "iss: missing"},
		{"iss a list", claiming("iss", `["https://issuer.example"]`), no, "iss: "},
		{"a sub that is a number", claiming("sub", "7"), no, "sub: 7; want a string"},
		{"a sub that is a list", claiming("sub", `["7"]`), no, "sub: "},
		{"a long sub", claiming("sub", `"`+strings.Repeat("é", 128)+`"`), no, "sub: 256 bytes; want at most 255"},
		{"a sub with a NUL", claiming("sub", `"7\u0000"`), no, `sub: "7\x00"; want a user without control characters`},
		{"a sub with a line break", claiming("sub", `"7\n{\"level\":\"info\"}"`), no, "sub: "},
		{"a sub that runs backwards", claiming("sub", `"\u202enimda"`), no, "sub: "},
		{"no belfry", claiming("belfry", "null"), no, "belfry: missing"},
		{"belfry a list", claiming("belfry", `[">"]`), no, "belfry: "},
		{"belfry a text", claiming("belfry", `">"`), no, "belfry: "},
		{"belfry true", claiming("belfry", `true`), no, "belfry: "},
		{"a right that there is not", claiming("belfry", `{"admin":[">"]}`), no, "belfry: "},
		{"rights in another case", claiming("belfry", `{"Publish":[">"]}`), no, "belfry: "},
		{"patterns that are no list", claiming("belfry", `{"publish":">"}`), no, "belfry: "},
		{"patterns that are numbers", claiming("belfry", `{"publish":[1]}`), no, "belfry: "},
		{"a pattern malformed", claiming("belfry", `{"subscribe":["a","a..b"]}`), no, `belfry.subscribe: topic "a..b"`},
		{"a pattern of the broker", claiming("belfry", `{"publish":["$sys.>"]}`), no, `belfry.publish: topic "$sys.>"`},
		{"an empty pattern", claiming("belfry", `{"publish":[""]}`), no, "belfry.publish: "},
		{"too many patterns", claiming("belfry", `{"subscribe":["a","b","c","d","e"]}`), no, "belfry.subscribe: 5 patterns; want at most 4"},
	}
}

// A broker and belfry token check say the same of each of them.
func TestHostileTokens(t *testing.T) {
	t.Parallel()
	tokens := newTokens(t, nil)
	guard := newGuard(t, Options{Tokens: tokens, Clock: func() time.Time { return now }})
	all := hostileTokens(t)
	if len(all) < 120 {
		t.Errorf("%d tokens only", len(all))
	}
	for _, test := range all {
		id, err := guard.Check(test.text)
		if got := code(t, err); got != test.code {
			t.Errorf("%s: %+v, %v; want %s", test.name, id, err, test.code)
			continue
		}
		var first *Denial
		for _, f := range tokens.Explain(test.text, now) {
			if first == nil {
				first = f.Denial
			}
		}
		denial := new(Denial)
		if errors.As(err, &denial); (first != nil) != (err != nil) || first != nil && first.Code != denial.Code {
			t.Errorf("%s: the broker says %v, the check %v", test.name, err, first)
		}
		if denial.Code == "" {
			continue
		}
		if test.reason != "" && (!strings.HasPrefix(denial.Reason, test.reason) || first.Reason != denial.Reason) {
			t.Errorf("%s: the broker says %s, the check %s, want %s...", test.name, denial.Reason, first.Reason, test.reason)
		}
		if denial.Status != 401 || len(test.text) > 10 && strings.Contains(denial.Error()+denial.Detail+first.Reason, test.text) {
			t.Errorf("%s: the reason holds the token: %v", test.name, err)
		}
	}
}

// All that is wrong is told at once, and what can't be known is not.
func TestExplain(t *testing.T) {
	t.Parallel()
	tokens := newTokens(t, func(o *TokenOptions) { o.MaxAge = time.Hour })
	for text, want := range map[string]string{
		claiming("iat", fmt.Sprint(now.Unix())):                                                       "form+ alg+ key+ signature+ exp+ nbf+ iat+ aud+ iss+ sub+ belfry+ belfry.subscribe+ belfry.publish+",
		raw(`{"alg":"HS384"}`, `{"exp":1,"aud":"x","iss":1,"sub":"7","belfry":{"publish":["a..b"]}}`): "form+ alg- key? signature? exp- nbf+ iat- aud- iss- sub+ belfry+ belfry.subscribe+ belfry.publish-",
		"a.b": "form-",
	} {
		var got []string
		for _, f := range tokens.Explain(text, now) {
			switch {
			case f.Passed:
				got = append(got, f.Check+"+")
			case f.Denial != nil:
				got = append(got, f.Check+"-")
			default:
				got = append(got, f.Check+"?")
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// A token ends with the first of its own end and that of its age, and so does what
// it grants.
func TestMaxAge(t *testing.T) {
	t.Parallel()
	tokens := newTokens(t, func(o *TokenOptions) { o.MaxAge = time.Hour })
	issued := func(ago, lasts time.Duration) string {
		return sign(t, jwt.SigningMethodHS256, signers().secret, nil, good(m{"iat": now.Add(-ago).Unix(), "exp": now.Add(lasts).Unix()}))
	}
	const leeway = 30 * time.Second
	for _, test := range []struct {
		ago, lasts, ends time.Duration
		code             string
	}{
		{0, 2 * time.Hour, time.Hour + leeway, ""},
		{50 * time.Minute, 2 * time.Hour, 10*time.Minute + leeway, ""},
		{50 * time.Minute, time.Minute, time.Minute + leeway, ""},
		{time.Hour + leeway, 2 * time.Hour, 0, ""},
		{time.Hour + leeway + time.Second, 2 * time.Hour, 0, late},
		{-leeway, 2 * time.Hour, time.Hour + 2*leeway, ""},
		{-leeway - time.Second, 2 * time.Hour, 0, no},
	} {
		id, err := tokens.check(issued(test.ago, test.lasts), now)
		if got := code(t, err); got != test.code {
			t.Errorf("%v: %v", test, err)
		}
		if err == nil && !id.Grant().Expires.Equal(now.Add(test.ends)) {
			t.Errorf("%v: ends %v", test, id.Grant().Expires)
		}
	}
	if _, err := tokens.check(claiming("sub", `"7"`), now); code(t, err) != no || !strings.Contains(err.Error(), "iat: missing") {
		t.Errorf("without iat: %v", err)
	}
	if id, err := newTokens(t, nil).check(claiming("exp", fmt.Sprint(now.Unix())+".75"), now); err != nil || !id.Grant().Expires.Equal(now.Add(leeway+750*time.Millisecond)) {
		t.Errorf("a fraction of a second: %+v, %v", id, err)
	}
}
