package api

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// grammar is RFC 3339 section 5.6, but for how many days a month has and where leap
// seconds stand.
var grammar = regexp.MustCompile(`^(\d{4})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])[Tt]([01]\d|2[0-3]):([0-5]\d):([0-5]\d|60)(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

// instant reads a text by the grammar: what it means in seconds and nanoseconds, with
// a leap second as the next.
func instant(text string) (at time.Time, ok bool) {
	m := grammar.FindStringSubmatch(text)
	if m == nil || len(text) > 255 {
		return at, false
	}
	n := func(i int) int { v, _ := strconv.Atoi(m[i]); return v }
	year, month, day := n(1), n(2), n(3)
	if day > time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day() {
		return at, false
	}
	nanos, _ := strconv.Atoi((strings.TrimPrefix(m[7], ".") + "000000000")[:9])
	at = time.Date(year, time.Month(month), day, n(4), n(5), n(6), nanos, time.UTC)
	if zone := m[8]; len(zone) > 1 {
		hours, _ := strconv.Atoi(zone[1:3])
		minutes, _ := strconv.Atoi(zone[4:])
		ahead := time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute
		if zone[0] == '+' {
			ahead = -ahead
		}
		at = at.Add(ahead)
	}
	if n(6) == 60 {
		return at, !strings.HasPrefix(strings.ToUpper(text), "9999-12-31T23:59:60") && at.Day() == 1 && at.Hour() == 0 && at.Minute() == 0 && at.Second() == 0
	}
	return at, true
}

var timeTexts = []string{
	"2026-01-02T03:04:05Z", "2026-01-02t03:04:05z", "2026-01-02T03:04:05.678+01:00", "2026-01-02T03:04:05-00:00", "2026-01-02T03:04:05.1234567890123Z",
	"0000-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z", "2024-02-29T00:00:00Z", "2026-02-29T00:00:00Z", "2026-02-30T00:00:00Z", "2026-04-31T00:00:00Z",
	"1990-12-31T23:59:60Z", "1990-12-31T15:59:60-08:00", "1991-01-01T00:59:60+01:00", "1990-12-31T23:59:60.5z", "1990-12-30T23:59:60Z", "1990-12-31T23:58:60Z",
	"1990-12-31T23:59:61Z", "1990-12-31T22:59:60Z", "2026-06-30T23:59:60Z", "2026-01-02T24:00:00Z", "2026-01-02T23:60:00Z", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z",
	"2026-01-00T00:00:00Z", "2026-01-32T00:00:00Z", "2026-01-02T03:04:05,678Z", "2026-01-02T03:04:05.Z", "2026-01-02T03:04:05", "2026-01-02T03:04:05+0100", "2026-01-02T03:04:05+01",
	"2026-01-02T03:04:05+24:00", "2026-01-02T03:04:05+23:59", "2026-01-02T03:04:05-01:60", "2026-01-02T03:04:05+1:00", "2026-01-02T3:04:05Z", "2026-1-02T03:04:05Z", "2026-01-02 03:04:05Z",
	"2026-01-02T03:04Z", "2026-01-02", "20260102T030405Z", "2026-01-02T03:04:05ZZ", " 2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z ", "2026-01-02T03:04:05\u212a", "-026-01-02T03:04:05Z",
	"12026-01-02T03:04:05Z", "2026-01-02T03:04:05+٠١:00", "٢٠26-01-02T03:04:05Z", "2026-01-02T03:04:05+01.00", "yesterday", "", "2026-01-02T03:04:05." + strings.Repeat("0", 234) + "Z",
	"2026-01-02T03:04:05." + strings.Repeat("0", 235) + "Z", "0000-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "9999-12-31T23:59:60Z", "9999-12-31T15:59:60-08:00", "2026-01-02T03:04:05ſ",
}

// checkTime compares what is read with the grammar.
func checkTime(t *testing.T, text string) {
	t.Helper()
	want, ok := instant(text)
	at, written, got := parseTime(text)
	switch {
	case got != ok:
		t.Errorf("%q is a time: %t, want %t", text, got, ok)
	case !ok:
	case !at.Equal(want):
		t.Errorf("%q is %v, want %v", text, at, want)
	case strings.ToUpper(text) != written && !strings.Contains(text, ":60"):
		t.Errorf("%q is written %q", text, written)
	default:
		if read, err := time.Parse(time.RFC3339, written); err != nil || !read.Equal(want) {
			t.Errorf("%q is written %q, which is %v (%v), want %v", text, written, read, err, want)
		}
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	for _, text := range timeTexts {
		checkTime(t, text)
	}
	// Any one character of a good one, changed.
	for _, good := range []string{"2026-01-02T03:04:05.6Z", "1990-12-31T15:59:60-08:00"} {
		for i := range good {
			for c := range 256 {
				checkTime(t, good[:i]+string([]byte{byte(c)})+good[i+1:])
			}
		}
	}
}

func FuzzTimes(f *testing.F) {
	for _, text := range timeTexts {
		f.Add(text)
	}
	f.Fuzz(checkTime)
}
