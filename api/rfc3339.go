package api

import (
	"strings"
	"time"
)

// parseTime reads a time of RFC 3339, section 5.6. [time.Parse] is not enough: t and z may
// be in lower case, a leap second is 60, and a comma is not a decimal point. The returned
// text is the same time in a form that every reader accepts: with T and Z, and with the
// next second in place of a leap second.
func parseTime(text string) (at time.Time, written string, ok bool) {
	const layout = "2006-01-02T15:04:05"
	if len(text) < len(layout)+1 || len(text) > 255 {
		return at, "", false
	}
	written = strings.ToUpper(text)
	second, rest := written[:len(layout)], written[len(layout):]
	leap := strings.HasSuffix(second, ":60")
	if leap {
		second = strings.TrimSuffix(second, "60") + "59"
	}
	if !isTime(rest) {
		return at, "", false
	}
	at, err := time.Parse(time.RFC3339, second+rest)
	if err != nil || second != at.Format(layout) {
		return at, "", false
	}
	if !leap {
		return at, written, true
	}
	at = at.Add(time.Second)
	// Leap seconds are announced only months ahead, but their time of day is known. After
	// the last second of the year 9999 there is none.
	last := at.UTC()
	ok = at.Year() <= 9999 && last.Truncate(time.Second).Equal(time.Date(last.Year(), last.Month(), 1, 0, 0, 0, 0, time.UTC))
	return at, at.Format(time.RFC3339Nano), ok
}

// isTime reports whether a text is an optional time-secfrac and a time-offset.
func isTime(text string) bool {
	if fraction, ok := strings.CutPrefix(text, "."); ok {
		text = strings.TrimLeft(fraction, "0123456789")
		if len(text) == len(fraction) {
			return false
		}
	}
	if text == "Z" {
		return true
	}
	if len(text) != len("+00:00") || text[0] != '+' && text[0] != '-' {
		return false
	}
	_, err := time.Parse("15:04", text[1:])
	return err == nil && text[3] == ':'
}
