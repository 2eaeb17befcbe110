package main

import (
	"io"
	"os/exec"
	"testing"
)

// Clients that others wrote bring a token, in each way that there is, renew it
// when they are told to, and are shown out when they don't.

func TestTokensNpmWS(t *testing.T) {
	t.Parallel()
	npm(t, "ws")
	node := installed(t, "node")
	testTokens(t, func(t *testing.T, url string) *stranger {
		return meet(t, node, "testdata/clients/tokens.js", url)
	})
}

func TestTokensPythonWebsockets(t *testing.T) {
	t.Parallel()
	python := installed(t, "/usr/bin/python3", "python3")
	if exec.Command(python, "-c", "import websockets").Run() != nil {
		leaveOut(t, "python3-websockets is not installed")
	}
	testTokens(t, func(t *testing.T, url string) *stranger {
		return meet(t, python, "testdata/clients/tokens_websockets.py", url)
	})
}

func TestTokensChromium(t *testing.T) {
	t.Parallel()
	testTokens(t, func(t *testing.T, url string) *stranger {
		return chromiumPlays(t, "tokens_chromium.mjs", "websocket", url)
	})
	t.Run("EventSource", func(t *testing.T) {
		t.Parallel()
		b, secret := withTokens(t)
		token := newToken(t, secret, "--user=7", "--subscribe=cats", "--publish=cats", "--expires=1h")
		s := chromiumPlays(t, "tokens_chromium.mjs", "eventsource", "http://"+b.addr+"/sse?topic=cats")
		s.says(said{Away: true})
		s.bring(token, "")
		s.says(said{Open: true})
		b.publishWith(t, token, event("cats", "purr"))
		s.says(said{Message: "purr"})
	})
}

func testTokens(t *testing.T, meet func(t *testing.T, url string) *stranger) {
	t.Run("renewed", func(t *testing.T) {
		t.Parallel()
		b, secret := withTokens(t)
		s := meet(t, "ws://"+b.addr+"/ws?topic=cats")
		s.says(said{Away: true})
		next := newToken(t, secret, "--user=7", "--subscribe=cats", "--publish=cats", "--expires=1h")
		s.bring(newToken(t, secret, "--user=7", "--subscribe=cats", "--expires=50s"), next) // shorter than the notice of a minute
		s.says(said{Open: true, Message: "belfry.v1 7"}, said{Expiring: true}, said{Ack: 1})
		b.publishWith(t, next, event("cats", "purr"))
		s.says(said{Message: "purr"}, said{Code: 1000})
	})
	t.Run("expired", func(t *testing.T) {
		t.Parallel()
		b, secret := withTokens(t)
		s := meet(t, "ws://"+b.addr+"/ws?topic=cats")
		s.says(said{Away: true})
		s.bring(newToken(t, secret, "--user=7", "--subscribe=cats", "--expires=6s"), "")
		s.says(said{Open: true, Message: "belfry.v1 7"}, said{Expiring: true}, said{Code: 4002, Reason: "token_expired"})
	})
}

// bring tells a client its token, and the next.
func (s *stranger) bring(token, next string) {
	s.t.Helper()
	if _, err := io.WriteString(s.tell, token+" "+next+"\n"); err != nil {
		s.t.Fatal(err)
	}
}
