package auth

import (
	"crypto/sha256"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// A cached token does not live longer for it.
func TestKnownTokensEnd(t *testing.T) {
	t.Parallel()
	tokens := newTokens(t, nil)
	text := claiming("exp", fmt.Sprint(now.Add(time.Hour).Unix()))
	end := now.Add(time.Hour + 30*time.Second)
	for _, row := range []struct {
		at   time.Time
		code string
	}{{now, ""}, {now, ""}, {end.Add(-time.Second), ""}, {end, late}, {end.Add(time.Hour), late}, {now, ""}} {
		if _, err := tokens.check(text, row.at); code(t, err) != row.code {
			t.Errorf("at %v: %v", row.at, err)
		}
	}
	head, body, signature := parts(text)
	for _, other := range []string{head + "." + body + ".", head + "." + body + "." + signature[:42] + "_", text + "="} {
		if _, err := tokens.check(other, now); code(t, err) != no {
			t.Errorf("%s: %v", other, err)
		}
	}
}

// When an issuer withdraws a key, the tokens that it signed are refused.
func TestKnownTokensGoWithTheirKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := signers()
		var i issuer
		i.publishes(jwk(&s.ecdsa.PublicKey, m{"kid": "a"}))
		tokens, _ := fromIssuer(t, &i)
		text := sign(t, jwt.SigningMethodES256, s.ecdsa, m{"kid": "a"}, good(nil))
		if _, err := tokens.check(text, now); err != nil {
			t.Fatal(err)
		}
		i.publishes(jwk(&s.rsa.PublicKey, m{"kid": "b"}))
		time.Sleep(refreshEvery)
		synctest.Wait()
		if _, err := tokens.check(text, now); code(t, err) != no {
			t.Errorf("%v", err)
		}
	})
}

// The cache is bounded, and tokens in use stay.
func TestKnownIsBounded(t *testing.T) {
	t.Parallel()
	var k tokenCache
	name := func(i int) sum { return sha256.Sum256(fmt.Append(nil, i)) }
	often := &Identity{}
	k.keep(name(0), cacheEntry{id: often, end: now.Add(time.Hour)})
	for i := range 10 * knownTokens {
		k.keep(name(i+1), cacheEntry{id: &Identity{}, end: now.Add(time.Hour)})
		if k.find(name(0), now, nil) != often {
			t.Fatalf("forgotten after %d others", i)
		}
		if n := len(k.young) + len(k.old); n > 2*knownTokens {
			t.Fatalf("%d are remembered", n)
		}
	}
	if k.find(name(1), now, nil) != nil {
		t.Error("the first of many others is still remembered")
	}
}
