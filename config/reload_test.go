package config

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

func TestReload(t *testing.T) {
	t.Parallel()
	name := write(t, "max_clients: 5\nhistory: {events: 5}\nlog_level: info\nkeys: [{name: a, sha256: "+sumOfA+", rights: [admin]}]\n")
	args, environ := []string{"--config", name, "--max-wait=3s"}, []string{"BELFRY_DRAIN=1s"}
	running := mustParse(t, environ, args...)

	next, restart, err := Reload(running, args, environ)
	if err != nil || len(restart) != 0 || !reflect.DeepEqual(next, running) {
		t.Errorf("nothing has changed: %q, %v\n%+v\n%+v", restart, err, next, running)
	}

	again := `max_clients: 6
max_wait: 4s  # a flag overrules it
history: {events: 6, age: 10m}
log_level: debug
jwt: {issuer: a, audience: []}
default_topics: []
keys: [{name: b, sha256: ` + sumOfB + `, rights: [publish]}]
`
	if err := os.WriteFile(name, []byte(again), 0o600); err != nil {
		t.Fatal(err)
	}
	want := running
	fresh := mustParse(t, environ, args...)
	want.LogLevel, want.JWT, want.Keys, want.Warnings = "debug", fresh.JWT, fresh.Keys, fresh.Warnings
	want.MaxClients, want.DefaultTopics = 6, fresh.DefaultTopics
	next, restart, err = Reload(running, args, environ)
	if names := []string{"history.events"}; err != nil || !reflect.DeepEqual(restart, names) || !reflect.DeepEqual(next, want) {
		t.Errorf("restart for %q, want %q; %v\ngot  %+v\nwant %+v", restart, names, err, next, want)
	}
	if next.Keys[0].Name != "b" || next.JWT.Issuer != "a" || len(next.Warnings) != 1 {
		t.Errorf("%+v", next)
	}

	if err := os.WriteFile(name, []byte("max_clients: x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	next, _, err = Reload(running, args, environ)
	if err == nil || !strings.HasPrefix(err.Error(), name+":1: max_clients=") || !reflect.DeepEqual(next, running) {
		t.Errorf("a wrong file: %v\n%+v", err, next)
	}
}

// A secret that is put into the same file anew is taken over too.
func TestReloadSecret(t *testing.T) {
	t.Parallel()
	secret := write(t, strings.Repeat("s", 32))
	args := []string{"--jwt-secret-file", secret}
	running := mustParse(t, nil, args...)
	if err := os.WriteFile(secret, []byte(strings.Repeat("t", 40)), 0o600); err != nil {
		t.Fatal(err)
	}
	if next, restart, err := Reload(running, args, nil); err != nil || len(restart) != 0 || string(next.JWT.Secret) != strings.Repeat("t", 40) {
		t.Errorf("%q, %v, %q", restart, err, []byte(next.JWT.Secret))
	}
}

// What may be wrong together with another setting changes with it or not at all.
func TestWhatReloads(t *testing.T) {
	t.Parallel()
	reloads := make(map[string]bool)
	for _, s := range settings() {
		reloads[s.key] = s.field.Tag.Get("reload") != ""
	}
	for _, together := range [][]string{{"max_message", "max_body", "client_queue_bytes"}, {"default_topics", "max_subscriptions"}} {
		for _, key := range together {
			if reloads[key] != reloads[together[0]] {
				t.Errorf("%s changes without %s, or the other way round", key, together[0])
			}
		}
	}
	for _, key := range []string{"log_level", "jwt.issuer", "max_connections", "max_publish_rate", "allowed_origins"} {
		if !reloads[key] {
			t.Errorf("%s needs a restart", key)
		}
	}
	if reloads["addr"] || reloads["history.events"] {
		t.Error("what needs a restart is said to need none")
	}
}
