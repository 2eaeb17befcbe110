package api

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
)

// A Document is a public file. Pages load some before they have any credentials.
type Document struct {
	Path    string // such as "/openapi.yaml"
	Type    string // its media type
	Content []byte
}

// documentTable has a route for each document.
func (s *Server) documentTable() (table []*route) {
	for _, d := range s.opts.Documents {
		sum := sha256.Sum256(d.Content)
		etag := `"` + hex.EncodeToString(sum[:16]) + `"`
		table = append(table, &route{method: http.MethodGet, pattern: d.Path, free: true, shown: true, handle: func(x *exchange) (any, error) {
			x.file(d.Type, etag, d.Content)
			return nil, nil
		}})
	}
	return table
}

// revalidate makes caches ask whether their copy is current: another version of the broker
// has other files.
var revalidate = []string{"no-cache"}

// file answers with a file, or with 304 if the caller has it.
func (x *exchange) file(media, etag string, content []byte) {
	header := x.Header()
	header["Etag"], header["Cache-Control"] = []string{etag}, revalidate
	if hasTag(x.r.Header, etag) {
		x.WriteHeader(http.StatusNotModified)
		return
	}
	header["Content-Type"] = []string{media}
	_, _ = x.Write(content) // if the peer is gone, there is nobody to tell
}

// hasTag reports whether If-None-Match contains a tag (RFC 9110 section 13.1.2). Proxies
// that compress make tags weak.
func hasTag(header http.Header, etag string) bool {
	given := strings.Split(strings.Join(header["If-None-Match"], ","), ",")
	return slices.ContainsFunc(given, func(one string) bool {
		one = strings.TrimSpace(one)
		return one == "*" || strings.TrimPrefix(one, "W/") == etag
	})
}
