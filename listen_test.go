package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// through has a broker's clients reach it by a unix socket.
func through(b *testBroker, path string) {
	b.addr, b.unix = "localhost", path
	b.http.Transport.(*http.Transport).DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}
}

// socketPath is where a unix socket can be.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "belfry") // a test's own is too deep for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "belfry.sock")
}

func TestUnixSocket(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	left.Close() // a program that was killed leaves this behind

	b := start(t, "--addr=unix:"+path, "--socket-mode=0600")
	through(b, path)
	if info, err := os.Stat(path); err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	r := b.register(t, `{"user_id": 1}`)
	p := b.connect(t, r)
	b.publish(t, event("cats", "are awesome"))
	p.expect(t, "are awesome")
	s := b.stream(t, "/sse?topic=cats")
	large := strings.Repeat("x", 60_000)
	for range 50 { // more than a socket holds
		b.publish(t, event("cats", large))
	}
	for range 50 {
		p.expect(t, large)
	}
	s.expect("message", large)

	var logged strings.Builder
	if status := run(t.Context(), nil, []string{"--addr=unix:" + path}, nil, io.Discard, &logged); status != 1 || !strings.Contains(logged.String(), "another program does") {
		t.Errorf("a second broker at the same socket: %d %s", status, logged.String())
	}
	b.publish(t, event("cats", "still here"))
	b.call(t, "GET", "/health", "", "Via", "1.1 proxy").problem(t, 403, "proxied")
}

// TestAdminAddr: what is for operators is at their address alone.
func TestAdminAddr(t *testing.T) {
	t.Parallel()
	b := startKeyed(t, "keys:\n"+entry("ops", "admin", ">")+entry("backend", "publish", ">"), "--admin-addr=127.0.0.1:0")
	admin := newTestBroker()
	defer admin.http.CloseIdleConnections()
	eventually(t, "the operators' address is known", func() bool {
		for _, line := range b.log() {
			if _, rest, ok := strings.Cut(line, `"msg":"listening for operators","addr":"`); ok {
				admin.addr, _, _ = strings.Cut(rest, `"`)
				return true
			}
		}
		return false
	})
	for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/pprof/heap?debug=1", "/debug/pprof/profile?seconds=1", "/debug/pprof/goroutine"} {
		b.as(t, "ops", "GET", path, "").problem(t, 404, "not_found")
		if got := admin.call(t, "GET", path, ""); got.status != http.StatusOK || got.body == "" {
			t.Errorf("%s for operators: %d %.100s", path, got.status, got.body)
		}
		admin.call(t, "GET", path, "", "Origin", "https://page.example").problem(t, 403, "origin_not_allowed")
		admin.call(t, "GET", path, "", "X-Forwarded-For", "192.0.2.1").problem(t, 403, "proxied")
	}
	admin.call(t, "GET", "/debug/pprof/cmdline", "").problem(t, 404, "not_found")
	admin.publish(t, event("a", "x")) // the console does
	admin.call(t, "POST", "/publish", event("a", "x"), "Origin", "https://page.example").problem(t, 403, "origin_not_allowed")
	admin.call(t, "POST", "/register", `{"user_id": 1}`).problem(t, 404, "not_found")
	for _, which := range []*testBroker{b.testBroker, admin} {
		if got := which.call(t, "GET", "/health/ready", ""); got.status != http.StatusOK {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
}

// TestMetricsNeedARight: without an address for operators they are asked for
// their key.
func TestMetricsNeedARight(t *testing.T) {
	t.Parallel()
	b := startKeyed(t, "keys:\n"+entry("ops", "admin", ">")+entry("backend", "publish, register, subscribe", ">"))
	b.call(t, "GET", "/metrics", "").problem(t, 401, "credentials_missing")
	b.as(t, "backend", "GET", "/metrics", "").problem(t, 403, "forbidden")
	if got := b.as(t, "ops", "GET", "/metrics", ""); got.status != http.StatusOK {
		t.Errorf("%d %s", got.status, got.body)
	}
	b.call(t, "GET", "/debug/pprof/", "").problem(t, 404, "not_found")
}
