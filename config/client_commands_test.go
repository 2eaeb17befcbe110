package config

import (
	"io"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"
)

// TestClientCommands: arguments are taken as they stand, and the broker is found by
// a flag, or else by the environment.
func TestClientCommands(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("bk_file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := " a, b "
	local := Broker{URL: "http://127.0.0.1:8000"}
	for _, test := range []struct {
		args    []string
		environ []string
		want    any
	}{
		{[]string{"publish", "cats", " a, b "}, nil, Publish{Topic: "cats", Message: &text, RetryFor: 15 * time.Second, Broker: local}},
		{[]string{"publish", "cats", "-", "--lines"}, nil, Publish{Topic: "cats", Lines: true, RetryFor: 15 * time.Second, Broker: local}},
		{[]string{"subscribe", "a,b", "c d", "--last", "3"}, nil, Subscribe{Topics: Words{"a,b", "c d"}, Last: 3, Format: "auto", Broker: local}},
		{[]string{"subscribe", "--", "-a", "--b"}, nil, Subscribe{Topics: Words{"-a", "--b"}, Format: "auto", Broker: local}},
		{[]string{"health"}, []string{"BELFRY_URL=unix:/s", "BELFRY_KEY= bk_k "}, Health{Broker: Broker{URL: "unix:/s", Key: Secret("bk_k")}}},
		{[]string{"health", "--url", "https://h", "--key-file", file}, []string{"BELFRY_URL=wrong", "BELFRY_KEY=bk_k"},
			Health{Broker: Broker{URL: "https://h", KeyFile: file, Key: Secret("bk_file")}}},
		{[]string{"version", "--json"}, []string{"BELFRY_URL=wrong", "BELFRY_KEY=wrong one"}, Version{JSON: true}},
		{[]string{"top"}, nil, Top{Interval: time.Second, Broker: local}},
		{[]string{"bench", "--transport", "sse"}, nil, Bench{Connections: 100, Topics: 1, Window: 4, Size: 128, Duration: 5 * time.Second,
			Transport: "sse", Publishers: 2, Broker: local}},
	} {
		got, err := ParseCommand(test.args, test.environ, "", io.Discard, io.Discard)
		if err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%q %q: got %+v, %v", test.args, test.environ, got, err)
		}
	}
}

// TestServeKnowsClients: the variables of clients are nothing to warn of.
func TestServeKnowsClients(t *testing.T) {
	t.Parallel()
	c, err := Parse(nil, []string{"BELFRY_URL=x", "BELFRY_KEY=bk_x", "BELFRY_PORT=tcp://10.0.0.1:80"}, "", io.Discard, io.Discard)
	if err != nil || !reflect.DeepEqual(c.Unknown, []string{"BELFRY_PORT"}) {
		t.Error(c.Unknown, err)
	}
}
