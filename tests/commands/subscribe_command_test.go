package commands_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"belfry/tests/harness"
)

var clock = regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d\.\d{3}`)

// TestSubscribeCommand: events are text with colours on a terminal, text without colours
// if NO_COLOR is set, and JSON elsewhere.
func TestSubscribeCommand(t *testing.T) {
	t.Parallel()
	b := harness.Start(t)
	b.Publish(t, harness.Event("cats", "one\x1b[31m\n"))
	b.Call(t, "POST", "/publish", `{"topic":"cats.eu","message":{"n": 1.50}}`)
	args := []string{"subscribe", "cats", "cats.>", "--last", "5", "--count", "2", "--cursor"}
	j := begin(t, setting{terminal: true, environ: here(b, nil).environ}, args...)
	j.wait(t, 0)
	want := "TIME \x1b[36mcats\x1b[0m one\\u001b[31m\\n\nTIME \x1b[36mcats.eu\x1b[0m {\"n\":1.50}\n"
	if got := clock.ReplaceAllString(j.out.String(), "TIME"); got != want {
		t.Errorf("got %q", got)
	}
	if errs := j.err.String(); !strings.HasPrefix(errs, "connected as ") || !strings.Contains(errs, "\ncursor: ") {
		t.Error(errs)
	}
	out, errs := belfry(b, t, 0, "", args...)
	first, rest, _ := strings.Cut(out, "\n")
	var e struct {
		Topic, ID, Data, Cursor string
		Time                    string
	}
	if err := json.Unmarshal([]byte(first), &e); err != nil || e.Topic != "cats" || e.Data != "one\x1b[31m\n" || e.ID == "" || len(e.Cursor) != 24 || e.Time == "" {
		t.Error(first, err)
	}
	if !strings.Contains(rest, `"data":{"n":1.50}`) || !strings.HasPrefix(errs, "cursor: ") {
		t.Error(rest, errs)
	}
	out, _ = belfry(b, t, 0, "", "subscribe", "cats.eu", "--after", e.Cursor, "--count", "1", "--format", "text")
	if got := clock.ReplaceAllString(out, "TIME"); got != "TIME cats.eu {\"n\":1.50}\n" {
		t.Error(got)
	}
}

// TestSubscribeInterrupted: an interrupt ends the command in order, with the cursor to
// continue from.
func TestSubscribeInterrupted(t *testing.T) {
	t.Parallel()
	b := harness.Start(t)
	j := begin(t, here(b, nil), "subscribe", "cats", "--cursor", "--format", "text")
	harness.Eventually(t, "it is connected", func() bool { return b.Metric(t, "belfry_connections") == 1 })
	r := b.Publish(t, harness.Event("cats", "one"))
	j.says(t, &j.out, " cats one\n")
	j.stop(t, 0)
	if errs := j.err.String(); errs != "cursor: "+r.Cursor+"\n" {
		t.Error(errs)
	}
	harness.Eventually(t, "the connection is closed", func() bool { return b.Metric(t, "belfry_connections") == 0 })
}

// TestSubscribeGap: lost events are reported.
func TestSubscribeGap(t *testing.T) {
	t.Parallel()
	b := harness.Start(t, "--history-events=1")
	first := b.Publish(t, harness.Event("cats", "one"))
	b.Publish(t, harness.Event("cats", "two"))
	b.Publish(t, harness.Event("cats", "three"))
	out, errs := belfry(b, t, 0, "", "subscribe", "cats", "--after", first.Cursor, "--count", "1")
	if !strings.Contains(out, `"three"`) || !strings.HasPrefix(errs, "gap: events of cats are lost (expired), between the cursors "+first.Cursor) {
		t.Error(out, errs)
	}
}

// TestSubscribeRefused: an error that another attempt cannot mend ends the command.
func TestSubscribeRefused(t *testing.T) {
	t.Parallel()
	b := harness.Start(t)
	for args, want := range map[string]struct {
		status int
		says   string
	}{
		"subscribe":                        {2, `expected "<topics>"`},
		"subscribe a --after x --last 1":   {2, "--after with --last"},
		"subscribe a --count -1":           {2, "--count"},
		"subscribe a --format xml":         {2, "want one of auto, text, json"},
		"subscribe $x":                     {1, "4002"},
		"subscribe a --url http://%s/here": {1, "404"},
	} {
		if strings.Contains(args, "%s") {
			args = fmt.Sprintf(args, b.Addr)
		}
		if _, errs := belfry(b, t, want.status, "", strings.Fields(args)...); !strings.Contains(errs, want.says) {
			t.Errorf("%s: %q, want %q", args, errs, want.says)
		}
	}
}

// TestCommandsComeBack: a broker goes away and another one takes its place. A subscriber
// receives the new one's events, and a gap first; a publish waits.
func TestCommandsComeBack(t *testing.T) {
	t.Parallel()
	const soon = "--reconnect-delay=10ms"
	b := startAlone(t, soon)
	watching := begin(t, here(b, nil), "subscribe", "cats", "--format", "text")
	harness.Eventually(t, "it is connected", func() bool { return b.Metric(t, "belfry_connections") == 1 })
	b.Publish(t, harness.Event("cats", "before"))
	watching.says(t, &watching.out, " cats before\n")
	b.Stop()
	watching.says(t, &watching.err, "trying again in ")
	publishing := begin(t, here(b, strings.NewReader("after")), "publish", "cats")
	publishing.says(t, &publishing.err, "connection refused; trying again in ")
	successor(b, t, soon)
	publishing.wait(t, 0)
	watching.says(t, &watching.out, " cats after\n")
	watching.says(t, &watching.err, "gap: events of cats are lost (restarted)")
	watching.says(t, &watching.err, "connected as ")
	watching.stop(t, 0)
}

// TestCommandKeys: a key comes from the environment or a file.
func TestCommandKeys(t *testing.T) {
	t.Parallel()
	made := begin(t, setting{}, "key", "create", "--rights", "publish,subscribe,admin", "--name", "all")
	made.wait(t, 0)
	key := strings.TrimSpace(made.out.String())
	folder := t.TempDir()
	write := func(name, content string) string {
		t.Helper()
		name = filepath.Join(folder, name)
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	b := harness.Start(t, "--config", write("belfry.yaml", "keys:\n"+made.err.String()))
	url := "BELFRY_URL=http://" + b.Addr
	for name, c := range map[string]struct {
		environ []string
		args    []string
		status  int
		says    string
	}{
		"none":      {nil, nil, 1, "(401)"},
		"another":   {[]string{"BELFRY_KEY=bk_other"}, nil, 1, "(401)"},
		"right":     {[]string{"BELFRY_KEY=" + key}, nil, 0, ""},
		"file":      {[]string{"BELFRY_KEY=bk_other"}, []string{"--key-file", write("key", key+"\n")}, 0, ""},
		"none such": {nil, []string{"--key-file", write("bad", "two words")}, 2, "want a key or token of printable ASCII"},
	} {
		for _, command := range [][]string{{"publish", "cats", "x"}, {"top", "--once", "--interval", "10ms"}, {"subscribe", "cats", "--last", "1", "--count", "1"}} {
			if command[0] == "subscribe" && c.status == 1 {
				c.says = "400" // the code of a close
			}
			j := begin(t, setting{environ: append([]string{url}, c.environ...)}, append(command, c.args...)...)
			j.wait(t, c.status)
			if errs := j.err.String(); !strings.Contains(errs, c.says) || strings.Contains(errs, "bk_") {
				t.Errorf("%s, %s: %q", name, command, errs)
			}
		}
	}
	b.Stop()
	for _, line := range b.Log() {
		if strings.Contains(line, key) {
			t.Error(line)
		}
	}
}
