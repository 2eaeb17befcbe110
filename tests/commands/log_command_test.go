package commands_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"belfry/tests/harness"
)

// TestLogCommands: a log is looked after while no broker uses it.
func TestLogCommands(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := harness.Start(t, "--data="+dir)
	first := b.Publish(t, harness.Event("cats", "one"))
	last := b.Publish(t, `{"topic":"dogs","user_id":7,"message":{"n":2}}`)
	run := func(status int, args ...string) (out, errs string) {
		t.Helper()
		j := begin(t, setting{}, append([]string{"log"}, args...)...)
		j.wait(t, status)
		return j.out.String(), j.err.String()
	}
	if _, errs := run(1, "verify", dir); !strings.Contains(errs, "is in use by another process") {
		t.Errorf("while a broker uses it: %s", errs)
	}
	b.Stop()

	if out, _ := run(0, "verify", dir); !strings.HasPrefix(out, "the log is whole: 2 events") || !strings.Contains(out, last.Cursor) {
		t.Errorf("verify: %s", out)
	}
	out, _ := run(0, "dump", dir)
	var lines []map[string]any
	for line := range strings.Lines(out) {
		var l map[string]any
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		lines = append(lines, l)
	}
	if len(lines) != 2 || lines[0]["cursor"] != first.Cursor || lines[0]["data"] != "one" || lines[1]["user_id"] != "7" || lines[1]["id"] != last.ID {
		t.Errorf("dump: %s", out)
	}
	if out, _ := run(0, "dump", dir, "--after="+first.Cursor); strings.Count(out, "\n") != 1 {
		t.Errorf("dump after the first: %s", out)
	}
	if _, errs := run(1, "dump", dir, "--after="+strings.Repeat("0", 24)); !strings.Contains(errs, "is not of this log") {
		t.Errorf("dump after another log's cursor: %s", errs)
	}
	if out, _ := run(0, "compact", dir); !strings.HasPrefix(out, "the file had ") {
		t.Errorf("compact: %s", out)
	}
	if out, _ := run(0, "renew", dir); strings.Contains(out, last.Cursor[:12]) || !strings.Contains(out, last.Cursor[12:]) {
		t.Errorf("renew: %s", out)
	}
	if _, errs := run(1, "verify", t.TempDir()); !strings.Contains(errs, "there is no log in ") {
		t.Errorf("an empty folder: %s", errs)
	}
	b = harness.Start(t, "--data="+dir)
	next := b.Publish(t, harness.Event("cats", "three"))
	b.Stop()
	if next.Cursor[:12] == last.Cursor[:12] || next.Cursor[12:] <= last.Cursor[12:] {
		t.Errorf("after it was renewed an event is at %s, after %s", next.Cursor, last.Cursor)
	}

	name := filepath.Join(dir, "belfry.db")
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(strings.ReplaceAll(string(text), "three", "thrEE")), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, errs := run(1, "verify", dir); !strings.Contains(errs, "is damaged at position 3") {
		t.Errorf("verify of a damaged log: %s", errs)
	}
}
