package harness

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
)

// A Keyed broker is one with a configuration file.
type Keyed struct {
	*Broker
	File string
}

// Entry is a key's entry in a configuration file, on one line.
func Entry(key string, rights string, topics ...string) string {
	return fmt.Sprintf("  - {name: %s, sha256: \"%x\", rights: [%s], topics: [%s]}\n",
		key, sha256.Sum256([]byte(key)), rights, `"`+strings.Join(topics, `", "`)+`"`)
}

func StartKeyed(t *testing.T, file string, flags ...string) *Keyed {
	t.Helper()
	b := &Keyed{File: filepath.Join(t.TempDir(), "belfry.yaml")}
	b.WriteFile(t, file)
	b.Broker = Start(t, append([]string{"--config=" + b.File}, flags...)...)
	return b
}

func (b *Keyed) WriteFile(t *testing.T, file string) {
	t.Helper()
	if err := os.WriteFile(b.File, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Reload has the program read another configuration, and returns what the log says
// of it.
func (b *Keyed) Reload(t *testing.T, file string) (line string) {
	t.Helper()
	b.WriteFile(t, file)
	return HangUp(b.Broker, t)
}

// HangUp has the program read its configuration again, and waits until it has.
func HangUp(b *Broker, t *testing.T) (line string) {
	t.Helper()
	seen := len(b.Log())
	b.hangups <- syscall.SIGHUP
	Eventually(t, "the configuration is read again", func() bool {
		for _, line = range b.Log()[seen:] {
			if strings.Contains(line, "configuration read again") || strings.Contains(line, "configuration has not been changed") {
				return true
			}
		}
		return false
	})
	return line
}

func (b *Keyed) As(t *testing.T, key, method, target, body string) Answer {
	t.Helper()
	return b.Call(t, method, target, body, "Authorization", "Bearer "+key)
}

// Subscriber opens a connection of belfry.v1 with a key, without a registration.
func (b *Keyed) Subscriber(t *testing.T, key, topic string) *Wire {
	t.Helper()
	w := b.Socket(t, strings.Replace(V1Opening("/ws?topic="+topic), "\r\n", "\r\nAuthorization: Bearer "+key+"\r\n", 1))
	w.AcceptedV1(t)
	if m := w.V1(t); m.Type != "welcome" {
		t.Fatalf("%+v", m)
	}
	return w
}

// Holds checks what the broker retains of a topic.
func (b *Keyed) Holds(t *testing.T, topic string, want ...string) {
	t.Helper()
	var got []any
	for target, more := "/topics/"+topic+"/events", true; more; {
		var page struct {
			Events []struct{ Data any }
			Cursor string
			More   bool
		}
		answer := b.As(t, "backend", "GET", target, "")
		if err := json.Unmarshal([]byte(answer.Body), &page); err != nil {
			t.Fatalf("%v: %s", err, answer.Body)
		}
		for _, ev := range page.Events {
			got = append(got, ev.Data)
		}
		target, more = "/topics/"+topic+"/events?after="+page.Cursor, page.More
	}
	wanted := make([]any, len(want))
	for i, text := range want {
		if err := json.Unmarshal([]byte(text), &wanted[i]); err != nil {
			t.Fatal(err)
		}
	}
	if !reflect.DeepEqual(got, wanted) {
		t.Errorf("%s: there are %d events, want %d: %.300v", topic, len(got), len(want), got)
	}
}

// ForOperators returns what the broker serves to operators.
func (b *Broker) ForOperators(t *testing.T) *Broker {
	t.Helper()
	admin := NewBroker()
	t.Cleanup(admin.HTTP.CloseIdleConnections)
	Eventually(t, "the operators' address is known", func() bool {
		for _, line := range b.Log() {
			if _, rest, ok := strings.Cut(line, `"msg":"listening for operators","addr":"`); ok {
				admin.Addr, _, _ = strings.Cut(rest, `"`)
				return true
			}
		}
		return false
	})
	return admin
}
