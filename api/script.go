package api

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// scriptTable is the client for browsers. Pages load it before they have any
// credentials.
func (s *Server) scriptTable() []*route {
	if s.opts.Script == nil {
		return nil
	}
	return []*route{{method: http.MethodGet, pattern: "/belfry.js", free: true, handle: getScript(s.opts.Script)}}
}

// A page asks each time whether it has the broker's own version.
var revalidate = []string{"no-cache"}

// getScript returns a handler that serves an ES module.
func getScript(module []byte) handler {
	tag := fmt.Sprintf(`"%x"`, sha256.Sum256(module))[:33] + `"`
	return func(x *exchange) (any, error) {
		header := x.Header()
		header["Cache-Control"], header["Etag"] = revalidate, []string{tag}
		header.Set("Content-Type", "text/javascript; charset=utf-8")
		if hasTag(x.r.Header, tag) {
			x.WriteHeader(http.StatusNotModified)
			return nil, nil
		}
		_, _ = x.Write(module) // if the peer is gone, there is nobody to tell
		return nil, nil
	}
}

// hasTag reports whether who asks has what a tag names (RFC 9110 section 13.1.2).
// Proxies that compress make tags weak.
func hasTag(header http.Header, tag string) bool {
	given := strings.Split(strings.Join(header["If-None-Match"], ","), ",")
	return slices.ContainsFunc(given, func(one string) bool {
		one = strings.TrimSpace(one)
		return one == "*" || strings.TrimPrefix(one, "W/") == tag
	})
}
