package config

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// write makes a file that only its owner may read and write.
func write(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "belfry.yaml")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// nested is a file with one setting.
func nested(key, value string) string {
	if value == "*" || strings.HasPrefix(value, "[") || value == "0600" {
		value = `"` + value + `"`
	}
	if group, name, found := strings.Cut(key, "."); found {
		return group + ":\n  " + name + ": " + value + "\n"
	}
	return key + ": " + value + "\n"
}

func TestFile(t *testing.T) {
	t.Parallel()
	name := write(t, `# a comment
addr: ":1"
default_topics: [a, "b,c"]   # a comma in an item is its own
allowed_origins: https://a.example, https://b.example
resume_window: 0
history: {events: 7}
drain: "3s"
`)
	byFile := mustParse(t, nil, "--config", name)
	if byFile.Addr != ":1" || byFile.History != (History{7, 10 * time.Minute, 64 << 20}) || byFile.ResumeWindow != 0 || byFile.Drain != 3*time.Second ||
		!reflect.DeepEqual(byFile.DefaultTopics, []string{"a", "b,c"}) ||
		!reflect.DeepEqual(byFile.AllowedOrigins, []string{"https://a.example", "https://b.example"}) || byFile.File != name {
		t.Errorf("%+v", byFile)
	}
	if byVariable := mustParse(t, []string{"BELFRY_CONFIG=" + name}); !reflect.DeepEqual(byFile, byVariable) {
		t.Errorf("by flag\n%+v\nby variable\n%+v", byFile, byVariable)
	}
	if c := mustParse(t, []string{"BELFRY_CONFIG=/nowhere"}, "--config="); c.File != "" {
		t.Errorf("an empty flag does not overrule the variable: %q", c.File)
	}
}

func TestPrecedence(t *testing.T) {
	t.Parallel()
	name := write(t, "max_depth: 2\nmax_clients: 2\nmax_wait: 2s\ndefault_topics: [file]\n")
	c := mustParse(t, []string{"BELFRY_MAX_CLIENTS=3", "BELFRY_MAX_WAIT=3s", "BELFRY_CONFIG=" + name, "BELFRY_DEFAULT_TOPICS=a,b"}, "--max-wait=4s")
	if c.MaxFragments != 1024 || c.MaxDepth != 2 || c.MaxClients != 3 || c.MaxWait != 4*time.Second || !reflect.DeepEqual(c.DefaultTopics, []string{"a", "b"}) {
		t.Errorf("%+v", c)
	}
}

func TestEmptyFiles(t *testing.T) {
	t.Parallel()
	for _, content := range []string{"", "\n", "# nothing\n", "---\n", "---\n...\n", "{}", "history:\n", "history:\n  # events: 5\n", "\ufeff"} {
		c, err := parse(nil, "--config", write(t, content))
		c.File = ""
		if err != nil || !reflect.DeepEqual(c, mustParse(t, nil)) {
			t.Errorf("%q: %+v, %v", content, c, err)
		}
	}
}

func TestFileErrors(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{
		"addr: nowhere\nhistory:\n  events: -1\n  age: soon\nping_interval: 5\nlog_level: loud": `FILE:1: addr="nowhere": want host:port or unix:PATH, such as 127.0.0.1:8000 or :0
FILE:3: history.events="-1": want a whole number of 1 to 1000000, such as 100
FILE:4: history.age="soon": want a duration of 1s to 168h, such as 10m
FILE:5: ping_interval="5": want a duration of 10ms to 1h, such as 25s
FILE:6: log_level="loud": want one of debug, info, warn, error`,
		"default_topics: [a, '', \"x\\ny\"]": `FILE:1: default_topics="": want topics of 1 to 255 bytes of UTF-8 without control characters, such as cats,dogs
FILE:1: default_topics="x\ny": want topics of 1 to 255 bytes of UTF-8 without control characters, such as cats,dogs`,

		"max_body: \"2048\"":                  `FILE:1: max_body="2048": want a whole number of 1 to 1073741824, such as 1048576, without quotes`,
		"max_body: 1e6":                       `FILE:1: max_body="1e6": want a whole number of 1 to 1073741824, such as 1048576`,
		"max_body: 0x10":                      `FILE:1: max_body="0x10": want a whole number of 1 to 1073741824, such as 1048576`,
		"max_body:":                           `FILE:1: max_body needs a value: want a whole number of 1 to 1073741824, such as 1048576`,
		"max_body: [1]":                       `FILE:1: max_body: want a whole number of 1 to 1073741824, such as 1048576, not a list`,
		"max_body: {a: 1}":                    `FILE:1: max_body: want a whole number of 1 to 1073741824, such as 1048576, not a group`,
		"max_body: !!str 5":                   `FILE:1: max_body="5": want a whole number of 1 to 1073741824, such as 1048576, without quotes`,
		"default_topics: [a, 5]":              `FILE:1: default_topics=5: want topics of 1 to 255 bytes of UTF-8 without control characters, such as cats,dogs, in quotes`,
		"default_topics: [[a]]":               `FILE:1: default_topics: want topics of 1 to 255 bytes of UTF-8 without control characters, such as cats,dogs, not a list`,
		"history: 5":                          `FILE:1: history: want a group of settings, not "5"`,
		"- addr":                              `FILE:1: want a group of settings, not a list`,
		"[a]: b":                              `FILE:1: want names, not a list`,
		"log_level: &x info\naddr: *x":        `FILE:2: addr: want host:port or unix:PATH, such as 127.0.0.1:8000 or :0, not an alias`,
		"<<: {addr: \":0\"}":                  `FILE:1: unknown setting "<<"`,
		"config: x":                           `FILE:1: unknown setting "config"`,
		"version: x":                          `FILE:1: unknown setting "version"`,
		"resume_windov: 3s":                   `FILE:1: unknown setting "resume_windov", did you mean "resume_window"?`,
		"max-body: 5":                         `FILE:1: unknown setting "max-body", did you mean "max_body"?`,
		"BELFRY_MAX_BODY: 5":                  `FILE:1: unknown setting "BELFRY_MAX_BODY", did you mean "max_body"?`,
		"history_events: 5":                   `FILE:1: unknown setting "history_events", did you mean "history.events"?`,
		"history:\n  event: 5\n  addr: x":     "FILE:2: unknown setting \"history.event\", did you mean \"history.events\"?\nFILE:3: unknown setting \"history.addr\"",
		"drain: 1s\ndrain: 2s":                `FILE:2: drain is given twice, first in line 1`,
		"history: {age: 1s,\n age: 2s}":       `FILE:2: history.age is given twice, first in line 1`,
		"history.age: 1s\nhistory: {age: 2s}": `FILE:2: history.age is given twice, first in line 1`,
		"history: {age: x}\nhistory.age: 1s":  "FILE:1: history.age=\"x\": want a duration of 1s to 168h, such as 10m\nFILE:2: history.age is given twice, first in line 1",
		"drain: 1s\n---\ndrain: 2s":           `FILE:2: want one document only`,
		"drain: 1s\nmax_body 5\nheart: b":     `FILE:2: not YAML from here on: could not find expected ':'`,
		"drain: \"1s":                         `FILE:1: not YAML from here on: found unexpected end of stream`,
		"drain: *x":                           `FILE:1: not YAML from here on: unknown anchor 'x' referenced`,
		"drain: 1s\xff":                       `FILE:1: not YAML from here on: invalid leading UTF-8 octet`,
		strings.Repeat("[", 100_000):          `FILE:1: not YAML from here on: exceeded max depth of 10000`,
		strings.Repeat("#", maxFile) + "\n":   `--config="FILE": want a file of at most 1048576 bytes`,
	} {
		name := write(t, content)
		_, err := parse(nil, "--config", name)
		if got := strings.ReplaceAll(fmt.Sprint(err), name, "FILE"); !strings.HasPrefix(got, want) || len(got) > len(want)+20 {
			t.Errorf("%.100s\ngot\n%s\nwant\n%s", content, got, want)
		}
	}
}

func TestManyErrors(t *testing.T) {
	t.Parallel()
	var content strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&content, "nonsense%d: 1\n", i)
	}
	_, err := parse(nil, "--config", write(t, content.String()))
	if lines := strings.Split(fmt.Sprint(err), "\n"); len(lines) != 101 || lines[100] != "and 900 more" {
		t.Errorf("%d lines: %s", len(lines), lines[len(lines)-1])
	}
}

// Files, variables and flags are all told of at once, and what is wrong together names where each value is from.
func TestSources(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ file, environ, args, want string }{
		{"max_body: 0\n", "BELFRY_MAX_WAIT=x", "--max-depth=0", `--max-depth="0": want a whole number of 1 to 10000, such as 64
FILE:1: max_body="0": want a whole number of 1 to 1073741824, such as 1048576
BELFRY_MAX_WAIT="x": want a duration of 0s to 1h, such as 60s`},
		{"\nmax_body: 1000\n", "", "", `max_message=65536 (the default) with max_body=1000 (FILE:2): want max_message <= max_body`},
		{"max_message: 2000\n", "BELFRY_MAX_BODY=1000", "", `max_message=2000 (FILE:1) with BELFRY_MAX_BODY=1000: want max_message <= max_body`},
		{"max_subscriptions: 1\nmax_message: 1\n", "BELFRY_MAX_MESSAGE=2000", "--max-body=1000 --default-topics=a,b",
			`BELFRY_MAX_MESSAGE=2000 with --max-body=1000: want max_message <= max_body
--default-topics=a,b with max_subscriptions=1 (FILE:1): want at most max_subscriptions topics`},
		{"max_body: x\nmax_message: 99999999", "", "", `FILE:1: max_body="x": want a whole number of 1 to 1073741824, such as 1048576
FILE:2: max_message="99999999": want a whole number of 1 to 16777216, such as 65536`},
		{"drain: x", "", "--drain=1s", `FILE:1: drain="x": want a duration of 0s to 1h, such as 10s`}, // a wrong file is wrong
	} {
		name := write(t, test.file)
		_, err := parse(strings.Fields(test.environ), append(strings.Fields(test.args), "--config", name)...)
		if got := strings.ReplaceAll(fmt.Sprint(err), name, "FILE"); got != test.want {
			t.Errorf("got\n%s\nwant\n%s", got, test.want)
		}
	}
}

func TestUnreadableFiles(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for _, test := range []struct{ name, want string }{
		{folder + "/none", "no such file or directory"}, {folder, "is a directory"}, {folder + "/a\x00", "want the path of a file"},
	} {
		_, byFlag := parse(nil, "--max-body=1", "--config="+test.name)
		_, byVariable := parse([]string{"BELFRY_CONFIG=" + test.name}, "--max-body=1")
		if got, want := fmt.Sprint(byFlag), fmt.Sprintf("--config=%q: %s", test.name, test.want); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if got, want := fmt.Sprint(byVariable), fmt.Sprintf("BELFRY_CONFIG=%q: %s", test.name, test.want); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestWritableFile(t *testing.T) {
	t.Parallel()
	for mode, want := range map[os.FileMode][]string{
		0o600: nil, 0o644: nil, 0o660: {"FILE may be written by others than its owner (mode 0660)"}, 0o602: {"FILE may be written by others than its owner (mode 0602)"},
	} {
		name := write(t, "drain: 1s")
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, warning := range mustParse(t, nil, "--config", name).Warnings {
			got = append(got, strings.ReplaceAll(warning, name, "FILE"))
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%o: %q", mode, got)
		}
	}
}

// Whatever is in a file, it is read or refused in lines of text.
func FuzzFile(f *testing.F) {
	f.Add([]byte("addr: :0\nhistory:\n  events: 5\n"))
	f.Add([]byte("a: &a [*a, *a]\n? x\n: y\n--- !!foo {<<: 1}"))
	f.Fuzz(func(t *testing.T, content []byte) {
		name := write(t, string(content))
		_, err := Parse([]string{"--config", name}, nil, "", io.Discard, io.Discard)
		if err != nil && (bytes.ContainsFunc([]byte(err.Error()), func(r rune) bool { return r < ' ' && r != '\n' })) {
			t.Errorf("%q", err)
		}
	})
}
