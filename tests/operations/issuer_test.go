package operations_test

import (
	"net"
	"strings"
	"testing"

	"belfry/tests/harness"
)

// Tokens of an issuer that publishes its keys, from signing to use.
func TestIssuer(t *testing.T) {
	t.Parallel()
	url, private := harness.NewIssuer(t)
	setting := "--jwt-jwks-url=" + url
	b := harness.Start(t, setting)
	for kid, status := range map[string]int{"a": 200, "": 200, "b": 401} {
		token, failed := harness.Command("token", "create", "--private-key="+private, "--key-id="+kid, "--user=7", "--subscribe=cats")
		if token = strings.TrimSpace(token); failed != 0 {
			t.Fatal(token)
		}
		got, answer := b.Ask(t, token, "GET", "/topics/cats/events", "")
		printed, refused := harness.Command("token", "check", setting, token)
		if got != status || (refused == 0) != (status == 200) {
			t.Errorf("kid %q: the broker answers %d %s, the check is %d\n%s", kid, got, answer, refused, printed)
		}
	}
}

// A broker starts and serves without its issuer, and reports what is missing.
func TestIssuerIsAway(t *testing.T) {
	t.Parallel()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	b, secret := harness.WithTokens(t, "--jwt-jwks-url=http://"+free.Addr().String()+"/keys?secret=x")
	token := harness.NewToken(t, secret, "--user=7", "--subscribe=cats")
	if status, answer := b.Ask(t, token, "GET", "/topics/cats/events", ""); status != 200 {
		t.Errorf("with the secret: %d %s", status, answer)
	}
	_, private := harness.NewIssuer(t)
	other, _ := harness.Command("token", "create", "--private-key="+private)
	status, answer := b.Ask(t, strings.TrimSpace(other), "GET", "/topics/cats/events", "")
	reason := denial(b, t, "").Reason
	if status != 401 || !strings.Contains(reason, "the issuer's keys are not known: ") || !strings.Contains(reason, "connection refused") {
		t.Errorf("%d %s, the log has %q", status, answer, reason)
	}
	b.Stop()
	log := strings.Join(b.Log(), "\n")
	if !strings.Contains(log, "cannot fetch the keys for tokens") || strings.Contains(log, "secret=x") {
		t.Errorf("the log has\n%s", log)
	}
}
