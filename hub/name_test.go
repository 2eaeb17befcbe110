package hub

import (
	"errors"
	"strings"
	"testing"
	"unicode"
)

// TestNames: what a name may hold, of all characters that there are.
func TestNames(t *testing.T) {
	t.Parallel()
	refused := map[rune]bool{0x061c: true, 0x200e: true, 0x200f: true, 0x2028: true, 0x2029: true}
	for _, span := range [][2]rune{{0, 0x1f}, {0x7f, 0x9f}, {0x202a, 0x202e}, {0x2066, 0x2069}} {
		for r := span[0]; r <= span[1]; r++ {
			refused[r] = true
		}
	}
	for r := rune(0); r <= unicode.MaxRune; r++ {
		name := "a" + string(r) + "b"
		if got := HasControl(name); got != refused[r] {
			t.Errorf("%U is a control character: %t", r, got)
		}
		if IsName(name) == refused[r] {
			t.Errorf("%U in a name: %t", r, IsName(name))
		}
		if err := CheckTopic(name); r != '.' && (err != nil) != refused[r] {
			t.Errorf("%U in a topic: %v", r, err)
		}
	}
	for name, ok := range map[string]bool{
		"": false, "a": true, " ": true, "Å": true, "e\u0301": true, "👩\u200d👩": true, "\xff": false, "a\xc3": false,
		strings.Repeat("é", 127): true, strings.Repeat("é", 128): false, strings.Repeat("x", 255): true, strings.Repeat("x", 256): false,
	} {
		if IsName(name) != ok {
			t.Errorf("%q is a name: %t", name, !ok)
		}
		wrong := new(TopicError)
		if err := CheckTopic(name); (err == nil) != ok || err != nil && !errors.As(err, &wrong) {
			t.Errorf("%q is a topic: %v", name, err)
		}
	}
}
