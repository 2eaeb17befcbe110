package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"belfry/hub"
)

// A caller that was admitted by a token is judged, after any change, like a new request
// with the token.
func TestStillIsCheckedAnew(t *testing.T) {
	t.Parallel()
	s := signers()
	texts := map[string]string{
		"secret":    sign(t, jwt.SigningMethodHS256, s.secret, nil, good(nil)),
		"RSA":       sign(t, jwt.SigningMethodRS256, s.rsa, m{"kid": "x"}, good(m{"aud": []string{"chat", "other"}})),
		"P-256":     sign(t, jwt.SigningMethodES256, s.ecdsa, nil, good(m{"iat": now.Unix()})),
		"Ed25519":   sign(t, jwt.SigningMethodEdDSA, s.ed, nil, good(m{"nbf": now.Add(20 * time.Second).Unix()})),
		"issued":    sign(t, jwt.SigningMethodHS256, s.secret, nil, good(m{"iat": now.Add(-9 * time.Minute).Unix()})),
		"fractions": claiming("exp", "1767326645.5"),
	}
	for change, row := range map[string]struct {
		set  func(*TokenOptions)
		gone string // what is refused, when
	}{
		"none":           {nil, ""},
		"another secret": {func(o *TokenOptions) { o.Secret = otherSecret }, "secret issued fractions"},
		"no secret":      {func(o *TokenOptions) { o.Secret = nil }, "secret issued fractions"},
		"no public keys": {func(o *TokenOptions) { o.PublicKeys = nil }, "RSA P-256 Ed25519"},
		"one public key": {func(o *TokenOptions) { o.PublicKeys = []crypto.PublicKey{s.ed.Public()} }, "RSA P-256"},
		"in another order": {func(o *TokenOptions) {
			o.PublicKeys = []crypto.PublicKey{s.ed.Public(), &s.ecdsa.PublicKey, &s.rsa.PublicKey}
		}, ""},
		"another audience":   {func(o *TokenOptions) { o.Audience = []string{"chat"} }, "secret P-256 Ed25519 issued fractions"},
		"any audience":       {func(o *TokenOptions) { o.Audience = nil }, ""},
		"another issuer":     {func(o *TokenOptions) { o.Issuer = "https://other.example" }, "secret RSA P-256 Ed25519 issued fractions"},
		"an age":             {func(o *TokenOptions) { o.MaxAge = 10 * time.Minute }, "secret RSA Ed25519 fractions"},
		"a short age":        {func(o *TokenOptions) { o.MaxAge = 5 * time.Minute }, "secret RSA Ed25519 issued fractions"},
		"no leeway":          {func(o *TokenOptions) { o.Leeway = 0 }, "Ed25519"},
		"a key of an issuer": {func(o *TokenOptions) { o.KeySet = newKeySet("", Notices{}, nil) }, ""},
	} {
		tokens := newTokens(t, nil)
		for name, text := range texts {
			who, err := tokens.check(text, now)
			if err != nil {
				t.Fatal(name, err)
			}
			next := newTokens(t, row.set)
			for _, at := range []time.Time{now, now.Add(time.Hour + 29*time.Second), now.Add(time.Hour + 31*time.Second), now.Add(24 * time.Hour)} {
				anew, wanted := newTokens(t, row.set).check(text, at)
				is, err := next.refresh(who, at)
				if code(t, err) != code(t, wanted) {
					t.Errorf("%s, %s at %v: %v, and anew %v", change, name, at, err, wanted)
				}
				if gone := strings.Contains(" "+row.gone+" ", " "+name+" "); at.Equal(now) && (err != nil) != gone {
					t.Errorf("%s, %s: %v", change, name, err)
				}
				if err == nil && (!is.Grant().Expires.Equal(anew.Grant().Expires) || is.User != anew.User || is.MayPublish("b") != nil || is.MaySubscribe("a.x") != nil || is.Grant().Holder != is) {
					t.Errorf("%s, %s: it is %+v, and anew %+v", change, name, is, anew)
				}
			}
		}
	}
}

// Callers that were admitted by a key, or without one.
func TestStill(t *testing.T) {
	t.Parallel()
	key := func(text string, rights Right, topics ...string) Key {
		return Key{Name: text, SHA256: sha256.Sum256([]byte(text)), Rights: rights, Topics: topics}
	}
	who := func(g *Guard, text string) *Identity {
		t.Helper()
		if text == "" {
			return g.Everybody()
		}
		id, err := g.Check(text)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	open, near := Options{Open: true, Local: true}, Options{Open: true, Local: true, Ours: true}
	keys := Options{Keys: []Key{key("k", Publish|Subscribe, "a.>"), key("l", Subscribe|Admin, ">")}}
	for _, row := range []struct {
		what         string
		first        Options
		text         string
		next         Options
		code         string // of the denial
		keeps, loses string // subscriptions
	}{
		{"an open broker", open, "", open, "", "a $stats $presence.a", ""},
		{"an open broker that has keys by now", open, "", keys, "credentials_missing", "", "a"},
		{"an open broker that has tokens by now", open, "", Options{Tokens: newTokens(t, nil)}, "credentials_missing", "", "a"},
		{"an operator, whatever the others have", near, "", keys, "", "a $stats $presence.a", ""},
		{"an operator, of an open broker", near, "", open, "", "a $stats $presence.a", ""},
		{"a key", keys, "k", keys, "", "a.b", "a $stats $presence.a.b"},
		{"a key under another name", keys, "k", Options{Keys: []Key{{Name: "z", SHA256: sha256.Sum256([]byte("k")), Rights: Subscribe, Topics: []string{"a.>"}}}}, "", "a.b", ""},
		{"a key that is gone", keys, "k", Options{Keys: keys.Keys[1:]}, "credentials_invalid", "", "a.b"},
		{"a key when none is needed any more", keys, "k", open, "credentials_invalid", "", "a.b"},
		{"a key that is narrower", keys, "k", Options{Keys: []Key{key("k", Publish|Subscribe, "a.b")}}, "", "a.b", "a.c"},
		{"a key with other rights", keys, "k", Options{Keys: []Key{key("k", Publish, "a.>")}}, "", "", "a.b"},
		{"an administrator", keys, "l", keys, "", "a $stats $presence.a $presence.> $presence.*.b", "$other"},
		{"an administrator no more", keys, "l", Options{Keys: []Key{key("l", Subscribe, ">")}}, "", "a", "$stats $presence.a"},
		{"an administrator of less", keys, "l", Options{Keys: []Key{key("l", Subscribe|Admin, "a.>")}}, "", "a.b $stats $presence.a.b $presence.a.>", "b $presence.b $presence.> $presence.*.b"},
	} {
		id, next := who(newGuard(t, row.first), row.text), newGuard(t, row.next)
		is, err := next.Refresh(id)
		if code(t, err) != row.code || (err == nil) != (is != nil) {
			t.Errorf("%s: %v, want %q", row.what, err, row.code)
			continue
		}
		grant := next.Regrant(id.Grant())
		for name := range strings.FieldsSeq(row.keeps) {
			if !grant.Admits(name) || is.MaySubscribe(name) != nil {
				t.Errorf("%s: has lost %s", row.what, name)
			}
		}
		for name := range strings.FieldsSeq(row.loses) {
			if grant != nil && grant.Admits(name) || err == nil && is.MaySubscribe(name) == nil {
				t.Errorf("%s: has %s", row.what, name)
			}
		}
	}
}

// Clients keep what a key has granted them. They lose what an open broker has granted when
// it is no longer open.
func TestAllow(t *testing.T) {
	t.Parallel()
	open := newGuard(t, Options{Open: true})
	keyed := newGuard(t, Options{Keys: []Key{{Name: "k", SHA256: sha256.Sum256([]byte("k")), Rights: Register | Admin, Topics: []string{"a.>"}}}})
	k, err := keyed.Check("k")
	if err != nil {
		t.Fatal(err)
	}
	for _, patterns := range [][]string{nil, {}, {"a.b"}} {
		if g := open.Everybody().Allow(patterns); keyed.Regrant(g) != nil || open.Regrant(g) != g || patterns != nil && g.Admits("a.c") {
			t.Errorf("%q of an open broker: %+v", patterns, g)
		}
		if g := k.Allow(patterns); g.Holder != nil || g.Admits("$stats") || g.Admits("b") || (patterns == nil) != g.Admits("a.c") {
			t.Errorf("%q of a key: %+v", patterns, g)
		}
	}
}

// Tokens of a rotated key, if the new key has the old name, or neither has a name. The set
// is fetched again when no key fits a signature. Tokens of the withdrawn key are refused
// from then on, also for callers that were admitted.
func TestKeySetRotatesUnderOneName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a", ""} {
		synctest.Test(t, func(t *testing.T) {
			old := signers().ecdsa
			next, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			head := m{}
			if name != "" {
				head["kid"] = name
			}
			by := func(key *ecdsa.PrivateKey) string { return sign(t, jwt.SigningMethodES256, key, head, good(nil)) }
			var i issuer
			i.publishes(jwk(&old.PublicKey, head))
			tokens, _ := fromIssuer(t, &i)
			who, err := tokens.check(by(old), now)
			if err != nil {
				t.Fatal(err)
			}
			i.publishes(jwk(&next.PublicKey, head))
			for range 100 {
				if _, err := tokens.check(by(next), now); code(t, err) != no {
					t.Fatalf("%v", err)
				}
			}
			if n := i.requests(); n != 1 {
				t.Errorf("%d requests at once", n)
			}
			time.Sleep(refreshPause)
			if _, err := tokens.refresh(who, now); err != nil {
				t.Errorf("nobody has asked the issuer: %v", err)
			}
			if _, err := tokens.check(by(next), now); err != nil || i.requests() != 2 {
				t.Errorf("the new key: %v, %d requests", err, i.requests())
			}
			if _, err := tokens.check(by(old), now); code(t, err) != no {
				t.Errorf("the old key: %v", err)
			}
			if _, err := tokens.refresh(who, now); code(t, err) != no {
				t.Errorf("who came by the old key: %v", err)
			}
		})
	}
}

// Renew fetches the set again, however early, and reports whether it has changed.
func TestKeySetIsRenewed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := signers()
		var i issuer
		i.publishes(jwk(&s.rsa.PublicKey, m{"kid": "a"}))
		changes := 0
		set := newKeySet("https://issuer.example", Notices{Changed: func() { changes++ }, Failed: func(error) {}}, &i)
		synctest.Wait()
		if i.requests() != 0 {
			t.Error("it is fetched before it is started")
		}
		set.Start()
		defer set.Close()
		for _, row := range []struct {
			keys              []m
			requests, changes int
		}{
			{[]m{jwk(&s.rsa.PublicKey, m{"kid": "a"})}, 2, 1},
			{[]m{jwk(&s.rsa.PublicKey, m{"kid": "b"})}, 3, 2},
			{nil, 4, 3},
			{nil, 5, 3},
		} {
			i.publishes(row.keys...)
			if row.requests == 2 {
				synctest.Wait() // the first fetch
			}
			set.Renew()
			synctest.Wait()
			if i.requests() != row.requests || changes != row.changes {
				t.Errorf("%d requests, %d changes, want %+v", i.requests(), changes, row)
			}
		}
		before := set.latest.Load()
		i.mu.Lock()
		i.status = 503
		i.mu.Unlock()
		set.Renew()
		synctest.Wait()
		if set.latest.Load() != before || changes != 3 {
			t.Error("a fetch that has failed has changed the keys")
		}
	})
}

// Certificates in a key can neither invalidate nor replace it.
func TestCertificatesOfKeys(t *testing.T) {
	t.Parallel()
	s := signers()
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	foreign := publicDER(t, &other.PublicKey)
	for name, with := range map[string]m{
		"junk":                {"x5c": []string{"!", ""}},
		"another type":        {"x5c": 7, "x5u": []int{1}, "x5t": m{}},
		"another's key":       {"x5c": []string{b64(foreign)}},
		"a URL":               {"x5u": "http://127.0.0.1:1/"},
		"a wrong print":       {"x5t": "AAAA", "x5t#S256": "AAAA"},
		"no key of its own":   {"x": nil, "y": nil, "x5c": []string{b64(foreign)}},
		"members of nobody's": {"iat": 1, "ext": true, "\u00e4": m{}},
	} {
		value := jwk(&s.ecdsa.PublicKey, m{"kid": "a"})
		for member, v := range with {
			if value[member] = v; v == nil {
				delete(value, member)
			}
		}
		synctest.Test(t, func(t *testing.T) {
			var i issuer
			i.publishes(value)
			tokens, _ := fromIssuer(t, &i)
			_, err := tokens.check(sign(t, jwt.SigningMethodES256, s.ecdsa, m{"kid": "a"}, good(nil)), now)
			if (err == nil) != (name != "no key of its own") {
				t.Errorf("%s: %v", name, err)
			}
			if _, err := tokens.check(sign(t, jwt.SigningMethodES256, other, m{"kid": "a"}, good(nil)), now); code(t, err) != no {
				t.Errorf("%s: the key of the certificate: %v", name, err)
			}
		})
	}
}

var _ hub.Changes = (*Guard)(nil).Regrant

// What a token has begun ends exactly when its grant expires: a caller that waits for that
// moment need not wait longer.
func TestStillEnds(t *testing.T) {
	t.Parallel()
	tokens := newTokens(t, func(o *TokenOptions) { o.MaxAge = 10 * time.Minute })
	for _, iat := range []time.Duration{0, -9 * time.Minute} {
		who, err := tokens.check(sign(t, jwt.SigningMethodHS256, signers().secret, nil, good(m{"iat": now.Add(iat).Unix()})), now)
		if err != nil {
			t.Fatal(err)
		}
		end := who.Grant().Expires
		if _, err := tokens.refresh(who, end.Add(-1)); err != nil {
			t.Errorf("before the end: %v", err)
		}
		if _, err := tokens.refresh(who, end); code(t, err) != late {
			t.Errorf("at the end: %v", err)
		}
	}
}
