package docs_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// docs/openapi.yaml and docs/asyncapi.yaml are held against the broker. Here is
// what both tests read them with.

// A spec is such a document. It belongs to one goroutine.
type spec struct {
	t        *testing.T
	root     any
	compiler *jsonschema.Compiler
}

// specURL is what the document is called among schemas.
const specURL = "spec:document"

// loadSpec reads a document whose schemas are of a draft by default.
func loadSpec(t *testing.T, name string, draft *jsonschema.Draft) *spec {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := yaml.Unmarshal(text, &tree); err != nil {
		t.Fatal(err)
	}
	s := &spec{t: t, root: jsonTree(t, tree), compiler: jsonschema.NewCompiler()}
	s.compiler.DefaultDraft(draft)
	s.compiler.AssertFormat()
	if err := s.compiler.AddResource(specURL, closedSchema(s.root)); err != nil {
		t.Fatal(err)
	}
	return s
}

// jsonTree returns a value as the schemas' library wants it.
func jsonTree(t *testing.T, value any) any {
	t.Helper()
	tree, err := jsonschema.UnmarshalJSON(bytes.NewReader(jsonText(t, value)))
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// closedSchema returns a copy of a document whose objects have no other members than
// those that it names. For readers they are open, since there may be more in
// time; for these tests a member that is not described is a fault.
func closedSchema(tree any) any {
	switch tree := tree.(type) {
	case map[string]any:
		out := make(map[string]any, len(tree)+1)
		for name, value := range tree {
			out[name] = closedSchema(value)
		}
		_, described := tree["properties"].(map[string]any)
		if _, said := tree["additionalProperties"]; described && !said && tree["type"] == "object" {
			out["additionalProperties"] = false
		}
		return out
	case []any:
		out := make([]any, len(tree))
		for i, value := range tree {
			out[i] = closedSchema(value)
		}
		return out
	}
	return tree
}

// A node is a place in a document. At a reference it is the place that the reference names.
type node struct {
	spec  *spec
	at    string // a JSON pointer (RFC 6901)
	value any    // nil: there is nothing
}

func (s *spec) node() node { return node{s, "", s.root} }

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

// get goes down by the names of members.
func (n node) get(names ...string) node {
	for _, name := range names {
		members, _ := n.value.(map[string]any)
		n = node{n.spec, n.at + "/" + pointerEscapes.Replace(name), members[name]}.follow()
	}
	return n
}

// follow goes to what a reference names.
func (n node) follow() node {
	members, _ := n.value.(map[string]any)
	ref, ok := members["$ref"].(string)
	if !ok {
		return n
	}
	to := n.spec.node()
	for name := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		to = to.get(strings.NewReplacer("~1", "/", "~0", "~").Replace(name))
	}
	if to.value == nil {
		n.spec.t.Fatalf("%s: there is no %s", n.at, ref)
	}
	return to
}

// list returns the elements of a list.
func (n node) list() (all []node) {
	elements, _ := n.value.([]any)
	for i, value := range elements {
		all = append(all, node{n.spec, n.at + "/" + strconv.Itoa(i), value}.follow())
	}
	return all
}

func (n node) exists() bool { return n.value != nil }

// names returns the names of the members, in order.
func (n node) names() []string {
	members, _ := n.value.(map[string]any)
	return slices.Sorted(maps.Keys(members))
}

// text returns a string, "" for another type.
func (n node) text() string {
	text, _ := n.value.(string)
	return text
}

// texts returns the strings of a list.
func (n node) texts() (all []string) {
	elements, _ := n.value.([]any)
	for _, value := range elements {
		all = append(all, value.(string))
	}
	return all
}

// admits reports how a value is not as the schema at this place has it.
func (n node) admits(value any) error {
	n.spec.t.Helper()
	schema, err := n.spec.compiler.Compile(specURL + "#" + (&url.URL{Fragment: n.at}).EscapedFragment())
	if err != nil {
		n.spec.t.Fatalf("%s: %v", n.at, err)
	}
	return schema.Validate(value)
}

// admitsJSON is admits for a text.
func (n node) admitsJSON(text string) error {
	n.spec.t.Helper()
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return err
	}
	return n.admits(value)
}

// walk calls f for each node below, and this one.
func (n node) walk(f func(node)) {
	f(n)
	switch value := n.value.(type) {
	case map[string]any:
		for name := range value {
			node{n.spec, n.at + "/" + pointerEscapes.Replace(name), value[name]}.walk(f)
		}
	case []any:
		for i := range value {
			node{n.spec, n.at + "/" + strconv.Itoa(i), value[i]}.walk(f)
		}
	}
}

// jsonText returns a value as JSON.
func jsonText(t *testing.T, value any) []byte {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestDescriptionsAreWhole: within braces a comma ends a text that is not quoted,
// and what follows it becomes a member of its own.
func TestDescriptionsAreWhole(t *testing.T) {
	t.Parallel()
	for name, draft := range map[string]*jsonschema.Draft{"docs/openapi.yaml": jsonschema.Draft2020, "docs/asyncapi.yaml": jsonschema.Draft7} {
		loadSpec(t, name, draft).node().walk(func(n node) {
			members, _ := n.value.(map[string]any)
			for member := range members {
				if strings.Contains(member, " ") {
					t.Errorf("%s: %s: quote the text before %q", name, n.at, member)
				}
			}
		})
	}
}
