package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The arrows of docs/architecture.md: which package may import which, and what the core
// must do without. The files are parsed rather than listed by the go command, so that
// those for other systems count as well.

// A goFile is one of the module's Go files.
type goFile struct {
	name    string // with slashes, from the module's root
	imports []string
	set     *token.FileSet
	syntax  *ast.File
}

// module is this one's path.
const module = "belfry"

// folder is the package that a file is of, "." for the program's own.
func (f *goFile) folder() string { return path.Dir(f.name) }

// within reports whether a file is in a folder or below it.
func (f *goFile) within(folder string) bool { return strings.HasPrefix(f.name, folder+"/") }

// isTest reports whether a file is there for tests alone.
func (f *goFile) isTest() bool {
	return strings.HasSuffix(f.name, "_test.go") || strings.HasPrefix(f.name, "tests/")
}

// ours returns the packages of this module that a file imports.
func (f *goFile) ours() (folders []string) {
	for _, p := range f.imports {
		if rest, ok := strings.CutPrefix(p, module+"/"); ok {
			folders = append(folders, rest)
		}
	}
	return folders
}

// moduleFiles returns the Go files of the module, tests included.
func moduleFiles(t *testing.T) (files []*goFile) {
	t.Helper()
	set := token.NewFileSet()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || d.Name() == "node_modules" || len(d.Name()) > 1 && strings.ContainsAny(d.Name()[:1], "._")):
			return fs.SkipDir
		case d.IsDir() || path.Ext(d.Name()) != ".go":
			return nil
		}
		syntax, err := parser.ParseFile(set, name, nil, parser.SkipObjectResolution|parser.ParseComments)
		if err != nil {
			return err
		}
		f := &goFile{name: filepath.ToSlash(name), set: set, syntax: syntax}
		for _, spec := range syntax.Imports {
			p, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			f.imports = append(f.imports, p)
		}
		files = append(files, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// arrows are the packages of this module that each may import.
var arrows = map[string][]string{
	".":       {"cli/app"},
	"cli/app": {"cli", "cli/bench", "cli/logfile", "cli/serve", "cli/serve/logging", "config"},

	// The broker.
	"cli/serve": {"api", "api/auth", "api/forwarded", "api/limit", "cli/serve/logging", "client/js", "config", "docs",
		"hub", "store/disk", "transport", "transport/certs"},
	"cli/serve/logging": {},
	"api":               {"api/auth", "api/console", "api/limit", "hub"},
	"api/auth":          {"hub"},
	"api/console":       {},
	"api/forwarded":     {},
	"api/limit":         {"api/forwarded", "hub"},
	"transport":         {"hub"},
	"transport/certs":   {},
	"store/disk":        {"hub"},
	"hub":               {},
	"config":            {},
	"docs":              {},

	// What sees the broker from outside.
	"client":    {},
	"client/js": {},
	"cli":       {"client"},
	"cli/bench": {"cli", "client"},

	// What looks after a log while no broker uses it.
	"cli/logfile": {"cli", "hub", "store/disk"},
}

func TestArrows(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, f := range moduleFiles(t) {
		if f.isTest() {
			continue
		}
		seen[f.folder()] = true
		may, ok := arrows[f.folder()]
		if !ok {
			t.Errorf("%s: the package %s is new: say in arrows what it may import", f.name, f.folder())
		}
		for _, folder := range f.ours() {
			if !slices.Contains(may, folder) {
				t.Errorf("%s imports from %s, which %s must not", f.name, folder, f.folder())
			}
		}
	}
	for folder := range arrows {
		if !seen[folder] {
			t.Errorf("there is no Go file in %s", folder)
		}
	}
}

// TestForeignImports: what is borrowed is borrowed in one place.
func TestForeignImports(t *testing.T) {
	t.Parallel()
	places := map[string][]string{ // the only files, or the only folder
		"nhooyr.io/websocket":                 {"transport/handshake.go", "client/session.go"},
		"github.com/golang-jwt/jwt/v5":        {"api/auth/"},
		"github.com/MicahParks/jwkset":        {"api/auth/jwkset.go"},
		"github.com/julienschmidt/httprouter": {"api/"},
		"github.com/alecthomas/kong":          {"config/"},
		"golang.org/x/term":                   {"cli/streams.go"},
	}
	seen := make(map[string]bool)
	for _, f := range moduleFiles(t) {
		if f.isTest() {
			continue
		}
		for _, p := range f.imports {
			in, ok := places[p]
			seen[p] = true
			here := func(place string) bool {
				return f.name == place || strings.HasSuffix(place, "/") && strings.HasPrefix(f.name, place)
			}
			if ok && !slices.ContainsFunc(in, here) {
				t.Errorf("%s imports %s, which belongs to %s", f.name, p, strings.Join(in, " and "))
			}
		}
	}
	for p := range places {
		if !seen[p] {
			t.Errorf("nobody imports %s any more", p)
		}
	}
}

// TestHubIsPure: the core uses the standard library only, and of that nothing
// that shares, logs or speaks to the outside, and starts no goroutines. Its
// state has no channels and no clock either: only the loop that feeds it has,
// and even that is told the time.
func TestHubIsPure(t *testing.T) {
	t.Parallel()
	foreign := func(p string) bool {
		first, _, _ := strings.Cut(p, "/")
		return strings.Contains(first, ".") || first == module || slices.ContainsFunc(
			[]string{"sync", "net", "log", "os", "io", "math/rand", "crypto/rand", "runtime", "syscall", "unsafe"},
			func(banned string) bool { return p == banned || strings.HasPrefix(p, banned+"/") })
	}
	for _, f := range moduleFiles(t) {
		if f.isTest() || !f.within("hub") {
			continue
		}
		isLoop := slices.Contains([]string{"hub/hub.go", "hub/command.go", "hub/submit.go", "hub/storing.go"}, f.name)
		for _, p := range f.imports {
			if foreign(p) || p == "context" && !isLoop {
				t.Errorf("%s imports %s", f.name, p)
			}
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s starts a goroutine", f.name)
			case *ast.ChanType:
				if !isLoop {
					t.Errorf("%s has a channel", f.name)
				}
			case *ast.SelectorExpr:
				if of, ok := n.X.(*ast.Ident); ok && of.Name == "time" && !mayUseOfTime(n.Sel.Name, isLoop) {
					t.Errorf("%s uses time.%s", f.name, n.Sel.Name)
				}
			}
			return true
		})
	}
}

// mayUseOfTime reports whether the hub may use a name of package time.
func mayUseOfTime(name string, isLoop bool) bool {
	switch name {
	case "Now", "Since", "Until", "Sleep", "Tick", "After", "AfterFunc":
		return false
	case "NewTicker", "NewTimer", "Ticker", "Timer":
		return isLoop
	}
	return true
}
