package docs_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// maxColumns bounds a line of a page.
const maxColumns = 100

var (
	behind      = regexp.MustCompile(`(?i)\bbehind\b`)
	mention     = regexp.MustCompile(`(^|[^*])\*[^* ]+\*($|[^*])|` + "`[^`]*`") // of a word or a name
	unbreakable = regexp.MustCompile(`^ *([-*] )?(\S+|!?\[[^]]*\]\(\S+\))$`)
)

// TestWords: lines of prose have at most 100 columns, so that they are read in any editor
// and compared line by line. No page says behind, which means before, after and too slow.
func TestWords(t *testing.T) {
	t.Parallel()
	for _, name := range pagesOf(t) {
		for n, line := range prose(read(t, name)) {
			table := strings.HasPrefix(line, "|")
			if width := utf8.RuneCountInString(line); width > maxColumns && !table && !unbreakable.MatchString(line) {
				t.Errorf("%s:%d: %d columns: want at most %d", name, n+1, width, maxColumns)
			}
			if behind.MatchString(mention.ReplaceAllString(line, "")) {
				t.Errorf("%s:%d: want before, after or too slow, not behind", name, n+1)
			}
		}
	}
}

// prose returns the lines of a page. Those of code are empty.
func prose(page string) []string {
	lines := strings.Split(page, "\n")
	code := false
	for n, line := range lines {
		edge := fence.MatchString(line)
		if code || edge {
			lines[n] = ""
		}
		code = code != edge
	}
	return lines
}

// TestProse is about the reader of pages itself.
func TestProse(t *testing.T) {
	t.Parallel()
	got := prose("a\n```sh\nb\n```\nc\n  ```\n  d\n  ```\n    e\n")
	if want := []string{"a", "", "", "", "c", "", "", "", "    e", ""}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	for text, want := range map[string]bool{
		"it stands behind": true, "**Behind** a proxy": true, "*Behind* for an order": false, "`belfry_behind` is 1": false, "belfry_behind": false,
	} {
		if behind.MatchString(mention.ReplaceAllString(text, "")) != want {
			t.Error(text)
		}
	}
}
