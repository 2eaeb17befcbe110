package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"
	"nhooyr.io/websocket"

	"belfry/config"
)

//lint:file-ignore SA1019 the library is frozen, and we stay with it: see docs/adr/0007-nhooyr-websocket.md

// withTokens starts a broker that takes tokens signed with a secret, and returns
// the secret's file.
func withTokens(t *testing.T, flags ...string) (b *testBroker, secret string) {
	t.Helper()
	secret = filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(strings.Repeat("s", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	return start(t, append([]string{"--jwt-secret-file=" + secret, "--jwt-leeway=0s"}, flags...)...), secret
}

// newToken is what belfry token create prints.
func newToken(t *testing.T, secret string, flags ...string) string {
	t.Helper()
	out, status := command("token", append([]string{"create", "--secret-file=" + secret}, flags...)...)
	if status != 0 {
		t.Fatalf("status %d: %s", status, out)
	}
	return strings.TrimSuffix(out, "\n")
}

// command runs the program for one of its short commands.
func command(name string, args ...string) (out string, status int) {
	var text strings.Builder
	status = run(context.Background(), nil, append([]string{name}, args...), nil, &text, &text)
	return text.String(), status
}

// ask makes a request with a token, and returns the status and the body.
func (b *testBroker) ask(t *testing.T, token, method, target, body string) (status int, answer string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+b.addr+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	w, err := b.http.Do(r)
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

func (b *testBroker) publishWith(t *testing.T, token, body string) {
	t.Helper()
	if status, answer := b.ask(t, token, "POST", "/publish", body); status != 200 {
		t.Fatalf("%d %s", status, answer)
	}
}

// What the broker takes belfry token check takes, and what it refuses is refused
// there for the same reason, which the broker's log has and its answer has not.
func TestTokenCheckSaysWhatTheBrokerSays(t *testing.T) {
	t.Parallel()
	settings := []string{"--jwt-audience=belfry,chat", "--jwt-issuer=me", "--jwt-max-age=30m", "--max-subscriptions=2"}
	b, secret := withTokens(t, settings...)
	settings = append(settings, "--jwt-secret-file="+secret, "--jwt-leeway=0s")
	right := []string{"--audience=chat", "--issuer=me", "--subscribe=a.*", "--user=7"}
	good := newToken(t, secret, right...)
	head, rest, _ := strings.Cut(good, ".")
	body, signature, _ := strings.Cut(rest, ".")
	other := filepath.Join(t.TempDir(), "other")
	if err := os.WriteFile(other, []byte(strings.Repeat("t", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`))
	tests := map[string]struct{ token, wrong string }{ // no more than the log takes in a second
		"right":          {good, ""},
		"another aud":    {newToken(t, secret, "--audience=other", "--issuer=me"), "aud"},
		"no aud":         {newToken(t, secret, "--issuer=me"), "aud"},
		"another iss":    {newToken(t, secret, "--audience=chat", "--issuer=you"), "iss"},
		"many patterns":  {newToken(t, secret, append(right, "--subscribe=b,c")...), "belfry.subscribe"},
		"another secret": {newToken(t, other, right...), "signature"},
		"none":           {none + "." + body + ".", "alg"},
		"no signature":   {head + "." + body + ".", "signature"},
		"another body":   {head + "." + body[:len(body)-4] + "." + signature, "form"},
		"a critical":     {base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","crit":["b64"],"b64":false}`)) + "." + body + "." + signature, "form"},
		"padded":         {good + "=", "form"},
	}
	for name, test := range tests {
		printed, status := command("token", append([]string{"check", test.token}, settings...)...)
		answered, answer := b.ask(t, test.token, "GET", "/topics/a.b/events", "")
		if accepted := test.wrong == ""; (status == 0) != accepted || (answered == 200) != accepted || status > 1 {
			t.Errorf("%s: status %d, the broker answers %d %s\n%s", name, status, answered, answer, printed)
		}
		if strings.Contains(printed, test.token) {
			t.Errorf("%s: the token is shown:\n%s", name, printed)
		}
		if test.wrong == "" {
			continue
		}
		_, reason, found := strings.Cut(printed, "\nWRONG  ")
		if !found {
			_, reason, found = strings.Cut(printed, "WRONG  ")
		}
		reason, _, _ = strings.Cut(reason, "\n")
		check, why, _ := strings.Cut(reason, " ")
		why = strings.TrimSpace(why)
		last := b.denial(t, check+": "+why)
		if !found || check != test.wrong || last.Reason != check+": "+why || strings.Contains(answer, why) || !strings.Contains(answer, last.Code) {
			t.Errorf("%s: the check says %q, the log %+v, the answer %s", name, reason, last, answer)
		}
	}
	b.stop()
	for name, test := range tests {
		if strings.Contains(strings.Join(b.log(), "\n"), test.token) {
			t.Errorf("%s: the token is in the log", name)
		}
	}
}

// denied is a line of the log.
type denied struct{ Msg, Code, Reason, Op string }

// jsonOf reads a line of JSON; what is none is zero.
func jsonOf[T any](line string) (value T) {
	_ = json.Unmarshal([]byte(line), &value)
	return value
}

// denial waits until the log has said that something was denied, last of all for a reason
// that begins so.
func (b *testBroker) denial(t *testing.T, reason string) (last denied) {
	t.Helper()
	eventually(t, "the log has the reason "+reason, func() bool {
		for _, line := range b.log() {
			if d := jsonOf[denied](line); d.Msg == "denied" {
				last = d
			}
		}
		return last.Msg != "" && strings.HasPrefix(last.Reason, reason)
	})
	return last
}

func TestTokenOnStdin(t *testing.T) {
	t.Parallel()
	secret := config.Secret(strings.Repeat("s", 32))
	var token strings.Builder
	if err := createToken(config.TokenCreate{Secret: secret, Expires: 3600e9}, &token); err != nil {
		t.Fatal(err)
	}
	check := config.TokenCheck{Token: "-", Config: config.Config{JWT: config.JWT{Secret: secret}, MaxSubscriptions: 1}}
	var out strings.Builder
	if err := checkToken(check, strings.NewReader(" "+token.String()+"\r\n"), &out, zap.NewNop()); err != nil || !strings.HasSuffix(out.String(), "the token is accepted\n") {
		t.Errorf("%v\n%s", err, &out)
	}
	for name, stdin := range map[string]io.Reader{"nothing": strings.NewReader(""), "a flood": endless{}} {
		if err := checkToken(check, stdin, io.Discard, zap.NewNop()); !errors.Is(err, errRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	closed, writer := io.Pipe()
	closed.Close()
	if err := checkToken(check, strings.NewReader(token.String()), writer, zap.NewNop()); err == nil || errors.Is(err, errRefused) {
		t.Errorf("cannot print: %v", err)
	}
	if err := checkToken(check, closed, io.Discard, zap.NewNop()); err == nil || errors.Is(err, errRefused) {
		t.Errorf("cannot read: %v", err)
	}
	check.JWT = config.JWT{}
	if err := checkToken(check, strings.NewReader(token.String()), io.Discard, zap.NewNop()); err == nil || !strings.Contains(err.Error(), "jwt.jwks_url") {
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

func TestTokenCreateRefusesBadPatterns(t *testing.T) {
	t.Parallel()
	out, status := command("token", "create", "--secret-file="+os.Args[0], "--subscribe=a..b", "--publish=$sys")
	if status != 2 {
		t.Errorf("%d %s", status, out)
	}
}

// The answer to a handshake that carries a token selects the real subprotocol, and
// nothing repeats the token.
func TestTokenIsNotEchoed(t *testing.T) {
	t.Parallel()
	b, secret := withTokens(t)
	token := newToken(t, secret, "--user=7", "--subscribe=cats")
	for name, offered := range map[string][]string{
		"belfry.v1": {"bearer." + token, "belfry.v1"},
		"":          {"bearer." + token},
	} {
		conn, answer, err := websocket.Dial(t.Context(), "ws://"+b.addr+"/ws?topic=cats", &websocket.DialOptions{Subprotocols: offered})
		if err != nil {
			t.Fatal(err)
		}
		conn.CloseNow()
		if got := answer.Header.Get("Sec-WebSocket-Protocol"); got != name {
			t.Errorf("offered %.20q, selected %.20q", offered, got)
		}
	}
	for _, target := range []string{"/sse?topic=cats&access_token=x" + token, "/nothing?access_token=" + token, "/ws?access_token=" + token} {
		if _, answer := b.ask(t, token, "GET", target, ""); strings.Contains(answer, token) {
			t.Errorf("%.20s: %s", target, answer)
		}
	}
	b.stop()
	for _, line := range b.log() {
		if strings.Contains(line, token) {
			t.Errorf("logged %s", line)
		}
	}
}

// In-band, too, the client is told a code, and the log has the reason.
func TestRenewalIsRefused(t *testing.T) {
	t.Parallel()
	b, secret := withTokens(t)
	conn, _, err := websocket.Dial(t.Context(), "ws://"+b.addr+"/ws?topic=cats", &websocket.DialOptions{
		Subprotocols: []string{"belfry.v1", "bearer." + newToken(t, secret, "--user=7", "--subscribe=cats")}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	for _, row := range []struct{ token, code, reason string }{
		{"", "credentials_invalid", "no such key"},
		{"x.y.z", "credentials_invalid", "form: "},
		{newToken(t, secret, "--user=7"), "forbidden", "token has not the right to subscribe"},
		{newToken(t, secret, "--user=8", "--subscribe=cats"), "forbidden", ""}, // another's
		{newToken(t, secret, "--user=7", "--subscribe=cats"), "", ""},
	} {
		if err := conn.Write(t.Context(), websocket.MessageText, []byte(`{"op":"auth","ref":1,"token":"`+row.token+`"}`)); err != nil {
			t.Fatal(err)
		}
		var got struct{ Type, Code string }
		for got.Type != "ack" && got.Type != "error" {
			_, text, err := conn.Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got = jsonOf[struct{ Type, Code string }](string(text))
		}
		if got.Code != row.code {
			t.Errorf("%.20s: %+v, want %s", row.token, got, row.code)
		}
		if row.reason == "" {
			continue
		}
		if last := b.denial(t, row.reason); last.Op != "auth" {
			t.Errorf("%.20s: logged %+v", row.token, last)
		}
	}
}
