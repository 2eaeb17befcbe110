package docs_test

import (
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`^#+ +(.*)`)
)

// TestLinks: a link from page to page leads to a file, and to a heading in it.
func TestLinks(t *testing.T) {
	t.Parallel()
	for _, name := range pagesOf(t) {
		for n, line := range prose(read(t, name)) {
			for _, found := range link.FindAllStringSubmatch(line, -1) {
				target, anchor, _ := strings.Cut(found[1], "#")
				if strings.Contains(target, "://") {
					continue
				}
				file := name
				if target != "" {
					file = path.Join(path.Dir(name), target)
				}
				if _, err := os.Stat(file); err != nil {
					t.Errorf("%s:%d: there is no %s", name, n+1, file)
				} else if anchor != "" && !slices.Contains(anchorsOf(read(t, file)), anchor) {
					t.Errorf("%s:%d: %s has no heading #%s", name, n+1, file, anchor)
				}
			}
		}
	}
}

// anchorsOf returns what the headings of a page are called in links, as GitHub has it.
func anchorsOf(page string) (anchors []string) {
	for _, line := range prose(page) {
		found := heading.FindStringSubmatch(line)
		if found == nil {
			continue
		}
		anchor := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, found[1])
		anchors = append(anchors, anchor)
	}
	return anchors
}
