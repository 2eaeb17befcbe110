package hub

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits of a topic's name.
const (
	MaxTopicBytes  = MaxNameBytes // longest topic or pattern, in bytes of UTF-8
	MaxTopicLevels = 16           // most levels, separated by '.'
)

// Wildcard levels of a subscription.
const (
	anyLevel = "*" // exactly one level
	anyTail  = ">" // one or more levels, only at the end
)

// BrokersTopics are the broker's own topics, as patterns. Operators may subscribe to
// them, and nobody publish.
var BrokersTopics = []string{StatsTopic, PresenceTopic + ">"}

// StatsTopic has the broker's figures, about once a second while somebody listens.
const StatsTopic = "$stats"

// A TopicError says what is wrong with a topic or a pattern.
type TopicError struct {
	Topic    string
	Problem  string
	Reserved bool // the name is well-formed, but belongs to the broker
}

func (e *TopicError) Error() string {
	return fmt.Sprintf("topic %q: %s", e.Topic, e.Problem)
}

// IsReserved reports whether an error says that a name is well-formed, but the
// broker's own.
func IsReserved(err error) bool {
	topic, ok := errors.AsType[*TopicError](err)
	return ok && topic.Reserved
}

// ForOperators reports whether a subscription is to some of the broker's own topics
// that operators may see.
func ForOperators(pattern string) bool {
	return IsReserved(CheckPattern(pattern)) && slices.ContainsFunc(BrokersTopics, func(p string) bool { return Covers(p, pattern) })
}

// CheckTopic reports why s cannot be published to, as a [*TopicError], or nil.
func CheckTopic(s string) error {
	return check(s, false)
}

// CheckPattern reports why s cannot be subscribed to, as a [*TopicError], or
// nil. Every topic is a pattern that matches itself.
func CheckPattern(s string) error {
	return check(s, true)
}

func check(s string, wildcards bool) error {
	fail := func(problem string) error { return &TopicError{Topic: s, Problem: problem} }
	switch {
	case s == "":
		return fail("is empty; want 1 to 255 bytes")
	case len(s) > MaxTopicBytes:
		return &TopicError{Topic: strings.ToValidUTF8(s[:32], "") + "...", Problem: fmt.Sprintf("has %d bytes; want at most %d", len(s), MaxTopicBytes)}
	case !utf8.ValidString(s):
		return fail("is not valid UTF-8")
	case HasControl(s):
		return fail("holds a control character")
	}
	levels := 0
	for level, rest, more := "", s, true; more; levels++ {
		level, rest, more = strings.Cut(rest, ".")
		switch {
		case level == "":
			return fail("has an empty level; separate levels by single dots")
		case !wildcards && (level == anyLevel || level == anyTail):
			return fail("has a wildcard level; an event goes to one exact topic")
		case level == anyTail && more:
			return fail("has '>' before its last level")
		}
	}
	if levels > MaxTopicLevels {
		return fail(fmt.Sprintf("has %d levels; want at most %d", levels, MaxTopicLevels))
	}
	if reserved(s) {
		return &TopicError{Topic: s, Problem: "begins with '$', which is reserved for the broker", Reserved: true}
	}
	return nil
}

// reserved reports whether a topic is the broker's own. Wildcards at the first
// level do not reach such topics.
func reserved(topic string) bool { return strings.HasPrefix(topic, "$") }

// isPattern reports whether a subscription has a wildcard level.
func isPattern(s string) bool {
	if !strings.ContainsAny(s, "*>") {
		return false
	}
	for level := range strings.SplitSeq(s, ".") {
		if level == anyLevel || level == anyTail {
			return true
		}
	}
	return false
}

// Match reports whether a topic is covered by a subscription's pattern. Both
// must be well-formed.
func Match(pattern, topic string) bool {
	is, _ := match(pattern, topic)
	return is
}

// match also returns how many levels it has compared.
func match(pattern, topic string) (is bool, levels int) {
	if reserved(topic) && !reserved(pattern) {
		return false, 0
	}
	for {
		levels++
		p, prest, pmore := strings.Cut(pattern, ".")
		if p == anyTail {
			return true, levels
		}
		t, trest, tmore := strings.Cut(topic, ".")
		if p != anyLevel && p != t {
			return false, levels
		}
		if !pmore || !tmore {
			return pmore == tmore, levels
		}
		pattern, topic = prest, trest
	}
}

// Covers reports whether a grant admits all that a request asks for: every
// topic that the request matches, the grant matches too. Both are patterns and
// well-formed.
func Covers(grant, request string) bool {
	is, _ := cover(grant, request)
	return is
}

// cover also returns how many levels it has compared.
func cover(grant, request string) (is bool, levels int) {
	if reserved(request) && !reserved(grant) {
		return false, 0
	}
	for {
		levels++
		g, grest, gmore := strings.Cut(grant, ".")
		if g == anyTail {
			return true, levels
		}
		r, rrest, rmore := strings.Cut(request, ".")
		if r == anyTail || g != anyLevel && g != r {
			return false, levels
		}
		if !gmore || !rmore {
			return gmore == rmore, levels
		}
		grant, request = grest, rrest
	}
}
