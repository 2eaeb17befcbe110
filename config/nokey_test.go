package config

import (
	"io"
	"strings"
	"testing"
)

// TestEmptyKey: an entry of which nothing is left is no key. A broker with such a one would
// take itself for one that has keys, and let in nobody.
func TestEmptyKey(t *testing.T) {
	t.Parallel()
	for _, content := range []string{"keys: [null]", "keys:\n- ~", "keys:\n  -\n    # name: a", "keys: [{}]", "keys: [!!null {}]"} {
		_, err := Parse([]string{"--config=" + write(t, content)}, nil, "", io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), "keys[0].name is missing") || !strings.Contains(err.Error(), "keys[0].rights is missing") {
			t.Errorf("%q: %v", content, err)
		}
	}
}
