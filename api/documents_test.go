package api_test

import (
	"testing"

	"belfry/api"
	"belfry/api/auth"
	"belfry/hub"
)

// Documents are for everybody, keys or not, and for pages of any origin that
// may use the interface.
func TestDocuments(t *testing.T) {
	t.Parallel()
	const origin = "https://page.example"
	keysOnly, err := auth.New(auth.Options{Keys: []auth.Key{{Name: "one", Rights: auth.Admin, Topics: []string{">"}}}, Origins: []string{origin}})
	if err != nil {
		t.Fatal(err)
	}
	b := newBroker(t, func(_ *hub.Options, o *api.Options) {
		o.Guard = func() *auth.Guard { return keysOnly }
		o.Documents = []api.Document{{Path: "/one.yaml", Type: "application/yaml", Content: []byte("one: 1\n")}, {Path: "/two.yaml", Content: []byte("two: 2\n")}}
	})
	one, two := b.call("GET", "/one.yaml", "", "Origin", origin), b.call("GET", "/two.yaml", "")
	tag := one.Header().Get("Etag")
	if one.Code != 200 || one.Body.String() != "one: 1\n" || one.Header().Get("Content-Type") != "application/yaml" ||
		one.Header().Get("Access-Control-Allow-Origin") != origin || one.Header().Get("Cache-Control") != "no-cache" {
		t.Errorf("got %d %q %v", one.Code, one.Body, one.Header())
	}
	if two.Body.String() != "two: 2\n" || two.Header().Get("Etag") == tag {
		t.Errorf("got %d %q %v", two.Code, two.Body, two.Header())
	}
	for given, want := range map[string]int{tag: 304, `"other", W/` + tag: 304, `"other"`: 200, two.Header().Get("Etag"): 200} {
		w := b.call("GET", "/one.yaml", "", "If-None-Match", given)
		if w.Code != want || w.Header().Get("Etag") != tag || (w.Body.Len() > 0) != (want == 200) {
			t.Errorf("If-None-Match: %s: got %d %q, want %d", given, w.Code, w.Body, want)
		}
	}
	problem(t, b.call("POST", "/one.yaml", ""), 405, "method_not_allowed")
	problem(t, b.call("GET", "/one.yaml", "", "Origin", "https://elsewhere.example"), 403, "origin_not_allowed")
}
