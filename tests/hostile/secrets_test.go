package hostile_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"belfry/tests/harness"
)

// TestSecretsStaySecret: keys, tokens and client ids are used correctly and incorrectly in
// every way, with all features and the most verbose log. Neither they nor useful parts of
// them are in the log, in a metric or in an answer to somebody else.
func TestSecretsStaySecret(t *testing.T) {
	t.Parallel()
	const key, wrongKey, unknownID = "bk_thekeyitself-0123456789abcdef", "bk_nokeyofthebroker-0123456789", "0123456789abcdef0123456789abcdef"
	secret := filepath.Join(t.TempDir(), "secret")
	const secretText = "thesecretofthetokens-0123456789abcdef"
	if err := os.WriteFile(secret, []byte(secretText), 0o600); err != nil {
		t.Fatal(err)
	}
	file := fmt.Sprintf("keys:\n  - {name: ops, sha256: \"%x\", rights: [publish, register, subscribe, admin], topics: [\">\"]}\n", sha256.Sum256([]byte(key)))
	b := harness.StartKeyed(t, file, "--jwt-secret-file="+secret, "--jwt-leeway=0s", "--protocols=http1+http2", "--register-ttl=1h", "--max-control-rate=3", "--close-timeout=100ms")
	good := harness.NewToken(t, secret, "--user=u", "--subscribe=>", "--publish=>")
	forged := good[:len(good)-6] + "AAAAAA"
	secrets := map[string]string{"key": key, "wrong key": wrongKey, "unknown id": unknownID, "the tokens' secret": secretText}
	for name, token := range map[string]string{"token": good, "forged token": forged} {
		for i, part := range strings.Split(token, ".") {
			secrets[fmt.Sprintf("part %d of the %s", i, name)] = part
		}
	}
	delete(secrets, "part 0 of the token") // alg and typ: the same for all
	delete(secrets, "part 0 of the forged token")
	var answers []string // to what went wrong
	wrong := func(got harness.Answer) {
		t.Helper()
		if got.Status < 400 {
			t.Errorf("got %d %s", got.Status, got.Body)
		}
		answers = append(answers, got.Body)
	}

	var r harness.Registration
	if err := json.Unmarshal([]byte(b.As(t, key, "POST", "/register", `{"user_id": "u", "topic": "a"}`).Body), &r); err != nil {
		t.Fatal(err)
	}
	secrets["client id"] = r.ClientID
	for _, credential := range []string{wrongKey, forged, r.ClientID, secretText} {
		for _, call := range [][3]string{
			{"POST", "/register", `{"user_id": 1}`}, {"POST", "/publish", harness.Event("a", "x")}, {"GET", "/topics/a/events", ""},
			{"GET", "/ws?topic=a", ""}, {"GET", "/sse?topic=a", ""}, {"GET", "/metrics", ""}, {"DELETE", "/users/u/clients", ""},
		} {
			wrong(b.As(t, credential, call[0], call[1], call[2]))
			separator := "?"
			if strings.Contains(call[1], "?") {
				separator = "&"
			}
			wrong(b.Call(t, call[0], call[1]+separator+"access_token="+url.QueryEscape(credential), call[2]))
			wrong(b.Call(t, call[0], call[1], call[2], "Authorization", credential))
		}
		handshake := strings.Replace(harness.Opening("/ws?topic=a"), "\r\n", "\r\nSec-WebSocket-Protocol: belfry.v1, bearer."+credential+"\r\n", 1)
		b.Socket(t, handshake).RefusedV1(t, 4002, "credentials_invalid")
	}
	for _, id := range []string{unknownID, unknownID[:31], unknownID + "%00", key, good} {
		wrong(b.Call(t, "GET", "/ws/"+url.PathEscape(id), ""))
		wrong(b.Call(t, "GET", "/sse/"+url.PathEscape(id), ""))
		wrong(b.Call(t, "GET", "/nowhere/"+url.PathEscape(id), ""))
		wrong(b.Call(t, "POST", "/register/"+url.PathEscape(id), ""))
		wrong(b.Call(t, "POST", "/add_topic", `{"client_id":"`+id+`","topic":"a"}`))
		wrong(b.Call(t, "DELETE", "/remove_topic?topic=a&client_id="+url.QueryEscape(id), ""))
		wrong(b.Call(t, "POST", "/add_topic?client_id="+url.QueryEscape(id), `{"client_id":"another","topic":"a"}`))
		b.Call(t, "DELETE", "/register/"+url.PathEscape(id), "")
		wrong(b.As(t, key, "POST", "/register", `{"user_id": 1, "topic": "a", "`+id+`": 1}x`))
	}

	w := b.Socket(t, harness.V1Opening(r.Path))
	w.AcceptedV1(t)
	w.V1(t)
	for _, token := range []string{good, forged, key} {
		w.Send(t, harness.Masked(harness.Final|harness.Text, `{"op":"auth","token":"`+token+`"}`))
		if m := w.V1(t); m.Type != "error" {
			t.Errorf("%+v", m)
		}
	}
	w.Send(t, harness.Masked(harness.Final|harness.Text, `{"op":"`+key+`","`+good+`":1}`))
	w.V1(t)
	bare := b.Wire(t, r, harness.Masked(harness.Final|harness.Text, `{"topics":["a","`+key+`"]}`), harness.Masked(harness.Final|harness.Text, good), harness.Masked(harness.Final|harness.Text, key))
	bare.Sync(t)
	b.Stream(t, "/sse/"+r.ClientID+"?after="+r.ClientID)
	byToken := b.Subscriber(t, good, "a")
	byToken.Send(t, harness.Masked(harness.Final|harness.Text, `{"op":"auth","token":"`+good+`"}`))
	if m := byToken.V1(t); m.Type != "ack" {
		t.Errorf("%+v", m)
	}
	if got := b.As(t, good, "POST", "/publish", harness.Event("a", "hello")); got.Status != 200 {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	byToken.V1(t)
	for range 5 {
		byToken.Send(t, harness.Masked(harness.Final|harness.Ping, key))
	}
	b.Reload(t, strings.ReplaceAll(file, "ops", "others"))
	b.Reload(t, "keys: ["+key+"]\n")
	metrics := b.As(t, key, "GET", "/metrics", "").Body
	b.Stop()

	lines := strings.Join(b.Log(), "\n")
	for name, secret := range secrets {
		if at := strings.Index(lines, secret); at >= 0 {
			t.Errorf("the %s is in the log: ...%.300s", name, lines[max(0, at-200):])
		}
		if strings.Contains(metrics, secret) {
			t.Errorf("the %s is in a metric", name)
		}
	}
	if strings.Contains(strings.Join(answers, "\n"), secretText) {
		t.Error("the tokens' secret is in an answer")
	}
	if strings.Count(lines, `"msg":"denied"`) < 10 || !strings.Contains(lines, `"level":"debug"`) || !strings.Contains(metrics, "belfry_") {
		t.Error("there was little to look at")
	}
}
