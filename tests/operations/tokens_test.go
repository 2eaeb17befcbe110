package operations_test

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nhooyr.io/websocket"

	"belfry/tests/harness"
)

//lint:file-ignore SA1019 the library is frozen, and we stay with it: see docs/adr/0007-nhooyr-websocket.md

// The broker and belfry token check accept the same tokens, and refuse the others for the
// same reason. The reason is in the broker's log, not in its answer.
func TestTokenCheckSaysWhatTheBrokerSays(t *testing.T) {
	t.Parallel()
	settings := []string{"--jwt-audience=belfry,chat", "--jwt-issuer=me", "--jwt-max-age=30m", "--max-subscriptions=2"}
	b, secret := harness.WithTokens(t, settings...)
	settings = append(settings, "--jwt-secret-file="+secret, "--jwt-leeway=0s")
	right := []string{"--audience=chat", "--issuer=me", "--subscribe=a.*", "--user=7"}
	good := harness.NewToken(t, secret, right...)
	head, rest, _ := strings.Cut(good, ".")
	body, signature, _ := strings.Cut(rest, ".")
	other := filepath.Join(t.TempDir(), "other")
	if err := os.WriteFile(other, []byte(strings.Repeat("t", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`))
	tests := map[string]struct{ token, wrong string }{ // no more than the log takes in a second
		"right":          {good, ""},
		"another aud":    {harness.NewToken(t, secret, "--audience=other", "--issuer=me"), "aud"},
		"no aud":         {harness.NewToken(t, secret, "--issuer=me"), "aud"},
		"another iss":    {harness.NewToken(t, secret, "--audience=chat", "--issuer=you"), "iss"},
		"many patterns":  {harness.NewToken(t, secret, append(right, "--subscribe=b,c")...), "belfry.subscribe"},
		"another secret": {harness.NewToken(t, other, right...), "signature"},
		"none":           {none + "." + body + ".", "alg"},
		"no signature":   {head + "." + body + ".", "signature"},
		"another body":   {head + "." + body[:len(body)-4] + "." + signature, "form"},
		"a critical":     {base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","crit":["b64"],"b64":false}`)) + "." + body + "." + signature, "form"},
		"padded":         {good + "=", "form"},
	}
	for name, test := range tests {
		printed, status := harness.Command("token", append([]string{"check", test.token}, settings...)...)
		answered, answer := b.Ask(t, test.token, "GET", "/topics/a.b/events", "")
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
		last := denial(b, t, check+": "+why)
		if !found || check != test.wrong || last.Reason != check+": "+why || strings.Contains(answer, why) || !strings.Contains(answer, last.Code) {
			t.Errorf("%s: the check says %q, the log %+v, the answer %s", name, reason, last, answer)
		}
	}
	b.Stop()
	for name, test := range tests {
		if strings.Contains(strings.Join(b.Log(), "\n"), test.token) {
			t.Errorf("%s: the token is in the log", name)
		}
	}
}

// denied is a line of the log.
type denied struct{ Msg, Code, Reason, Op string }

// denial waits until the log has a denial whose reason has this prefix.
func denial(b *harness.Broker, t *testing.T, reason string) (last denied) {
	t.Helper()
	harness.Eventually(t, "the log has the reason "+reason, func() bool {
		for _, line := range b.Log() {
			if d := harness.JsonOf[denied](line); d.Msg == "denied" {
				last = d
			}
		}
		return last.Msg != "" && strings.HasPrefix(last.Reason, reason)
	})
	return last
}

func TestTokenCreateRefusesBadPatterns(t *testing.T) {
	t.Parallel()
	out, status := harness.Command("token", "create", "--secret-file="+os.Args[0], "--subscribe=a..b", "--publish=$sys")
	if status != 2 {
		t.Errorf("%d %s", status, out)
	}
}

// The answer to a handshake that carries a token selects the real subprotocol, and
// nothing repeats the token.
func TestTokenIsNotEchoed(t *testing.T) {
	t.Parallel()
	b, secret := harness.WithTokens(t)
	token := harness.NewToken(t, secret, "--user=7", "--subscribe=cats")
	for name, offered := range map[string][]string{
		"belfry.v1": {"bearer." + token, "belfry.v1"},
		"":          {"bearer." + token},
	} {
		conn, answer, err := websocket.Dial(t.Context(), "ws://"+b.Addr+"/ws?topic=cats", &websocket.DialOptions{Subprotocols: offered})
		if err != nil {
			t.Fatal(err)
		}
		conn.CloseNow()
		if got := answer.Header.Get("Sec-WebSocket-Protocol"); got != name {
			t.Errorf("offered %.20q, selected %.20q", offered, got)
		}
	}
	for _, target := range []string{"/sse?topic=cats&access_token=x" + token, "/nothing?access_token=" + token, "/ws?access_token=" + token} {
		if _, answer := b.Ask(t, token, "GET", target, ""); strings.Contains(answer, token) {
			t.Errorf("%.20s: %s", target, answer)
		}
	}
	b.Stop()
	for _, line := range b.Log() {
		if strings.Contains(line, token) {
			t.Errorf("logged %s", line)
		}
	}
}

// In-band, too, the client is told a code, and the log has the reason.
func TestRenewalIsRefused(t *testing.T) {
	t.Parallel()
	b, secret := harness.WithTokens(t)
	conn, _, err := websocket.Dial(t.Context(), "ws://"+b.Addr+"/ws?topic=cats", &websocket.DialOptions{
		Subprotocols: []string{"belfry.v1", "bearer." + harness.NewToken(t, secret, "--user=7", "--subscribe=cats")}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	for _, row := range []struct{ token, code, reason string }{
		{"", "credentials_invalid", "not a known key"},
		{"x.y.z", "credentials_invalid", "form: "},
		{harness.NewToken(t, secret, "--user=7"), "forbidden", "token does not have the right to subscribe"},
		{harness.NewToken(t, secret, "--user=8", "--subscribe=cats"), "forbidden", ""}, // another's
		{harness.NewToken(t, secret, "--user=7", "--subscribe=cats"), "", ""},
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
			got = harness.JsonOf[struct{ Type, Code string }](string(text))
		}
		if got.Code != row.code {
			t.Errorf("%.20s: %+v, want %s", row.token, got, row.code)
		}
		if row.reason == "" {
			continue
		}
		if last := denial(b, t, row.reason); last.Op != "auth" {
			t.Errorf("%.20s: logged %+v", row.token, last)
		}
	}
}
