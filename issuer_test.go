package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"

	"belfry/config"
)

// newIssuer publishes the public half of a key under the name a, and returns where,
// and the file of the private half.
func newIssuer(t *testing.T) (url, private string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	private = filepath.Join(t.TempDir(), "private.pem")
	if err := os.WriteFile(private, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"keys":[{"kty":"EC","crv":"P-256","use":"sig","kid":"a","x":%q,"y":%q}]}`, b64(point[1:33]), b64(point[33:]))
	}))
	t.Cleanup(server.Close)
	return server.URL, private
}

// Tokens of an issuer that publishes its keys, from their making to their use.
func TestIssuer(t *testing.T) {
	t.Parallel()
	url, private := newIssuer(t)
	setting := "--jwt-jwks-url=" + url
	b := start(t, setting)
	for kid, status := range map[string]int{"a": 200, "": 200, "b": 401} {
		token, failed := command("token", "create", "--private-key="+private, "--key-id="+kid, "--user=7", "--subscribe=cats")
		if token = strings.TrimSpace(token); failed != 0 {
			t.Fatal(token)
		}
		got, answer := b.ask(t, token, "GET", "/topics/cats/events", "")
		printed, refused := command("token", "check", setting, token)
		if got != status || (refused == 0) != (status == 200) {
			t.Errorf("kid %q: the broker answers %d %s, the check is %d\n%s", kid, got, answer, refused, printed)
		}
	}
}

// A broker starts and serves without its issuer, and says what is missing.
func TestIssuerIsAway(t *testing.T) {
	t.Parallel()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	b, secret := withTokens(t, "--jwt-jwks-url=http://"+free.Addr().String()+"/keys?secret=x")
	token := newToken(t, secret, "--user=7", "--subscribe=cats")
	if status, answer := b.ask(t, token, "GET", "/topics/cats/events", ""); status != 200 {
		t.Errorf("with the secret: %d %s", status, answer)
	}
	_, private := newIssuer(t)
	other, _ := command("token", "create", "--private-key="+private)
	status, answer := b.ask(t, strings.TrimSpace(other), "GET", "/topics/cats/events", "")
	reason := b.denial(t, "").Reason
	if status != 401 || !strings.Contains(reason, "the issuer's keys are not known: ") || !strings.Contains(reason, "connection refused") {
		t.Errorf("%d %s, the log has %q", status, answer, reason)
	}
	b.stop()
	log := strings.Join(b.log(), "\n")
	if !strings.Contains(log, "cannot fetch the keys of tokens") || strings.Contains(log, "secret=x") {
		t.Errorf("the log has\n%s", log)
	}
}

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
