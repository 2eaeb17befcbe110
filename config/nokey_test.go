package config

import (
	"io"
	"strings"
	"testing"
)

// TestEmptyKey: an entry without content is not a key. A broker with such a key would
// consider itself closed, and admit nobody.
func TestEmptyKey(t *testing.T) {
	t.Parallel()
	for _, content := range []string{"keys: [null]", "keys:\n- ~", "keys:\n  -\n    # name: a", "keys: [{}]", "keys: [!!null {}]"} {
		_, err := Parse([]string{"--config=" + write(t, content)}, nil, "", io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), "keys[0].name is missing") || !strings.Contains(err.Error(), "keys[0].rights is missing") {
			t.Errorf("%q: %v", content, err)
		}
	}
}
