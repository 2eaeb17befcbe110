// Package console holds the operators' page: one document, one style sheet and a few
// ECMAScript modules. There is no build. It uses only the public interface.
package console

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"path"
)

//go:embed index.html *.css *.js icon.svg
var files embed.FS

// A File is one file of the page.
type File struct {
	Type    string // its Content-Type
	ETag    string // a strong one (RFC 9110 section 8.8.3)
	Content []byte
}

// Document is the name of the page itself.
const Document = "index.html"

var types = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8", // RFC 9239
	".svg":  "image/svg+xml",
}

var byName = load()

func load() map[string]*File {
	all := make(map[string]*File)
	entries, err := files.ReadDir(".")
	if err != nil {
		panic(err) // the files are compiled in
	}
	for _, entry := range entries {
		content, err := files.ReadFile(entry.Name())
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(content)
		all[entry.Name()] = &File{types[path.Ext(entry.Name())], `"` + hex.EncodeToString(sum[:16]) + `"`, content}
	}
	return all
}

// Get returns a file by its name, or nil.
func Get(name string) *File { return byName[name] }
