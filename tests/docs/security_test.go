package docs_test

import (
	"go/ast"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestThreatsHaveTests: the tests that docs/security.md names are there.
func TestThreatsHaveTests(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	var tests []string
	for _, f := range moduleFiles(t) {
		for _, d := range f.syntax.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && f.isTest() {
				tests = append(tests, fn.Name.Name)
			}
		}
	}
	targets, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	quoted, rows := regexp.MustCompile("`([^`]+)`"), 0
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(line, "|")
		if len(cells) != 5 || strings.Contains(line, "---") || strings.Contains(line, "| threat |") {
			continue
		}
		rows++
		found := quoted.FindAllStringSubmatch(cells[3], -1)
		if len(found) == 0 {
			t.Errorf("no test: %s", line)
		}
		for _, match := range found {
			name, target := strings.TrimSuffix(match[1], "..."), strings.TrimPrefix(match[1], "make ")
			_, err := os.Stat(name)
			isTest := slices.ContainsFunc(tests, func(test string) bool {
				return test == name || name != match[1] && strings.HasPrefix(test, name)
			})
			if err != nil && !isTest && !(target != match[1] && strings.Contains(string(targets), "\n"+target+":")) {
				t.Errorf("there is no %s", match[1])
			}
		}
	}
	if rows < 10 {
		t.Errorf("%d threats", rows)
	}
}
