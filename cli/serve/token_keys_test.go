package serve

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"go.uber.org/zap"

	"belfry/config"
)

// The issuer's keys are kept as long as their URL is the same, and asked for again by
// each reload.
func TestTokenKeys(t *testing.T) {
	t.Parallel()
	issuer := httptest.NewServer(http.NotFoundHandler())
	defer issuer.Close()
	first, second := issuer.URL+"/first", issuer.URL+"/second"
	keys := newTokenKeys(zap.NewNop(), newPanics(zap.NewNop()))
	defer keys.close()
	of := func(url string, audience ...string) (set any) {
		t.Helper()
		before := keys.set
		tokens, next, err := keys.tokensOf(config.JWT{JWKSURL: url, Audience: audience}, 1)
		if err != nil || (tokens == nil) != (url == "") {
			t.Fatalf("%v, %v", tokens, err)
		}
		if keys.set != before {
			t.Fatal("what is not used yet has replaced what is")
		}
		keys.use(next)
		return keys.set
	}
	a := of(first)
	if of(first, "x") != a {
		t.Error("another audience, and the keys are forgotten")
	}
	b := of(second)
	if a == b || of(second) != b {
		t.Error("another URL has to have its own keys, once")
	}
	of("")
	if keys.set != nil {
		t.Error("no URL, and keys are fetched")
	}
}
