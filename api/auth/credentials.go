package auth

import (
	"net/http"
	"slices"
	"strings"
)

// tokenProtocol is what a subprotocol that carries a token begins with: a page
// can't set other headers of a WebSocket's handshake.
const tokenProtocol = "bearer."

// credentials returns the key or the token that a request brings (RFC 6750
// section 2). One that brings several different ones is refused: which of
// them counts would be a guess.
func credentials(r *http.Request) (string, error) {
	var found []string
	for _, header := range r.Header["Authorization"] {
		scheme, text, _ := strings.Cut(header, " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return "", invalid.because("Authorization is not of the scheme Bearer")
		}
		found = append(found, strings.TrimSpace(text))
	}
	for _, line := range r.Header["Sec-Websocket-Protocol"] {
		for name := range strings.SplitSeq(line, ",") {
			if text, ok := strings.CutPrefix(strings.TrimSpace(name), tokenProtocol); ok {
				found = append(found, text)
			}
		}
	}
	if strings.Contains(r.URL.RawQuery, "access_token") {
		found = append(found, r.URL.Query()["access_token"]...)
	}
	switch found = slices.Compact(found); {
	case len(found) == 0:
		return "", missing.because("no credentials")
	case len(found) > 1:
		return "", invalid.because("several different credentials")
	case found[0] == "":
		return "", missing.because("empty credentials")
	}
	return found[0], nil
}

// maxCredentials is the length of the longest key or token, in bytes.
const maxCredentials = 8 << 10
