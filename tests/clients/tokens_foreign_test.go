package clients_test

import (
	"os/exec"
	"testing"

	"belfry/tests/harness"
)

// Clients that others wrote send a token in each possible way. They renew it when they are
// told to, and are closed when they do not.

func TestTokensNpmWS(t *testing.T) {
	t.Parallel()
	harness.Npm(t, "ws")
	node := harness.Installed(t, "node")
	testTokens(t, func(t *testing.T, url string) *harness.Stranger {
		return harness.Meet(t, node, "tests/testdata/clients/tokens.js", url)
	})
}

func TestTokensPythonWebsockets(t *testing.T) {
	t.Parallel()
	python := harness.Installed(t, "/usr/bin/python3", "python3")
	if exec.Command(python, "-c", "import websockets").Run() != nil {
		harness.LeaveOut(t, "python3-websockets is not installed")
	}
	testTokens(t, func(t *testing.T, url string) *harness.Stranger {
		return harness.Meet(t, python, "tests/testdata/clients/tokens_websockets.py", url)
	})
}

func TestTokensChromium(t *testing.T) {
	t.Parallel()
	testTokens(t, func(t *testing.T, url string) *harness.Stranger {
		return chromiumPlays(t, "tokens_chromium.mjs", "websocket", url)
	})
	t.Run("EventSource", func(t *testing.T) {
		t.Parallel()
		b, secret := harness.WithTokens(t)
		token := harness.NewToken(t, secret, "--user=7", "--subscribe=cats", "--publish=cats", "--expires=1h")
		s := chromiumPlays(t, "tokens_chromium.mjs", "eventsource", "http://"+b.Addr+"/sse?topic=cats")
		s.Says(harness.Said{Away: true})
		s.Bring(token, "")
		s.Says(harness.Said{Open: true})
		b.PublishWith(t, token, harness.Event("cats", "purr"))
		s.Says(harness.Said{Message: "purr"})
	})
}

func testTokens(t *testing.T, meet func(t *testing.T, url string) *harness.Stranger) {
	t.Run("renewed", func(t *testing.T) {
		t.Parallel()
		b, secret := harness.WithTokens(t)
		s := meet(t, "ws://"+b.Addr+"/ws?topic=cats")
		s.Says(harness.Said{Away: true})
		next := harness.NewToken(t, secret, "--user=7", "--subscribe=cats", "--publish=cats", "--expires=1h")
		s.Bring(harness.NewToken(t, secret, "--user=7", "--subscribe=cats", "--expires=50s"), next) // shorter than the notice of a minute
		s.Says(harness.Said{Open: true, Message: "belfry.v1 7"}, harness.Said{Expiring: true}, harness.Said{Ack: 1})
		b.PublishWith(t, next, harness.Event("cats", "purr"))
		s.Says(harness.Said{Message: "purr"}, harness.Said{Code: 1000})
	})
	t.Run("expired", func(t *testing.T) {
		t.Parallel()
		b, secret := harness.WithTokens(t)
		s := meet(t, "ws://"+b.Addr+"/ws?topic=cats")
		s.Says(harness.Said{Away: true})
		s.Bring(harness.NewToken(t, secret, "--user=7", "--subscribe=cats", "--expires=6s"), "")
		s.Says(harness.Said{Open: true, Message: "belfry.v1 7"}, harness.Said{Expiring: true}, harness.Said{Code: 4002, Reason: "token_expired"})
	})
}
