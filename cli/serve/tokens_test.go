package serve

import (
	"errors"
	"io"
	"strings"
	"testing"

	"go.uber.org/zap"

	"belfry/config"
)

func TestTokenOnStdin(t *testing.T) {
	t.Parallel()
	secret := config.Secret(strings.Repeat("s", 32))
	var token strings.Builder
	if err := CreateToken(config.TokenCreate{Secret: secret, Expires: 3600e9}, &token); err != nil {
		t.Fatal(err)
	}
	check := config.TokenCheck{Token: "-", Config: config.Config{JWT: config.JWT{Secret: secret}, MaxSubscriptions: 1}}
	var out strings.Builder
	if err := CheckToken(check, strings.NewReader(" "+token.String()+"\r\n"), &out, zap.NewNop()); err != nil || !strings.HasSuffix(out.String(), "the token is accepted\n") {
		t.Errorf("%v\n%s", err, &out)
	}
	for name, stdin := range map[string]io.Reader{"nothing": strings.NewReader(""), "a flood": endless{}} {
		if err := CheckToken(check, stdin, io.Discard, zap.NewNop()); !errors.Is(err, errRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	closed, writer := io.Pipe()
	closed.Close()
	if err := CheckToken(check, strings.NewReader(token.String()), writer, zap.NewNop()); err == nil || errors.Is(err, errRefused) {
		t.Errorf("cannot print: %v", err)
	}
	if err := CheckToken(check, closed, io.Discard, zap.NewNop()); err == nil || errors.Is(err, errRefused) {
		t.Errorf("cannot read: %v", err)
	}
	check.JWT = config.JWT{}
	if err := CheckToken(check, strings.NewReader(token.String()), io.Discard, zap.NewNop()); err == nil || !strings.Contains(err.Error(), "jwt.jwks_url") {
		t.Errorf("without keys: %v", err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}
