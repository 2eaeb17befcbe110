package api

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
)

// A retained message must not hold on to the white space and the escapes that
// it came with: its size is accounted by its length.
func TestMessageHoldsWhatItIs(t *testing.T) {
	t.Parallel()
	for _, source := range []string{
		`"` + strings.Repeat(`\u0061`, 1000) + `"`,
		`[` + strings.Repeat(" ", 10000) + `]`,
		strings.Repeat("\n", 10000) + `"x"`,
		`{"a":"` + strings.Repeat("x", 1000) + `"}`,
	} {
		var m message
		if err := json.Unmarshal([]byte(source), &m); err != nil {
			t.Fatal(err)
		}
		if cap(m.text) > len(m.text)+len(m.text)/4+64 {
			t.Errorf("%.20q: %d bytes are held for %d", source, cap(m.text), len(m.text))
		}
	}
}
