package docs_test

import (
	"go/ast"
	"go/token"
	"maps"
	"slices"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"belfry/hub"
	"belfry/tests/harness"
)

func loadAsyncAPI(t *testing.T) *spec {
	t.Helper()
	return loadSpec(t, "docs/asyncapi.yaml", jsonschema.Draft7) // as AsyncAPI 3.0 has it
}

// TestAsyncAPIIsAsyncAPI: as the standard's own schema has it.
func TestAsyncAPIIsAsyncAPI(t *testing.T) {
	t.Parallel()
	harness.Npm(t, "@asyncapi/specs")
	checkMeta(t, loadAsyncAPI(t), "@asyncapi/specs/schemas/3.0.0.json")
}

// TestAsyncAPIExamples: each example is as its message has it.
func TestAsyncAPIExamples(t *testing.T) {
	t.Parallel()
	messages := loadAsyncAPI(t).node().get("components", "messages")
	for _, name := range messages.names() {
		for _, example := range messages.get(name, "examples").list() {
			if err := messages.get(name, "payload").admits(example.get("payload").value); err != nil {
				t.Errorf("%s: %v", example.at, err)
			}
		}
	}
}

// TestAsyncAPIChannels: the channels are those of the OpenAPI document that open
// connections.
func TestAsyncAPIChannels(t *testing.T) {
	t.Parallel()
	var got, want []string
	channels := loadAsyncAPI(t).node().get("channels")
	for _, name := range channels.names() {
		got = append(got, channels.get(name, "address").text())
	}
	paths := loadOpenAPI(t).node().get("paths")
	for _, path := range paths.names() {
		responses := paths.get(path, "get", "responses")
		if responses.get("101").exists() || responses.get("200", "content", "text/event-stream").exists() {
			want = append(want, path)
		}
	}
	slices.Sort(got)
	if got = slices.Compact(got); !slices.Equal(got, want) {
		t.Errorf("there are channels of %v, and connections of %v", got, want)
	}
}

// TestAsyncAPICloseCodes: the codes and their reasons are those of the source.
func TestAsyncAPICloseCodes(t *testing.T) {
	t.Parallel()
	values, names := make(map[string]string), make(map[string]string) // codes and reasons by their constants
	var table *ast.CompositeLit
	for _, f := range moduleFiles(t) {
		switch f.name {
		case "transport/frame.go", "transport/reason.go":
			for name, value := range constants(f.syntax) {
				if literal, ok := value.(*ast.BasicLit); ok {
					values[name] = literal.Value
				}
			}
			table = tableOf(f.syntax, "closeCodes", table)
		case "hub/reason.go":
			for i, name := range constantNames(f.syntax) {
				if all := hub.Reasons(); i < len(all) {
					names[name] = all[i].String()
				}
			}
		}
	}
	want := make(map[string][]string)
	for _, entry := range table.Elts {
		pair := entry.(*ast.KeyValueExpr)
		code := values[pair.Value.(*ast.Ident).Name]
		want[code] = append(want[code], names[pair.Key.(*ast.SelectorExpr).Sel.Name])
	}
	got := make(map[string][]string)
	for _, c := range loadAsyncAPI(t).node().get("x-close-codes", "codes").list() {
		got[string(jsonText(t, c.get("code").value))] = c.get("reasons").texts()
	}
	for _, code := range slices.Sorted(maps.Keys(want)) {
		slices.Sort(want[code])
		if !slices.Equal(got[code], want[code]) {
			t.Errorf("%s is for %v, and described for %v", code, want[code], got[code])
		}
		delete(got, code)
	}
	if len(got) > 0 {
		t.Errorf("described are also %v", got)
	}
}

// TestAsyncAPICodes: each code that connections are refused something with is described;
// the others that are described are those of HTTP.
func TestAsyncAPICodes(t *testing.T) {
	t.Parallel()
	own := make(map[string]bool)
	for _, f := range moduleFiles(t) {
		if !f.within("transport") || f.isTest() {
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			if literal, ok := n.(*ast.CompositeLit); ok && len(literal.Elts) == 2 {
				if name, ok := literal.Type.(*ast.Ident); ok && name.Name == "refusal" {
					if code, ok := stringOf(literal.Elts[0]); ok {
						own[code] = true
					}
				}
			}
			return true
		})
	}
	described := loadAsyncAPI(t).node().get("components", "schemas", "Code", "enum").texts()
	ofHTTP := loadOpenAPI(t).node().get("components", "schemas", "Code", "enum").texts()
	for code := range own {
		if !slices.Contains(described, code) {
			t.Errorf("%s is not described", code)
		}
	}
	for _, code := range described {
		if !own[code] && !slices.Contains(ofHTTP, code) {
			t.Errorf("%s is described, and nothing refuses with it", code)
		}
	}
	if len(own) < 10 {
		t.Errorf("the source has only %v", own)
	}
}

// constants returns the constants of a file that are given a value.
func constants(f *ast.File) map[string]ast.Expr {
	all := make(map[string]ast.Expr)
	for _, d := range f.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.CONST {
			for _, s := range g.Specs {
				if v := s.(*ast.ValueSpec); len(v.Values) == 1 {
					all[v.Names[0].Name] = v.Values[0]
				}
			}
		}
	}
	return all
}

// constantNames returns the names of a file's constants in order.
func constantNames(f *ast.File) (names []string) {
	for _, d := range f.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.CONST {
			for _, s := range g.Specs {
				names = append(names, s.(*ast.ValueSpec).Names[0].Name)
			}
		}
	}
	return names
}

// tableOf returns the literal that a variable of a file begins with, or else
// another.
func tableOf(f *ast.File, variable string, other *ast.CompositeLit) *ast.CompositeLit {
	for _, d := range f.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.VAR {
			if v := g.Specs[0].(*ast.ValueSpec); v.Names[0].Name == variable {
				return v.Values[0].(*ast.CompositeLit)
			}
		}
	}
	return other
}
