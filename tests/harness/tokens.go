package harness

import (
	"belfry/cli/app"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// WithTokens starts a broker that takes tokens signed with a secret, and returns
// the secret's file.
func WithTokens(t *testing.T, flags ...string) (b *Broker, secret string) {
	t.Helper()
	secret = filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(strings.Repeat("s", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	return Start(t, append([]string{"--jwt-secret-file=" + secret, "--jwt-leeway=0s"}, flags...)...), secret
}

// NewToken is what belfry token create prints.
func NewToken(t *testing.T, secret string, flags ...string) string {
	t.Helper()
	out, status := Command("token", append([]string{"create", "--secret-file=" + secret}, flags...)...)
	if status != 0 {
		t.Fatalf("status %d: %s", status, out)
	}
	return strings.TrimSuffix(out, "\n")
}

// Command runs the program for one of its short commands.
func Command(name string, args ...string) (out string, status int) {
	var text strings.Builder
	status = app.Run(context.Background(), nil, append([]string{name}, args...), nil, &text, &text)
	return text.String(), status
}

// Ask makes a request with a token, and returns the status and the body.
func (b *Broker) Ask(t *testing.T, token, method, target, body string) (status int, answer string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+b.Addr+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	w, err := b.HTTP.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Body.Close()
	text, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.StatusCode, string(text)
}

func (b *Broker) PublishWith(t *testing.T, token, body string) {
	t.Helper()
	if status, answer := b.Ask(t, token, "POST", "/publish", body); status != 200 {
		t.Fatalf("%d %s", status, answer)
	}
}

// JsonOf reads a line of JSON; another text gives the zero value.
func JsonOf[T any](line string) (value T) {
	_ = json.Unmarshal([]byte(line), &value)
	return value
}

// NewIssuer publishes the public half of a key under the name a, and returns where,
// and the file of the private half.
func NewIssuer(t *testing.T) (url, private string) {
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
