package main

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
)

// Operators see the configuration in force, also after it has changed, and no secret.
func TestConfigInForce(t *testing.T) {
	t.Parallel()
	ops := entry("ops", "admin", ">")
	b := startKeyed(t, "max_message: 17\nkeys:\n"+ops)
	sum := sha256.Sum256([]byte("ops"))
	shown := func() string {
		t.Helper()
		got := b.as(t, "ops", "GET", "/config", "")
		if got.status != 200 || got.header.Get("Cache-Control") != "no-store" || strings.Contains(got.body, hex.EncodeToString(sum[:])) {
			t.Fatalf("%d %s", got.status, got.body)
		}
		return got.body
	}
	if got := shown(); !strings.Contains(got, `"name":"max_message","value":"17","default":false,"reload":true`) || !strings.Contains(got, `"name":"keys.ops","value":"admin on >"`) {
		t.Error(got)
	}
	b.reload(t, "max_message: 18\nhub_queue: 7\nkeys:\n"+ops)
	if got := shown(); !strings.Contains(got, `"name":"max_message","value":"18"`) || !strings.Contains(got, `"name":"hub_queue","value":"1024"`) {
		t.Error(got)
	}
}

// A page brings a key as a subprotocol. The figures are for operators alone.
func TestStatsByAKeyInTheHandshake(t *testing.T) {
	t.Parallel()
	b := startKeyed(t, "keys:\n"+entry("bk_ops", "admin, subscribe", ">")+entry("bk_weak", "subscribe", ">"))
	handshake := func(key string) string {
		return strings.Replace(opening("/ws?topic=$stats"), "\r\n", "\r\nSec-WebSocket-Protocol: belfry.v1, bearer."+key+"\r\n", 1)
	}
	w := b.socket(t, handshake("bk_ops"))
	w.acceptedV1(t)
	if m := w.v1(t); m.Type != "welcome" {
		t.Fatalf("%+v", m)
	}
	if m := w.v1(t); m.Type != "event" || !strings.Contains(string(m.Data), `"published":`) {
		t.Errorf("%+v", m)
	}
	b.socket(t, handshake("bk_weak")).refusedV1(t, 4002, `topic "$stats": begins with '$', which is reserved for the broker`)
}

// Users come to a topic with their first connection and leave with their last; a
// takeover in between is silent.
func TestPresenceIsTold(t *testing.T) {
	t.Parallel()
	b := start(t)
	watcher := b.socket(t, v1Opening("/ws?topic=$presence.cats"))
	watcher.acceptedV1(t)
	if m := watcher.v1(t); m.Type != "welcome" {
		t.Fatalf("%+v", m)
	}
	told := func(change, user string) {
		t.Helper()
		want := `{"change":"` + change + `","topic":"cats","user_id":"` + user + `"}`
		if m := watcher.v1(t); m.Topic != "$presence.cats" || string(m.Data) != want {
			t.Errorf("told %+v %s, want %s", m, m.Data, want)
		}
	}
	first, second := b.register(t, `{"user_id":"u"}`), b.register(t, `{"user_id":"u"}`)
	p := b.connect(t, first)
	told("join", "u")
	b.connect(t, second)
	takeover := b.connect(t, first)
	p.closed(t, 4001, "replaced")
	takeover.leave()
	b.unregister(t, second)
	told("leave", "u") // and nothing in between
	b.connect(t, b.register(t, `{"user_id":"v"}`))
	told("join", "v")
	if got := b.call(t, "GET", "/topics/cats/presence", "").body; strings.TrimSpace(got) != `{"topic":"cats","users":[{"user_id":"v","clients":1}]}` {
		t.Error(got)
	}
}
