package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strconv"
	"testing"
)

// A real place (behind a proxy), a name in quotes or backquotes, and a mention are allowed.
var placeOrName = regexp.MustCompile("(?i)" + `\bbehind (a|one|the)( [a-z]+)? prox(y|ies)\b|\bbehind (one|proxies)\b|"behind"|` + "`[^`\n]*`" + `|\*behind\*`)

// TestWordsOfCode: comments and texts of the program say before, after or too slow, too.
func TestWordsOfCode(t *testing.T) {
	t.Parallel()
	for _, f := range moduleFiles(t) {
		if f.name == "tests/docs/words_test.go" || f.name == "tests/docs/words_code_test.go" {
			continue
		}
		for _, at := range behinds(f.syntax) {
			t.Errorf("%v: want before, after or too slow, not behind", f.set.Position(at))
		}
	}
}

// behinds returns the comments and the strings of a file that say behind for an order.
func behinds(file *ast.File) (all []token.Pos) {
	check := func(at token.Pos, text string) {
		if behind.MatchString(placeOrName.ReplaceAllString(text, "")) {
			all = append(all, at)
		}
	}
	for _, group := range file.Comments {
		check(group.Pos(), group.Text())
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Field:
			return n.Tag == nil // a tag has names
		case *ast.BasicLit:
			if text, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING && text != "behind" {
				check(n.Pos(), text)
			}
		}
		return true
	})
	return all
}

// TestBehinds is about the reader of code itself.
func TestBehinds(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]int{
		"// It stands behind.":                                   1,
		"// It runs behind a proxy, or behind one.":              0,
		"// The member `behind` counts.":                         0,
		"// It comes\n// behind the rest.\nvar a = `all behind`": 2,
		`var a = "too far behind"`:                               1,
		`var a, b = "behind", "{\"behind\":1}"`:                  0,
		"var a struct { Behind int `json:\"behind\"` }":          0,
	} {
		file, err := parser.ParseFile(token.NewFileSet(), "a.go", "package a\n\n"+source+"\n", parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		if got := len(behinds(file)); got != want {
			t.Errorf("%s: %d, want %d", source, got, want)
		}
	}
}
