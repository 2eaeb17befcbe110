package hub

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestEmptyTopic: a topic that nobody has checked is not the broker's own, and no panic.
func TestEmptyTopic(t *testing.T) {
	t.Parallel()
	if Match("$stats", "") || Match("cats", "") || Covers("$stats", "") {
		t.Error("a topic without a name is one with a name")
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	const topic, pattern, owned, none = "topic", "pattern", "reserved", "none"
	levels := func(n int) string { return strings.TrimSuffix(strings.Repeat("x.", n), ".") }
	for s, want := range map[string]string{
		"cats":                       topic,
		"a.b.c":                      topic,
		"über.🐈":                     topic,
		"with space":                 topic,
		"a/b\\c\"d":                  topic,
		"x.$y":                       topic,
		"a*.>b":                      topic,
		"**":                         topic,
		">>.*>":                      topic,
		"\u00a0\u200d":               topic,
		strings.Repeat("x", 255):     topic,
		strings.Repeat("ü", 127):     topic,
		levels(16):                   topic,
		"*":                          pattern,
		">":                          pattern,
		"*.*":                        pattern,
		"orders.*.paid":              pattern,
		"sensors.>":                  pattern,
		"*.>":                        pattern,
		levels(15) + ".>":            pattern,
		"$":                          owned,
		"$sys.health":                owned,
		"$.>":                        owned,
		"":                           none,
		".":                          none,
		".a":                         none,
		"a.":                         none,
		"a..b":                       none,
		">.a":                        none,
		"a.>.b":                      none,
		">.>":                        none,
		"$..a":                       none,
		"$.>.a":                      none,
		"a\x00":                      none,
		"a\nb":                       none,
		"a\x7f":                      none,
		"a\u0085":                    none,
		"a\xff":                      none,
		"\xed\xa0\x80":               none,
		strings.Repeat("x", 256):     none,
		strings.Repeat("ü", 128):     none,
		levels(17):                   none,
		"$" + levels(17):             none,
		levels(16) + ".>":            none,
		strings.Repeat("x\xff", 200): none,
	} {
		if err := CheckTopic(s); (err == nil) != (want == topic) {
			t.Errorf("CheckTopic(%.40q) = %v, want %s", s, err, want)
		}
		err := CheckPattern(s)
		if (err == nil) != (want == topic || want == pattern) {
			t.Errorf("CheckPattern(%.40q) = %v, want %s", s, err, want)
		}
		if e := (*TopicError)(nil); errors.As(err, &e) && e.Reserved != (want == owned) {
			t.Errorf("CheckPattern(%.40q): reserved %v, want %s", s, e.Reserved, want)
		}
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, topic string
		want           bool
	}{
		{"a", "a", true},
		{"a", "b", false},
		{"a", "a.b", false},
		{"a.b", "a", false},
		{"*", "a", true},
		{"*", "a.b", false},
		{">", "a", true},
		{">", "a.b.c", true},
		{"a.>", "a", false},
		{"a.>", "a.b", true},
		{"a.>", "a.b.c", true},
		{"a.>", "b.a", false},
		{"a.*.c", "a.b.c", true},
		{"a.*.c", "a.b.d", false},
		{"a.*.c", "a.c", false},
		{"*.b", "a.b", true},
		{"*.>", "a", false},
		{"*.>", "a.b", true},
		{">", "$a", false},
		{"*", "$a", false},
		{"*.b", "$a.b", false},
		{"$a.*", "$a.b", true},
		{"$a.>", "$a.b.c", true},
		{"$a", "$a", true},
		{">", "a.$b", true},
		{"a.*", "a.$b", true},
	} {
		if got := Match(c.pattern, c.topic); got != c.want {
			t.Errorf("Match(%q, %q) = %v", c.pattern, c.topic, got)
		}
	}
}

// allowed restates what a topic, or a pattern, may be.
func allowed(s string, pattern bool) bool {
	levels := strings.Split(s, ".")
	if len(s) > 255 || len(levels) > 16 || strings.ToValidUTF8(s, "") != s || strings.HasPrefix(s, "$") {
		return false
	}
	for i, level := range levels {
		if level == "" || !pattern && (level == "*" || level == ">") || level == ">" && i+1 < len(levels) {
			return false
		}
	}
	for _, r := range s {
		if r < ' ' || '\x7f' <= r && r <= '\u009f' {
			return false
		}
	}
	return true
}

// naiveMatch restates level by level what a pattern covers.
func naiveMatch(pattern, topic string) bool {
	p, t := strings.Split(pattern, "."), strings.Split(topic, ".")
	if strings.HasPrefix(topic, "$") && (p[0] == "*" || p[0] == ">") {
		return false
	}
	if last := len(p) - 1; p[last] == ">" {
		if p = p[:last]; len(t) <= last {
			return false
		}
		t = t[:last]
	}
	return slices.EqualFunc(p, t, func(p, t string) bool { return p == "*" || p == t })
}

// Whatever is checked and matched: the checks accept what the contract does,
// and Match, the tree of patterns and the naive matcher agree on all of it.
func FuzzMatch(f *testing.F) {
	f.Add("a.b\na.*\na.>\n>\n*.*\n*", "a.b")
	f.Add("orders.*.paid\norders.>\norders.7.*\n*.7.>", "orders.7.paid")
	f.Add("$s.>\n*.b\n>\n$s.*\n$s.b\n$", "$s.b")
	f.Add("*.*.*\n*.*.>\na.*.*\n*.b.*\n*.*.c\na.b.>", "a.b.c")
	f.Add("a\nb\na.b\na..b\n.\n\n*.>\n>.*", "a")
	f.Add("x*\n*x\n>x\nx>", "x>")
	f.Add("\xff\n\x00\n"+strings.Repeat("x.", 16)+">", strings.Repeat("x.", 15)+"x")
	f.Fuzz(func(t *testing.T, patterns, topic string) {
		var names []string
		for _, p := range append(strings.SplitN(patterns, "\n", 9), topic) {
			checkNames(t, p)
			if wellFormed(p, true) && len(names) < 8 {
				names = append(names, p)
			}
		}
		if wellFormed(topic, false) {
			checkMatching(t, names, topic)
		}
	})
}

// wellFormed is allowed for the broker's own topics, too.
func wellFormed(s string, pattern bool) bool {
	return allowed(s, pattern) || strings.HasPrefix(s, "$") && allowed("x"+s[1:], pattern)
}

func checkNames(t *testing.T, s string) {
	for _, pattern := range []bool{false, true} {
		err := check(s, pattern)
		if (err == nil) != allowed(s, pattern) {
			t.Fatalf("check(%q, %v) = %v", s, pattern, err)
		}
		if err == nil {
			continue
		}
		var e *TopicError
		if !errors.As(err, &e) || e.Reserved != wellFormed(s, pattern) || !utf8.ValidString(e.Error()) {
			t.Fatalf("check(%q, %v) = %+v", s, pattern, err)
		}
	}
}

// checkMatching has a client for every name, and then one less and one less.
func checkMatching(t *testing.T, names []string, topic string) {
	opts := testOptions()
	opts.HistoryEvents = 0
	s := NewState(opts)
	for i, name := range names {
		wild := slices.ContainsFunc(strings.Split(name, "."), func(level string) bool { return level == "*" || level == ">" })
		if isPattern(name) != wild {
			t.Fatalf("isPattern(%q) = %v", name, !wild)
		}
		if _, err := s.Register(Registration{ID: ID{byte(i)}, User: "u", Topics: []string{name}}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range len(names) + 1 {
		want := 0
		for _, name := range names[i:] {
			match := naiveMatch(name, topic)
			if Match(name, topic) != match {
				t.Fatalf("Match(%q, %q) = %v", name, topic, !match)
			}
			if match {
				want++
			}
		}
		for _, user := range []string{"", "u"} {
			if got, err := s.Publish(Event{Topic: topic, User: user}); err != nil || got.Matched != want {
				t.Fatalf("%q, for user %q: %d of %q match, %v, want %d", topic, user, got.Matched, names[i:], err, want)
			}
		}
		checkInvariants(t, s)
		s.Unregister(ID{byte(i)})
	}
	checkEmpty(t, s)
}
