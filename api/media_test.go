package api_test

import (
	"strings"
	"testing"
)

// TestCharsets: JSON may be UTF-8 or ASCII, by any of their names. A refusal of another
// charset names it.
func TestCharsets(t *testing.T) {
	t.Parallel()
	good := []string{`utf-8`, `UTF-8`, `utf8`, `UTF8`, `Utf-8`, `"utf-8"`, `"UTF8"`, `us-ascii`, `US-ASCII`, `ascii`, `""`}
	bad := map[string]string{`utf-16`: "utf-16", `"UTF-16LE"`: "UTF-16LE", `latin1`: "latin1", `iso-8859-1`: "iso-8859-1", `windows-1252`: "windows-1252", `"utf 8"`: "utf 8"}
	bodies := map[string]string{
		"application/json":                   catsBody,
		"application/x-www-form-urlencoded":  catsBody,
		"application/x-ndjson":               catsBody + "\n",
		"application/cloudevents+json":       cloud(`,"data":1`),
		"application/cloudevents-batch+json": "[" + cloud(`,"data":1`) + "]",
		"text/json":                          "1", // of a CloudEvent in binary mode
		"application/vnd.x+json":             "1",
	}
	for media, body := range bodies {
		header := ""
		if body == "1" {
			header = inBinary
		}
		for _, charset := range good {
			b := watched(t)
			if w := b.call("POST", "/publish", body, headers(header+"Content-Type: "+media+"; charset="+charset)...); w.Code != 200 || b.stats().Published != 1 {
				t.Errorf("%s, %s: %d %s", media, charset, w.Code, w.Body)
			}
		}
		b := watched(t)
		for charset, name := range bad {
			w := b.call("POST", "/publish", body, headers(header+"Content-Type: "+media+"; charset="+charset)...)
			if p := problem(t, w, 415, "unsupported_media_type"); !strings.Contains(p.Detail, `"`+name+`"`) || w.Header().Get("Accept") == "" {
				t.Errorf("%s, %s: %s", media, charset, p.Detail)
			}
		}
	}
	for _, call := range []string{"POST /register", "POST /add_topic", "DELETE /remove_topic"} {
		method, target, _ := strings.Cut(call, " ")
		p := problem(t, newBroker(t).call(method, target, `{}`, "Content-Type", "application/json; charset=koi8-r"), 415, "unsupported_media_type")
		if !strings.Contains(p.Detail, `"koi8-r"`) {
			t.Errorf("%s: %s", call, p.Detail)
		}
	}
}

// TestByteOrderMarks: a body that begins with one is refused, and told why.
func TestByteOrderMarks(t *testing.T) {
	t.Parallel()
	const asData = inBinary + "Content-Type: application/json"
	for _, c := range []struct{ call, header, body string }{
		{"POST /publish", "", catsBody},
		{"POST /publish", "", " " + catsBody},
		{"POST /publish", "", "[" + catsBody + "]"},
		{"POST /publish", asCloudEvent, cloud(`,"data":1`)},
		{"POST /publish", asCloudBatch, "[" + cloud(`,"data":1`) + "]"},
		{"POST /publish", asData, "1"},
		{"POST /register", "", `{"user_id":1}`},
		{"POST /add_topic", "", `{}`},
		{"DELETE /remove_topic", "", `{}`},
	} {
		for mark, want := range map[string]string{"\ufeff": "byte order mark", "\xff\xfe": "UTF-16", "\xfe\xff": "UTF-16"} {
			method, target, _ := strings.Cut(c.call, " ")
			b := watched(t)
			w := b.call(method, target, mark+c.body, headers(c.header)...)
			if p := problem(t, w, 400, "malformed_json"); !strings.Contains(p.Detail, want) {
				t.Errorf("%s %q: %s", c.call, mark+c.body, p.Detail)
			}
		}
	}
	// A line has no mark either. In a text it is a character.
	b := watched(t)
	w := b.call("POST", "/publish", "\ufeff"+catsBody+"\n"+catsBody, headers(asNDJSON)...)
	if !strings.Contains(w.Body.String(), `"accepted":1`) || !strings.Contains(w.Body.String(), "byte order mark") {
		t.Error(w.Body)
	}
	b.call("POST", "/publish", "\ufeffa", headers(inBinary+"Content-Type: text/plain")...)
	b.delivers(`cats 1`, "cats \"\\ufeffa\" by /shop paid at  trace ,\"datacontenttype\":\"text/plain\"")
}

// deep is a list in lists, so many levels in all.
func deep(levels int) string { return strings.Repeat("[", levels) + strings.Repeat("]", levels) }

// TestDepths: an event may nest as deep by every way.
func TestDepths(t *testing.T) {
	t.Parallel()
	const asData = inBinary + "Content-Type: application/json"
	for name, of := range map[string]func(data string) (header, body string){
		"one":        func(data string) (_, _ string) { return "", `{"topic":"cats","message":` + data + `}` },
		"list":       func(data string) (_, _ string) { return "", `[{"topic":"cats","message":` + data + `}]` },
		"line":       func(data string) (_, _ string) { return asNDJSON, `{"topic":"cats","message":` + data + `}` },
		"structured": func(data string) (_, _ string) { return asCloudEvent, cloud(`,"data":` + data) },
		"batch":      func(data string) (_, _ string) { return asCloudBatch, "[" + cloud(`,"data":`+data) + "]" },
		"binary":     func(data string) (_, _ string) { return asData, data },
	} {
		for levels, ok := range map[int]bool{testMaxDepth - 2: true, testMaxDepth - 1: true, testMaxDepth: false, 9_998: false, 9_999: false, 10_000: false, 10_001: false, 20_000: false} {
			b := watched(t, wide)
			header, body := of(deep(levels))
			w := b.call("POST", "/publish", body, headers(header)...)
			if published := b.stats().Published == 1; published != ok || !ok && !strings.Contains(w.Body.String(), `"code":"too_deep"`) {
				t.Errorf("%s, %d levels: %d %s", name, levels, w.Code, w.Body)
			}
		}
	}
	// What comes after an element, or before it, is not in it.
	b := watched(t, wide)
	if w := b.call("POST", "/publish", `[{"topic":"cats","message":`+deep(7)+`},{"topic":"cats","message":`+deep(7)+`}]`); w.Code != 200 {
		t.Error(w.Body)
	}
	p := problem(t, b.call("POST", "/publish", `[`+catsBody+`,{"topic":"cats","message":`+deep(10_001)+`}]`), 400, "too_deep")
	if p.Index == nil || *p.Index != 1 {
		t.Errorf("it is told of element %v", p.Index)
	}
}
