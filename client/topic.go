package client

import (
	"slices"
	"strings"
)

// match reports whether a pattern covers a topic. "*" is one level; ">" as the last level
// is one or more. Wildcards at the first level do not cover the broker's own topics, which
// begin with "$".
func match(pattern, topic string) bool {
	if strings.HasPrefix(topic, "$") && !strings.HasPrefix(pattern, "$") {
		return false
	}
	for {
		p, prest, pmore := strings.Cut(pattern, ".")
		if p == ">" {
			return true
		}
		t, trest, tmore := strings.Cut(topic, ".")
		if p != "*" && p != t {
			return false
		}
		if !pmore || !tmore {
			return pmore == tmore
		}
		pattern, topic = prest, trest
	}
}

// matchAny reports whether one of the patterns covers a topic.
func matchAny(patterns []string, topic string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return match(p, topic) })
}

// without returns the members of all that are not in some. It changes neither.
func without(all, some []string) (rest []string) {
	for _, s := range all {
		if !slices.Contains(some, s) {
			rest = append(rest, s)
		}
	}
	return rest
}

// with returns all, and the members of some that are not in it. It changes neither.
func with(all, some []string) []string {
	return append(slices.Clip(all), without(unique(some), all)...)
}

// unique returns the members of all, each once.
func unique(all []string) (once []string) {
	for _, s := range all {
		if !slices.Contains(once, s) {
			once = append(once, s)
		}
	}
	return once
}
