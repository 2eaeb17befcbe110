package cli

import (
	"fmt"
	"strings"
	"time"
	"unicode"
)

// printable returns a text that cannot control a terminal: invisible characters are
// escaped as in JSON.
func printable(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	shown := func(r rune) bool { return unicode.IsPrint(r) || r == '\t' }
	if !strings.ContainsFunc(text, func(r rune) bool { return !shown(r) }) {
		return text
	}
	var out strings.Builder
	for _, r := range text {
		switch {
		case shown(r):
			out.WriteRune(r)
		case r == '\n':
			out.WriteString(`\n`)
		case r == '\r':
			out.WriteString(`\r`)
		case r > 0xFFFF:
			fmt.Fprintf(&out, `\U%08x`, r)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}
	return out.String()
}

func seconds(n int64) time.Duration { return time.Duration(n) * time.Second }

// size formats a number of bytes for people.
func size(n float64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	i := 0
	for ; n >= 1024 && i < len(units)-1; i++ {
		n /= 1024
	}
	if i == 0 {
		return fmt.Sprintf("%.0f %s", n, units[i])
	}
	return fmt.Sprintf("%.1f %s", n, units[i])
}
