package docs_test

import (
	"encoding/json"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"belfry/tests/harness"
)

// TestOpenAPIRequests: each example of a request is answered by the answer that
// has the same name. An operation without a body is called as its parameters
// say, and answered by the example "call".
func TestOpenAPIRequests(t *testing.T) {
	t.Parallel()
	doc := loadOpenAPI(t)
	a := &auditor{t: t, doc: doc, codes: make(map[string]bool)}
	b := harness.Start(t)
	sent := 0
	paths := doc.node().get("paths")
	for _, path := range paths.names() {
		for _, method := range paths.get(path).names() {
			op := paths.get(path, method)
			content := op.get("requestBody", "content")
			for _, media := range content.names() {
				for _, name := range content.get(media, "examples").names() {
					sent++
					a.example(b, method, path, name, media, content.get(media, "examples", name, "value").value)
				}
			}
			if op.get("operationId").exists() && !content.exists() && answers(op)["call"].exists() {
				sent++
				a.example(b, method, path, "call", "", nil)
			}
		}
	}
	if sent < 20 {
		t.Errorf("%d examples were sent", sent)
	}
}

// answers returns the examples of an operation's answers, by name.
func answers(op node) map[string]node {
	all := make(map[string]node)
	for _, status := range op.get("responses").names() {
		content := op.get("responses", status, "content")
		for _, media := range content.names() {
			for _, name := range content.get(media, "examples").names() {
				all[name] = content.get(media, "examples", name, "value")
			}
		}
	}
	return all
}

// example makes the call of an example and checks the answer.
func (a *auditor) example(b *harness.Broker, method, path, name, media string, value any) {
	a.t.Helper()
	op := a.doc.node().get("paths", path, method)
	want := answers(op)[name]
	if !want.exists() {
		a.t.Errorf("%s %s: the example %s has no answer", method, path, name)
		return
	}
	if path == "/topics/{topic}/events" {
		b = harness.Start(a.t)
		b.Publish(a.t, harness.Event("cats", "are awesome"))
	}
	r := b.Register(a.t, `{"user_id":17,"topics":[]}`) // what is done with a client is done with this one
	defer b.Call(a.t, "DELETE", "/users/17/clients", "")
	documented := a.doc.node().get("components", "parameters", "ClientId", "example").text()
	target := strings.Replace(a.target(method, path), documented, r.ClientID, 1)
	body := strings.Replace(bodyOf(a.t, value), documented, r.ClientID, 1)
	var header []string
	if media != "" {
		header = []string{"Content-Type", media}
	}
	got := b.Call(a.t, strings.ToUpper(method), target, body, header...)
	a.audit(strings.ToUpper(method), target, got)
	if !strings.HasPrefix(want.at, op.get("responses", strconv.Itoa(got.Status)).at+"/") {
		a.t.Errorf("%s %s: the example %s is answered %d %s", method, path, name, got.Status, got.Body)
		return
	}
	var answered any = got.Body
	if strings.HasSuffix(got.Header.Get("Content-Type"), "json") {
		answered = jsonTree(a.t, json.RawMessage(got.Body))
	}
	if got, want := plain(answered), plain(want.value); !reflect.DeepEqual(got, want) {
		a.t.Errorf("%s %s: the example %s is answered\n%v, and described is\n%v", method, path, name, got, want)
	}
}

// target is a path with the examples of its parameters.
func (a *auditor) target(method, path string) string {
	at := a.doc.node().get("paths", path)
	target := path
	for _, p := range append(at.get("parameters").list(), at.get(method, "parameters").list()...) {
		if p.get("in").text() == "path" {
			target = strings.Replace(target, "{"+p.get("name").text()+"}", p.get("example").text(), 1)
		}
	}
	return target
}

// bodyOf is the body that an example's value stands for.
func bodyOf(t *testing.T, value any) string {
	t.Helper()
	if text, ok := value.(string); ok || value == nil {
		return text
	}
	return string(jsonText(t, value))
}

// What differs from run to run.
var volatile = []struct {
	form *regexp.Regexp
	name string
}{
	{regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`), "<id>"},
	{regexp.MustCompile(`[0-9a-f]{32}`), "<client>"},
	{regexp.MustCompile(`^[0-9a-f]{24}$`), "<cursor>"},
	{regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-z]+$`), "<request>"},
	{regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$`), "<time>"},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "<host>"},
}

// plain returns a value with names for what differs from run to run.
func plain(value any) any {
	switch value := value.(type) {
	case string:
		for _, v := range volatile {
			value = v.form.ReplaceAllString(value, v.name)
		}
		return value
	case []any:
		out := make([]any, len(value))
		for i := range value {
			out[i] = plain(value[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(value))
		for name := range value {
			out[name] = plain(value[name])
		}
		return out
	}
	return value
}
