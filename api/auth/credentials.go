package auth

import (
	"net/http"
	"slices"
	"strings"
)

// tokenProtocol is the prefix of a subprotocol that carries a token. A page cannot set
// other headers of a WebSocket handshake.
const tokenProtocol = "bearer."

// credentials returns the key or the token of a request (RFC 6750 section 2). Empty
// credentials count as none. So do those of another scheme, which are meant for a proxy in
// front of the broker. A request with several different ones is refused, because either
// choice would be a guess.
func credentials(r *http.Request) (string, error) {
	found, others := bearers(r.Header["Authorization"])
	for _, line := range r.Header["Sec-Websocket-Protocol"] {
		for name := range strings.SplitSeq(line, ",") {
			if text, ok := strings.CutPrefix(strings.TrimSpace(name), tokenProtocol); ok {
				found = append(found, text)
			}
		}
	}
	if r.URL.RawQuery != "" {
		found = append(found, r.URL.Query()["access_token"]...)
	}
	found = slices.DeleteFunc(found, func(text string) bool { return text == "" })
	switch found = slices.Compact(found); {
	case len(found) > 1:
		return "", invalid.because("several different credentials")
	case len(found) == 1:
		return found[0], nil
	case others:
		return "", invalid.because("Authorization is not of the scheme Bearer")
	}
	return "", missing.because("no credentials")
}

// bearers returns the credentials of scheme Bearer, and whether there are others.
func bearers(headers []string) (found []string, others bool) {
	for _, header := range headers {
		scheme, text := strings.Trim(header, blanks), ""
		if i := strings.IndexAny(scheme, blanks); i >= 0 {
			scheme, text = scheme[:i], strings.Trim(scheme[i:], blanks)
		}
		if strings.EqualFold(scheme, "Bearer") {
			found = append(found, text)
		} else if scheme != "" {
			others = true
		}
	}
	return found, others
}

// blanks may stand around the parts of a header's value (RFC 9110 section 5.6.3).
const blanks = " \t"

// maxCredentials is the length of the longest key or token, in bytes.
const maxCredentials = 8 << 10
