package hub

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxNameBytes is the length of the longest name, in bytes of UTF-8.
const MaxNameBytes = 255

// IsName reports whether a text may name something: a topic, a user, an event, where
// an event comes from or of what kind it is.
func IsName(text string) bool {
	return text != "" && len(text) <= MaxNameBytes && utf8.ValidString(text) && !HasControl(text)
}

// HasControl reports whether a text holds a control character: one that would end a
// line where it is shown, or have other parts of the line look like its own. These are
// C0, DEL and C1, those that change the direction of a text (Bidi_Control in UAX #9),
// and the separators of lines and paragraphs.
func HasControl(text string) bool { return strings.ContainsFunc(text, isControl) }

func isControl(r rune) bool {
	switch {
	case r < ' ' || 0x7f <= r && r <= 0x9f:
		return true
	case r < 0x061c:
		return false // nearly all
	}
	return r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Bidi_Control, r)
}
