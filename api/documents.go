package api

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
)

// A Document describes the broker's interface. Everybody may read it.
type Document struct {
	Path    string // such as "/openapi.yaml"
	Content []byte // YAML
}

var contentYAML = []string{"application/yaml"} // RFC 9512

// documentTable is a call for each document.
func (s *Server) documentTable() (table []*route) {
	for _, d := range s.opts.Documents {
		table = append(table, &route{method: http.MethodGet, pattern: d.Path, free: true, handle: d.serve()})
	}
	return table
}

// serve returns what answers with the document, or with 304 to who has it
// (RFC 9110 section 13.1.2).
func (d Document) serve() handler {
	sum := sha256.Sum256(d.Content)
	tag := `"` + hex.EncodeToString(sum[:8]) + `"`
	etag := []string{tag}
	return func(x *exchange) (any, error) {
		header := x.Header()
		header["Etag"], header["Cache-Control"] = etag, revalidate
		if strings.Contains(x.r.Header.Get("If-None-Match"), tag) {
			x.WriteHeader(http.StatusNotModified)
			return nil, nil
		}
		header["Content-Type"] = contentYAML
		_, _ = x.Write(d.Content) // if the peer is gone, there is nobody to tell
		return nil, nil
	}
}

// revalidate has caches ask whether what they have is still right: another
// version of the broker has other documents.
var revalidate = []string{"no-cache"}
