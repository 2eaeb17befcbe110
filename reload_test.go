package main

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// A keyed broker is one with a configuration file.
type keyed struct {
	*testBroker
	file string
}

// entry is a key's entry in a configuration file, on one line.
func entry(key string, rights string, topics ...string) string {
	return fmt.Sprintf("  - {name: %s, sha256: \"%x\", rights: [%s], topics: [%s]}\n",
		key, sha256.Sum256([]byte(key)), rights, `"`+strings.Join(topics, `", "`)+`"`)
}

func startKeyed(t *testing.T, file string, flags ...string) *keyed {
	t.Helper()
	b := &keyed{file: filepath.Join(t.TempDir(), "belfry.yaml")}
	b.write(t, file)
	b.testBroker = start(t, append([]string{"--config=" + b.file}, flags...)...)
	return b
}

func (b *keyed) write(t *testing.T, file string) {
	t.Helper()
	if err := os.WriteFile(b.file, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
}

// reload has the program read another configuration, and returns what the log says
// of it.
func (b *keyed) reload(t *testing.T, file string) (line string) {
	t.Helper()
	b.write(t, file)
	return b.hangUp(t)
}

// hangUp has the program read its configuration again, and waits until it has.
func (b *testBroker) hangUp(t *testing.T) (line string) {
	t.Helper()
	seen := len(b.log())
	b.hangups <- syscall.SIGHUP
	eventually(t, "the configuration is read again", func() bool {
		for _, line = range b.log()[seen:] {
			if strings.Contains(line, "configuration read again") || strings.Contains(line, "configuration has not been changed") {
				return true
			}
		}
		return false
	})
	return line
}

func (b *keyed) as(t *testing.T, key, method, target, body string) answer {
	t.Helper()
	return b.call(t, method, target, body, "Authorization", "Bearer "+key)
}

// subscriber opens a connection of belfry.v1 with a key, without a registration.
func (b *keyed) subscriber(t *testing.T, key, topic string) *wire {
	t.Helper()
	w := b.socket(t, strings.Replace(v1Opening("/ws?topic="+topic), "\r\n", "\r\nAuthorization: Bearer "+key+"\r\n", 1))
	w.acceptedV1(t)
	if m := w.v1(t); m.Type != "welcome" {
		t.Fatalf("%+v", m)
	}
	return w
}

func TestReload(t *testing.T) {
	t.Parallel()
	backend := entry("backend", "publish, register, admin", ">")
	pages := entry("pages", "subscribe", "news.>")
	b := startKeyed(t, "keys:\n"+backend+pages+entry("leaked", "subscribe, publish", ">")+entry("wide", "subscribe", ">"))

	stays, goes, narrowed := b.subscriber(t, "pages", "news.a"), b.subscriber(t, "leaked", "news.a"), b.subscriber(t, "wide", "a.b")
	fits := b.subscriber(t, "wide", "news.a")
	registered := b.as(t, "backend", "POST", "/register", `{"user_id": 1, "topic": "news.a"}`)
	if registered.status != http.StatusOK {
		t.Fatal(registered)
	}

	if line := b.reload(t, "keys:\n"+backend+pages+entry("wide", "subscribe", "news.>")+"max_message: 10\nhistory: {events: 7}\n"); !strings.Contains(line, "history.events") {
		t.Errorf("the log does not say what needs a restart: %s", line)
	}
	goes.farewell(t, 4002, "revoked")
	narrowed.farewell(t, 4002, "revoked")
	b.as(t, "leaked", "POST", "/publish", event("news.a", "x")).problem(t, 401, "credentials_invalid")
	b.as(t, "backend", "POST", "/publish", event("news.a", "more than 10 bytes")).problem(t, 413, "message_too_large")
	if got := b.as(t, "backend", "POST", "/publish", event("news.a", "hello")); got.status != http.StatusOK {
		t.Errorf("%d %s", got.status, got.body)
	}
	for _, w := range []*wire{stays, fits} {
		if m := w.v1(t); m.Type != "event" || string(m.Data) != `"hello"` {
			t.Errorf("%+v", m)
		}
	}

	if line := b.reload(t, "keys:\n"+backend+entry("pages", "nonsense", ">")); !strings.Contains(line, "has not been changed") || !strings.Contains(line, "rights") {
		t.Errorf("%s", line)
	}
	if got := b.as(t, "backend", "POST", "/publish", event("news.a", "again")); got.status != http.StatusOK {
		t.Errorf("after a wrong file: %d %s", got.status, got.body)
	}
	if m := stays.v1(t); string(m.Data) != `"again"` {
		t.Errorf("%+v", m)
	}

}

// testHangup: the program as it is shipped reads its configuration again, and
// the level of its log is what the file says.
func testHangup(t *testing.T, binary string) {
	b := &keyed{file: filepath.Join(t.TempDir(), "belfry.yaml")}
	b.write(t, "log_level: info\n")
	testBroker, process := startBinary(t, binary, "--config="+b.file)
	b.testBroker = testBroker
	asked := func(at string) bool {
		b.call(t, "GET", "/health", "", "X-Request-Id", at)
		return slices.ContainsFunc(b.log(), func(line string) bool { return strings.Contains(line, at) })
	}
	eventually(t, "requests are logged", func() bool { return asked("before") })
	b.write(t, "log_level: error\n")
	process.signal(t, syscall.SIGHUP)
	n := 0
	eventually(t, "requests are not logged any more", func() bool {
		n++
		return !asked(fmt.Sprint("after-", n))
	})
	b.write(t, "log_level: info\n")
	process.signal(t, syscall.SIGHUP)
	eventually(t, "requests are logged again", func() bool { return asked("again") })
	process.signal(t, syscall.SIGTERM)
	if state := process.wait(t); state.ExitCode() != 0 {
		t.Errorf("the program ended with %v", state)
	}
}

// TestReloadNeverOpens: no file makes a broker that others can reach an open one.
func TestReloadNeverOpens(t *testing.T) {
	t.Parallel()
	b := startKeyed(t, "keys:\n"+entry("backend", "publish", ">"), "--addr=0.0.0.0:0")
	_, port, _ := strings.Cut(b.addr, "]:")
	b.addr = "127.0.0.1:" + port
	if line := b.reload(t, "keys: []\n"); !strings.Contains(line, "has not been changed") || !strings.Contains(line, "belfry key create") {
		t.Errorf("%s", line)
	}
	b.call(t, "POST", "/publish", event("a", "x")).problem(t, 401, "credentials_missing")
}

// TestReloadOpens: a broker on this machine that has had keys and is to
// have none any more is open as if it had started so.
func TestReloadOpens(t *testing.T) {
	t.Parallel()
	b := startKeyed(t, "keys:\n"+entry("backend", "publish", ">"))
	b.call(t, "POST", "/publish", event("a", "x")).problem(t, 401, "credentials_missing")
	b.reload(t, "")
	b.publish(t, event("a", "x"))
	b.call(t, "POST", "/publish", event("a", "x"), "X-Forwarded-For", "192.0.2.1").problem(t, 403, "proxied")
}
