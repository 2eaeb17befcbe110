package transport

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"belfry/hub"
)

// TestProtocols: each protocol has its own form of events among the encoders, and its own
// name; only the last one has none.
func TestProtocols(t *testing.T) {
	t.Parallel()
	protocols := []protocol{sse{}, sseWhole{}, chunked{sse{}}, chunked{sseWhole{}}}
	offered := make(map[string]bool)
	for i, p := range subprotocols {
		protocols = append(protocols, p)
		name := p.subprotocol()
		if offered[name] || (name == "") != (i == len(subprotocols)-1) {
			t.Errorf("number %d is offered as %q", i, name)
		}
		offered[name] = true
	}
	encoders := Encoders(CloudEventDefaults{Source: "urn:x"})
	ev := &hub.Event{ID: "one", Topic: "cats", Time: time.Unix(1e9, 0), Message: []byte(`{"n":1}`)}
	forms := make(map[string]string)
	for _, p := range protocols {
		form := string(encoders[p.conn().Encoding](ev, hub.Cursor{Epoch: 1, Position: 1}))
		if other, ok := forms[form]; ok || !strings.Contains(form, `{"n":1}`) {
			t.Errorf("events of %T are %q, like those of %s", p, form, other)
		}
		forms[form] = p.name()
	}
	for _, p := range protocols {
		form := string(encoders[p.conn().Replay](ev, hub.Cursor{Epoch: 1, Position: 1}))
		if other, ok := forms[form]; ok && other != p.name() || !strings.Contains(form, `{"n":1}`) {
			t.Errorf("events of a replay of %T are %q, like those of %s", p, form, other)
		}
	}
	if len(encoders) < len(forms) {
		t.Errorf("%d encoders for %d forms", len(encoders), len(forms))
	}
}

// TestSubprotocolsAreDocumented: each name that clients may offer is in the pages for them.
func TestSubprotocolsAreDocumented(t *testing.T) {
	t.Parallel()
	for _, page := range []string{"protocol.md", "asyncapi.yaml"} {
		text, err := os.ReadFile("../docs/" + page)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range subprotocols {
			if !strings.Contains(string(text), p.subprotocol()) {
				t.Errorf("%s does not mention %s", page, p.subprotocol())
			}
		}
	}
}

// TestSubprotocolOf: names are compared as they stand, in the broker's order.
func TestSubprotocolOf(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		offered []string
		want    subprotocol
	}{
		{nil, bare{}},
		{[]string{""}, bare{}},
		{[]string{"chat"}, bare{}},
		{[]string{"belfry.v1"}, v1{}},
		{[]string{"BELFRY.V1"}, bare{}},
		{[]string{"cloudevents.json, belfry.v1"}, v1{}},
		{[]string{"chat", "cloudevents.json"}, cloudEvents{}},
	} {
		r := &http.Request{Header: http.Header{"Sec-Websocket-Protocol": test.offered}}
		if got := subprotocolOf(r); got != test.want {
			t.Errorf("of %q it takes %T, want %T", test.offered, got, test.want)
		}
	}
}
