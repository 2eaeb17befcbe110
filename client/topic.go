package client

import (
	"slices"
	"strings"
)

// match reports whether a topic is covered by a subscription's pattern: a level
// "*" stands for one level, ">" as the last one for one or more. Wildcards at
// the first level do not reach the broker's own topics, which begin with "$".
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

// matchAny reports whether a topic is covered by one of some patterns.
func matchAny(patterns []string, topic string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return match(p, topic) })
}

// without returns the members of all that are not in some. It does not change
// either.
func without(all, some []string) (rest []string) {
	for _, s := range all {
		if !slices.Contains(some, s) {
			rest = append(rest, s)
		}
	}
	return rest
}

// with returns all and those of some that are not in it. It does not change
// either.
func with(all, some []string) []string {
	return append(slices.Clip(all), without(unique(some), all)...)
}

// unique returns all, each once.
func unique(all []string) (once []string) {
	for _, s := range all {
		if !slices.Contains(once, s) {
			once = append(once, s)
		}
	}
	return once
}
