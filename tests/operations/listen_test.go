package operations_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"belfry/cli/app"
	"belfry/tests/harness"
)

// through makes a broker's clients reach it by a unix socket.
func through(b *harness.Broker, path string) {
	b.Addr, b.Unix = "localhost", path
	b.HTTP.Transport.(*http.Transport).DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}
}

// socketPath returns a path for a unix socket.
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
	left.Close() // a program that was killed leaves this

	b := harness.Start(t, "--addr=unix:"+path, "--socket-mode=0600")
	through(b, path)
	if info, err := os.Stat(path); err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	r := b.Register(t, `{"user_id": 1}`)
	p := b.Connect(t, r)
	b.Publish(t, harness.Event("cats", "are awesome"))
	p.Expect(t, "are awesome")
	s := b.Stream(t, "/sse?topic=cats")
	large := strings.Repeat("x", 60_000)
	for range 50 { // more than a socket holds
		b.Publish(t, harness.Event("cats", large))
	}
	for range 50 {
		p.Expect(t, large)
	}
	s.Expect("message", large)

	var logged strings.Builder
	if status := app.Run(t.Context(), nil, []string{"--addr=unix:" + path}, nil, io.Discard, &logged); status != 1 || !strings.Contains(logged.String(), "another program listens there") {
		t.Errorf("a second broker at the same socket: %d %s", status, logged.String())
	}
	b.Publish(t, harness.Event("cats", "still here"))
	b.Call(t, "GET", "/health", "", "Via", "1.1 proxy").Problem(t, 403, "proxied")
}

// TestAdminAddr: the calls for operators are only at their address.
func TestAdminAddr(t *testing.T) {
	t.Parallel()
	b := harness.StartKeyed(t, "keys:\n"+harness.Entry("ops", "admin", ">")+harness.Entry("backend", "publish", ">"), "--admin-addr=127.0.0.1:0")
	admin := b.ForOperators(t)
	for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/pprof/heap?debug=1", "/debug/pprof/profile?seconds=1", "/debug/pprof/goroutine"} {
		b.As(t, "ops", "GET", path, "").Problem(t, 404, "not_found")
		if got := admin.Call(t, "GET", path, ""); got.Status != http.StatusOK || got.Body == "" {
			t.Errorf("%s for operators: %d %.100s", path, got.Status, got.Body)
		}
		admin.Call(t, "GET", path, "", "Origin", "https://page.example").Problem(t, 403, "origin_not_allowed")
		admin.Call(t, "GET", path, "", "X-Forwarded-For", "192.0.2.1").Problem(t, 403, "proxied")
	}
	admin.Call(t, "GET", "/debug/pprof/cmdline", "").Problem(t, 404, "not_found")
	admin.Publish(t, harness.Event("a", "x")) // the console does
	admin.Call(t, "POST", "/publish", harness.Event("a", "x"), "Origin", "https://page.example").Problem(t, 403, "origin_not_allowed")
	admin.Call(t, "POST", "/register", `{"user_id": 1}`).Problem(t, 404, "not_found")
	for _, which := range []*harness.Broker{b.Broker, admin} {
		if got := which.Call(t, "GET", "/health/ready", ""); got.Status != http.StatusOK {
			t.Errorf("%d %s", got.Status, got.Body)
		}
	}
}

// TestAdminAddrElsewhere: at an address that other machines can reach, operators need
// their keys, and the broker's certificate protects them.
func TestAdminAddrElsewhere(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "belfry.yaml")
	if err := os.WriteFile(file, []byte("keys:\n"+harness.Entry("ops", "admin", ">")), 0o600); err != nil {
		t.Fatal(err)
	}
	b := harness.StartTLS(t, "--config="+file, "--admin-addr=0.0.0.0:0")
	admin := b.ForOperators(t)
	_, port, _ := net.SplitHostPort(admin.Addr)
	admin.Addr = "127.0.0.1:" + port
	plain := &harness.Broker{Addr: admin.Addr}
	if got := plain.Socket(t, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").Answer(t); got.Status != 400 || !strings.Contains(got.Body, "HTTPS") {
		t.Errorf("plain HTTP is answered %d %.100s", got.Status, got.Body)
	}
	admin.UseTLS(b.TLS)
	admin.Call(t, "GET", "/metrics", "").Problem(t, 401, "credentials_missing")
	if got := admin.Call(t, "GET", "/metrics", "", "Authorization", "Bearer ops"); got.Status != http.StatusOK {
		t.Errorf("%d %s", got.Status, got.Body)
	}

	local := harness.StartTLS(t, "--config="+file, "--admin-addr=127.0.0.1:0").ForOperators(t)
	if got := local.Call(t, "GET", "/metrics", ""); got.Status != http.StatusOK {
		t.Errorf("on this machine: %d %s", got.Status, got.Body)
	}
}

// TestAdminAddrHasItsOwnPlaces: whoever fills one address leaves room at the other.
func TestAdminAddrHasItsOwnPlaces(t *testing.T) {
	t.Parallel()
	b := harness.Start(t, "--admin-addr=127.0.0.1:0", "--max-http-connections=5")
	admin := b.ForOperators(t)
	b.HTTP.Transport.(*http.Transport).DisableKeepAlives = true
	admin.HTTP.Transport.(*http.Transport).DisableKeepAlives = true
	fill := func(crowded, other *harness.Broker, places int) (idle []*harness.Wire) {
		t.Helper()
		for range places {
			idle = append(idle, crowded.Socket(t))
		}
		harness.Eventually(t, "there is no place left", func() bool {
			_, err := crowded.Do("GET", "/health", "")
			return err != nil
		})
		if got := other.Call(t, "GET", "/health", ""); got.Status != http.StatusOK {
			t.Errorf("with %d idle connections elsewhere: %d %s", places, got.Status, got.Body)
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
	harness.Eventually(t, "operators come in again", func() bool {
		got, err := admin.Do("GET", "/metrics", "")
		return err == nil && got.Status == http.StatusOK && strings.Contains(got.Body, refused) && !strings.Contains(got.Body, refused+" 0\n")
	})
}

// TestMetricsNeedARight: without an address for operators, metrics need a key.
func TestMetricsNeedARight(t *testing.T) {
	t.Parallel()
	b := harness.StartKeyed(t, "keys:\n"+harness.Entry("ops", "admin", ">")+harness.Entry("backend", "publish, register, subscribe", ">"))
	b.Call(t, "GET", "/metrics", "").Problem(t, 401, "credentials_missing")
	b.As(t, "backend", "GET", "/metrics", "").Problem(t, 403, "forbidden")
	if got := b.As(t, "ops", "GET", "/metrics", ""); got.Status != http.StatusOK {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	b.Call(t, "GET", "/debug/pprof/", "").Problem(t, 404, "not_found")
}

// TestOptionsOfProxies: proxies without a path ask for the options of * or of /.
func TestOptionsOfProxies(t *testing.T) {
	t.Parallel()
	b := harness.Start(t)
	for target, status := range map[string]int{"*": 200, "/": 204} {
		if got := b.Socket(t, "OPTIONS "+target+" HTTP/1.1\r\nHost: localhost\r\n\r\n").Answer(t); got.Status != status || got.Body != "" {
			t.Errorf("OPTIONS %s: %d %s", target, got.Status, got.Body)
		}
	}
}
