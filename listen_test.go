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
	admin := b.forOperators(t)
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

// TestAdminAddrElsewhere: at an address that other machines reach operators show their keys,
// and the broker's certificate protects them.
func TestAdminAddrElsewhere(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "belfry.yaml")
	if err := os.WriteFile(file, []byte("keys:\n"+entry("ops", "admin", ">")), 0o600); err != nil {
		t.Fatal(err)
	}
	b := startTLS(t, "--config="+file, "--admin-addr=0.0.0.0:0")
	admin := b.forOperators(t)
	_, port, _ := net.SplitHostPort(admin.addr)
	admin.addr = "127.0.0.1:" + port
	plain := &testBroker{addr: admin.addr}
	if got := plain.socket(t, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").answer(t); got.status != 400 || !strings.Contains(got.body, "HTTPS") {
		t.Errorf("plain HTTP is answered %d %.100s", got.status, got.body)
	}
	admin.useTLS(b.tls)
	admin.call(t, "GET", "/metrics", "").problem(t, 401, "credentials_missing")
	if got := admin.call(t, "GET", "/metrics", "", "Authorization", "Bearer ops"); got.status != http.StatusOK {
		t.Errorf("%d %s", got.status, got.body)
	}

	local := startTLS(t, "--config="+file, "--admin-addr=127.0.0.1:0").forOperators(t)
	if got := local.call(t, "GET", "/metrics", ""); got.status != http.StatusOK {
		t.Errorf("on this machine: %d %s", got.status, got.body)
	}
}

// TestAdminAddrHasItsOwnPlaces: whoever fills one address leaves the other to those who
// need it.
func TestAdminAddrHasItsOwnPlaces(t *testing.T) {
	t.Parallel()
	b := start(t, "--admin-addr=127.0.0.1:0", "--max-http-connections=5")
	admin := b.forOperators(t)
	b.http.Transport.(*http.Transport).DisableKeepAlives = true
	admin.http.Transport.(*http.Transport).DisableKeepAlives = true
	fill := func(crowded, other *testBroker, places int) (idle []*wire) {
		t.Helper()
		for range places {
			idle = append(idle, crowded.socket(t))
		}
		eventually(t, "there is no place left", func() bool {
			_, err := crowded.do("GET", "/health", "")
			return err != nil
		})
		if got := other.call(t, "GET", "/health", ""); got.status != http.StatusOK {
			t.Errorf("with %d idle connections elsewhere: %d %s", places, got.status, got.body)
		}
		return idle
	}
	for _, w := range fill(b, admin, 5) {
		w.Close()
	}
	for _, w := range fill(admin, b, 16) {
		w.Close()
	}
	const refused = `belfry_refused_total{limit="max_http_connections"}`
	eventually(t, "operators come in again", func() bool {
		got, err := admin.do("GET", "/metrics", "")
		return err == nil && got.status == http.StatusOK && strings.Contains(got.body, refused) && !strings.Contains(got.body, refused+" 0\n")
	})
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

// TestOptionsOfProxies: proxies that are told no path ask for the options of all, or of /.
func TestOptionsOfProxies(t *testing.T) {
	t.Parallel()
	b := start(t)
	for target, status := range map[string]int{"*": 200, "/": 204} {
		if got := b.socket(t, "OPTIONS "+target+" HTTP/1.1\r\nHost: localhost\r\n\r\n").answer(t); got.status != status || got.body != "" {
			t.Errorf("OPTIONS %s: %d %s", target, got.status, got.body)
		}
	}
}
