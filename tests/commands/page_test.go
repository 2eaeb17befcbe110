package commands_test

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"belfry/tests/harness"
)

var (
	console = regexp.MustCompile("(?s)```console\n(.*?)```")
	words   = regexp.MustCompile(`'[^']*'|[^ ']+`)
	blank   = regexp.MustCompile(`<[a-z]+>`)
	spaces  = regexp.MustCompile(` +`)
)

// What docs/cli.md says is what happens.
func TestCommandLinePage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	b := harness.Start(t)
	count := 0
	for _, block := range console.FindAllSubmatch(page, -1) {
		for example := range strings.SplitSeq(strings.TrimPrefix(string(block[1]), "$ "), "\n$ ") {
			line, want, _ := strings.Cut(example, "\n")
			count++
			if got := typed(b, t, line); !asShown(want, got) {
				t.Errorf("$ %s\ngot:\n%s\nwant:\n%s", line, got, want)
			}
		}
	}
	if count < 15 {
		t.Errorf("only %d examples", count)
	}
}

// typed does what a line says, the first part of a pipe in a shell, and returns
// what is printed.
func typed(b *harness.Broker, t *testing.T, line string) string {
	t.Helper()
	first, command, piped := strings.Cut(line, " | belfry ")
	stdin := ""
	if piped {
		text, err := exec.CommandContext(t.Context(), harness.Installed(t, "bash"), "-c", first).Output()
		if err != nil {
			t.Fatal(err)
		}
		stdin = string(text)
	} else {
		command = strings.TrimPrefix(line, "belfry ")
	}
	args := words.FindAllString(command, -1)
	for i := range args {
		args[i] = strings.Trim(args[i], "'")
	}
	j := begin(t, here(b, strings.NewReader(stdin)), args...)
	<-j.done
	return j.out.String() + j.err.String()
}

// asShown compares what is printed with a page, but for what is blank there and
// for the width of columns.
func asShown(want, got string) bool {
	one := func(text string) string { return strings.TrimSpace(spaces.ReplaceAllString(text, " ")) }
	pattern := blank.ReplaceAllString(regexp.QuoteMeta(one(want)), `[^\n]+?`)
	return regexp.MustCompile("^" + pattern + "$").MatchString(one(got))
}
