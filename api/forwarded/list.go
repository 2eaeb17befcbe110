package forwarded

import "strings"

// hops reads the elements of a header's list (RFC 9110 section 5.6.1) from the last to the
// first. So the newest entries are understood, whatever an older one contains.
type hops struct {
	lines  []string // those that are left, without the present one
	line   string   // what is left of the present one
	quoted bool     // an element may have quoted strings with commas
}

// next returns the next non-empty element. A malformed one is the last.
func (h *hops) next() (element string, ok bool) {
	for h.line != "" || len(h.lines) > 0 {
		if h.line == "" {
			last := len(h.lines) - 1
			h.line, h.lines = h.lines[last], h.lines[:last]
			continue
		}
		at, ok := lastComma(h.line, h.quoted)
		if !ok {
			break
		}
		element = strings.Trim(h.line[at+1:], " \t")
		if h.line = h.line[:max(at, 0)]; element != "" {
			return element, true
		}
	}
	h.line, h.lines = "", nil
	return "", false
}

// lastOf returns the last element of a list without quoted strings.
func lastOf(lines []string) string {
	h := hops{lines: lines}
	last, _ := h.next()
	return last
}

// lastComma returns the index of the last comma that separates elements, -1 if there is
// none. It fails for a quoted string without a beginning.
func lastComma(line string, quoted bool) (at int, ok bool) {
	if !quoted {
		return strings.LastIndexByte(line, ','), true
	}
	for i := len(line) - 1; i >= 0; i-- {
		switch line[i] {
		case ',':
			return i, true
		case '"':
			if i = openingQuote(line[:i]); i < 0 {
				return 0, false
			}
		}
	}
	return -1, true
}

// openingQuote returns the index of the quote that opens the string which ends with text:
// the last quote that is not escaped by a backslash.
func openingQuote(text string) int {
	for i := strings.LastIndexByte(text, '"'); i >= 0; i = strings.LastIndexByte(text[:i], '"') {
		before := text[:i]
		if slashes := len(before) - len(strings.TrimRight(before, `\`)); slashes%2 == 0 {
			return i
		}
	}
	return -1
}

// parseForwarded reads an element of Forwarded (RFC 7239 section 4): the address in its
// "for", and whether its "proto" is one of TLS.
func parseForwarded(element string) (node string, secure, ok bool) {
	seen := make(map[string]bool, 4)
	for rest := strings.TrimLeft(element, "; \t"); rest != ""; rest = strings.TrimLeft(rest, "; \t") {
		var name, value string
		name, rest, ok = strings.Cut(rest, "=")
		name = strings.ToLower(strings.Trim(name, " \t"))
		if !ok || !isToken(name) || seen[name] {
			return "", false, false
		}
		seen[name] = true
		if value, rest, ok = cutValue(rest); !ok {
			return "", false, false
		}
		switch name {
		case "for":
			node = value
		case "proto":
			secure = isSecure(value)
		}
	}
	return node, secure, node != ""
}

// cutValue cuts a value and the semicolon after it off a list of pairs.
func cutValue(text string) (value, rest string, ok bool) {
	if !strings.HasPrefix(text, `"`) {
		value, rest, _ = strings.Cut(text, ";")
		value = strings.Trim(value, " \t")
		return value, rest, isToken(value)
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch c := text[i]; c {
		case '\\':
			if i++; i < len(text) {
				b.WriteByte(text[i])
			}
		case '"':
			rest = strings.Trim(text[i+1:], " \t")
			after, more := strings.CutPrefix(rest, ";")
			return b.String(), after, more || rest == ""
		default:
			b.WriteByte(c)
		}
	}
	return "", "", false
}

// isToken reports whether text is a token (RFC 9110 section 5.6.2). It also accepts an
// unquoted address with a port, which many proxies send.
func isToken(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(c rune) bool {
		return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~[]:", c))
	})
}
