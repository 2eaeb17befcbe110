package operations_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"belfry/tests/harness"
)

func TestReload(t *testing.T) {
	t.Parallel()
	backend := harness.Entry("backend", "publish, register, admin", ">")
	pages := harness.Entry("pages", "subscribe", "news.>")
	b := harness.StartKeyed(t, "keys:\n"+backend+pages+harness.Entry("leaked", "subscribe, publish", ">")+harness.Entry("wide", "subscribe", ">"))

	stays, goes, narrowed := b.Subscriber(t, "pages", "news.a"), b.Subscriber(t, "leaked", "news.a"), b.Subscriber(t, "wide", "a.b")
	fits := b.Subscriber(t, "wide", "news.a")
	registered := b.As(t, "backend", "POST", "/register", `{"user_id": 1, "topic": "news.a"}`)
	if registered.Status != http.StatusOK {
		t.Fatal(registered)
	}

	if line := b.Reload(t, "keys:\n"+backend+pages+harness.Entry("wide", "subscribe", "news.>")+"max_message: 10\nhistory: {events: 7}\n"); !strings.Contains(line, "history.events") {
		t.Errorf("the log does not say what needs a restart: %s", line)
	}
	goes.Farewell(t, 4002, "revoked")
	narrowed.Farewell(t, 4002, "revoked")
	b.As(t, "leaked", "POST", "/publish", harness.Event("news.a", "x")).Problem(t, 401, "credentials_invalid")
	b.As(t, "backend", "POST", "/publish", harness.Event("news.a", "more than 10 bytes")).Problem(t, 413, "message_too_large")
	if got := b.As(t, "backend", "POST", "/publish", harness.Event("news.a", "hello")); got.Status != http.StatusOK {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	for _, w := range []*harness.Wire{stays, fits} {
		if m := w.V1(t); m.Type != "event" || string(m.Data) != `"hello"` {
			t.Errorf("%+v", m)
		}
	}

	if line := b.Reload(t, "keys:\n"+backend+harness.Entry("pages", "nonsense", ">")); !strings.Contains(line, "has not been changed") || !strings.Contains(line, "rights") {
		t.Errorf("%s", line)
	}
	if got := b.As(t, "backend", "POST", "/publish", harness.Event("news.a", "again")); got.Status != http.StatusOK {
		t.Errorf("after a wrong file: %d %s", got.Status, got.Body)
	}
	if m := stays.V1(t); string(m.Data) != `"again"` {
		t.Errorf("%+v", m)
	}

}

// testHangup: the shipped program reads its configuration again, and the log's level is
// the file's.
func testHangup(t *testing.T, binary string) {
	b := &harness.Keyed{File: filepath.Join(t.TempDir(), "belfry.yaml")}
	b.WriteFile(t, "log_level: info\n")
	testBroker, process := startBinary(t, binary, "--config="+b.File)
	b.Broker = testBroker
	asked := func(at string) bool {
		b.Call(t, "GET", "/health", "", "X-Request-Id", at)
		return slices.ContainsFunc(b.Log(), func(line string) bool { return strings.Contains(line, at) })
	}
	harness.Eventually(t, "requests are logged", func() bool { return asked("before") })
	b.WriteFile(t, "log_level: error\n")
	process.signal(t, syscall.SIGHUP)
	n := 0
	harness.Eventually(t, "requests are not logged any more", func() bool {
		n++
		return !asked(fmt.Sprint("after-", n))
	})
	b.WriteFile(t, "log_level: info\n")
	process.signal(t, syscall.SIGHUP)
	harness.Eventually(t, "requests are logged again", func() bool { return asked("again") })
	process.signal(t, syscall.SIGTERM)
	if state := process.wait(t); state.ExitCode() != 0 {
		t.Errorf("the program ended with %v", state)
	}
}

// TestReloadNeverOpens: a reload cannot turn a broker that others can reach into an open
// one.
func TestReloadNeverOpens(t *testing.T) {
	t.Parallel()
	b := harness.StartKeyed(t, "keys:\n"+harness.Entry("backend", "publish", ">"), "--addr=0.0.0.0:0")
	_, port, _ := strings.Cut(b.Addr, "]:")
	b.Addr = "127.0.0.1:" + port
	if line := b.Reload(t, "keys: []\n"); !strings.Contains(line, "has not been changed") || !strings.Contains(line, "belfry key create") {
		t.Errorf("%s", line)
	}
	b.Call(t, "POST", "/publish", harness.Event("a", "x")).Problem(t, 401, "credentials_missing")
}

// TestReloadOpens: a local broker that loses its last keys is open, as if it had started
// so.
func TestReloadOpens(t *testing.T) {
	t.Parallel()
	b := harness.StartKeyed(t, "keys:\n"+harness.Entry("backend", "publish", ">"))
	b.Call(t, "POST", "/publish", harness.Event("a", "x")).Problem(t, 401, "credentials_missing")
	b.Reload(t, "")
	b.Publish(t, harness.Event("a", "x"))
	b.Call(t, "POST", "/publish", harness.Event("a", "x"), "X-Forwarded-For", "192.0.2.1").Problem(t, 403, "proxied")
}
