package operations_test

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"belfry/tests/harness"
)

// Operators see the configuration in force, after a change too, without secrets.
func TestConfigInForce(t *testing.T) {
	t.Parallel()
	ops := harness.Entry("ops", "admin", ">")
	b := harness.StartKeyed(t, "max_message: 17\nkeys:\n"+ops)
	sum := sha256.Sum256([]byte("ops"))
	shown := func() string {
		t.Helper()
		got := b.As(t, "ops", "GET", "/config", "")
		if got.Status != 200 || got.Header.Get("Cache-Control") != "no-store" || strings.Contains(got.Body, hex.EncodeToString(sum[:])) {
			t.Fatalf("%d %s", got.Status, got.Body)
		}
		return got.Body
	}
	if got := shown(); !strings.Contains(got, `"name":"max_message","value":"17","default":false,"reload":true`) || !strings.Contains(got, `"name":"keys.ops","value":"admin on >"`) {
		t.Error(got)
	}
	b.Reload(t, "max_message: 18\nhub_queue: 7\nkeys:\n"+ops)
	if got := shown(); !strings.Contains(got, `"name":"max_message","value":"18"`) || !strings.Contains(got, `"name":"hub_queue","value":"1024"`) {
		t.Error(got)
	}
}

// A page sends a key as a subprotocol. The figures are only for operators.
func TestStatsByAKeyInTheHandshake(t *testing.T) {
	t.Parallel()
	b := harness.StartKeyed(t, "keys:\n"+harness.Entry("bk_ops", "admin, subscribe", ">")+harness.Entry("bk_weak", "subscribe", ">"))
	handshake := func(key string) string {
		return strings.Replace(harness.Opening("/ws?topic=$stats"), "\r\n", "\r\nSec-WebSocket-Protocol: belfry.v1, bearer."+key+"\r\n", 1)
	}
	w := b.Socket(t, handshake("bk_ops"))
	w.AcceptedV1(t)
	if m := w.V1(t); m.Type != "welcome" {
		t.Fatalf("%+v", m)
	}
	if m := w.V1(t); m.Type != "event" || !strings.Contains(string(m.Data), `"published":`) {
		t.Errorf("%+v", m)
	}
	b.Socket(t, handshake("bk_weak")).RefusedV1(t, 4002, `topic "$stats": begins with '$', which is reserved for the broker`)
}

// Users come to a topic with their first connection and leave with their last; a
// takeover in between is silent.
func TestPresenceIsTold(t *testing.T) {
	t.Parallel()
	b := harness.Start(t)
	watcher := b.Socket(t, harness.V1Opening("/ws?topic=$presence.cats"))
	watcher.AcceptedV1(t)
	if m := watcher.V1(t); m.Type != "welcome" {
		t.Fatalf("%+v", m)
	}
	told := func(change, user string) {
		t.Helper()
		want := `{"change":"` + change + `","topic":"cats","user_id":"` + user + `"}`
		if m := watcher.V1(t); m.Topic != "$presence.cats" || string(m.Data) != want {
			t.Errorf("told %+v %s, want %s", m, m.Data, want)
		}
	}
	first, second := b.Register(t, `{"user_id":"u"}`), b.Register(t, `{"user_id":"u"}`)
	p := b.Connect(t, first)
	told("join", "u")
	b.Connect(t, second)
	takeover := b.Connect(t, first)
	p.Closed(t, 4001, "replaced")
	takeover.Leave()
	b.Unregister(t, second)
	told("leave", "u") // and nothing in between
	b.Connect(t, b.Register(t, `{"user_id":"v"}`))
	told("join", "v")
	if got := b.Call(t, "GET", "/topics/cats/presence", "").Body; strings.TrimSpace(got) != `{"topic":"cats","users":[{"user_id":"v","clients":1}]}` {
		t.Error(got)
	}
}
