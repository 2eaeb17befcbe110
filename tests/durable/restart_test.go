package durable_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"belfry/tests/harness"
)

// With --data the log is on the disk: after a restart cursors are valid, and clients get
// what they have missed.

// kept are flags of a broker that keeps its log in a folder.
func kept(dir string, more ...string) []string {
	return append([]string{"--data=" + dir, "--history-events=1000000", "--history-age=24h", "--history-bytes=1073741824"}, more...)
}

// number publishes the numbers from one to another, and returns the last receipt.
func number(t *testing.T, b *harness.Broker, topic string, from, to int) (r harness.Receipt) {
	t.Helper()
	for n := from; n <= to; n++ {
		r = b.Publish(t, harness.Event(topic, fmt.Sprint(n)))
	}
	return r
}

// TestRestart: over all transports clients come back with their cursors, and a repeat is
// known as one.
func TestRestart(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "log")
	b := harness.Start(t, kept(dir)...)
	first := number(t, b, "cats", 0, 9)
	keyed := harness.Ask[harness.Receipt](t, b, "POST", "/publish", harness.Event("dogs", "once"), "Idempotency-Key", `"one"`)
	last := number(t, b, "cats", 10, 19)
	if got := b.Stop(); got != 0 {
		t.Fatalf("the program ended with status %d", got)
	}
	if info, err := os.Stat(filepath.Join(dir, "belfry.db")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info, err)
	}

	b = harness.Start(t, kept(dir)...)
	again := harness.Ask[map[string]any](t, b, "POST", "/publish", harness.Event("dogs", "once"), "Idempotency-Key", `"one"`)
	if _, counted := again["matched"]; again["id"] != keyed.ID || again["cursor"] != keyed.Cursor || again["duplicate"] != true || counted {
		t.Errorf("the repeat: %v, want that of %+v", again, keyed)
	}
	t.Run("belfry.v1", func(t *testing.T) {
		w := b.WireV1(t, "/ws?topic=cats&after="+first.Cursor)
		for n := 10; n < 20; n++ {
			if m := w.V1(t); m.Type != "event" || string(m.Data) != fmt.Sprintf("%q", fmt.Sprint(n)) {
				t.Fatalf("%+v, want %d", m, n)
			}
		}
	})
	t.Run("SSE", func(t *testing.T) {
		s := b.Stream(t, "/sse?topic=cats", "Last-Event-ID: "+first.Cursor)
		for n := 10; n < 20; {
			ev, ok := s.Next()
			switch {
			case !ok || ev.Kind == "gap":
				t.Fatalf("%v, want %d", ev, n)
			case ev.Kind == "message" || ev.Kind == "":
				if ev.Data != fmt.Sprint(n) {
					t.Fatalf("%v, want %d", ev, n)
				}
				n++
			}
		}
	})
	t.Run("history", func(t *testing.T) {
		numbers, _ := b.Page(t, "cats", "after="+first.Cursor)
		if want := []int{10, 11, 12, 13, 14, 15, 16, 17, 18, 19}; !slices.Equal(numbers, want) {
			t.Errorf("%v, want %v", numbers, want)
		}
	})
	next := number(t, b, "cats", 20, 20)
	if next.Cursor <= last.Cursor || next.Cursor[:12] != last.Cursor[:12] {
		t.Errorf("the next event is at %s, after %s", next.Cursor, last.Cursor)
	}
}

// TestOneBroker: a second broker of the same folder ends with a clear message, and changes
// nothing.
func TestOneBroker(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := harness.Start(t, kept(dir)...)
	number(t, b, "cats", 0, 0)
	binary := build(t)
	out, code := output(t, binary, "--addr=127.0.0.1:0", "--data="+dir)
	if code != 2 || !strings.Contains(out, "is in use by another process") {
		t.Errorf("%d: %s", code, out)
	}
	number(t, b, "cats", 1, 1)
}

// TestDamagedLog: a broker with a damaged log ends with a message that says where, and how
// to go on. It does so each time.
func TestDamagedLog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := harness.Start(t, kept(dir)...)
	r := b.Publish(t, harness.Event("cats", "a text that is found in the file"))
	b.Stop()
	name := filepath.Join(dir, "belfry.db")
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	hurt := strings.ReplaceAll(string(text), "found in the file", "found in the filE")
	if err := os.WriteFile(name, []byte(hurt), 0o600); err != nil || hurt == string(text) {
		t.Fatalf("nothing is damaged: %v", err)
	}
	binary := build(t)
	for range 2 {
		out, code := output(t, binary, "--addr=127.0.0.1:0", "--data="+dir)
		if code != 2 || !strings.Contains(out, "damaged at position 1") || !strings.Contains(out, "restore a backup") {
			t.Errorf("%d: %s", code, out)
		}
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	b = harness.Start(t, kept(dir)...)
	if got := b.Call(t, "GET", "/topics/cats/events?after="+r.Cursor, ""); got.Status != http.StatusGone {
		t.Errorf("with a new log an old cursor is answered %d %s", got.Status, got.Body)
	}
}
