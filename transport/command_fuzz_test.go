package transport

import (
	"encoding/json"
	"slices"
	"testing"
	"unicode/utf8"

	"belfry/hub"
)

// FuzzTopics gives the bare protocol's one command any text. What is taken
// must be what a lenient reader understands too, and well-formed.
func FuzzTopics(f *testing.F) {
	for _, seed := range []string{
		`{"topics":["cats","dogs.>"]}`, `{"topics":[]}`, ` {"topics" : ["\u0063ats"] } `, `{"topics":null}`, `{}`, `[]`, `"topics"`, ``,
		`{"Topics":["cats"]}`, `{"topics":["cats"],"topics":["dogs"]}`, `{"topics":["cats"],"x":1}`, `{"topics":["cats"]}{}`, `{"topics":["a..b"]}`,
		`{"topics":["$sys"]}`, `{"topics":[1]}`, `{"topics":[null]}`, `{"topics":"cats"}`, `{"topics":[["cats"]]}`, "{\"topics\":[\"\xff\"]}", `{"topics":["\ud800"]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		topics, err := parseTopics(text)
		if err != nil || new(conn).checkTopics(topics) != nil {
			return
		}
		var lenient struct{ Topics []string }
		if err := json.Unmarshal(text, &lenient); err != nil || !slices.Equal(lenient.Topics, topics) {
			t.Errorf("%q: read %q, others read %q, %v", text, topics, lenient.Topics, err)
		}
		if !utf8.Valid(text) {
			t.Errorf("%q is not UTF-8", text)
		}
		for _, name := range topics {
			if err := hub.CheckPattern(name); err != nil {
				t.Error(err)
			}
		}
	})
}
