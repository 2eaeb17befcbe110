package api

import (
	"net/http"
	"slices"
	"strings"

	"belfry/api/console"
)

// consoleContent is what the console's page may do: run its own scripts, look as its
// own style sheet says, and ask this broker (Content Security Policy Level 3).
var consoleContent = []string{"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"}

// revalidate has browsers ask each time, which an ETag answers.
var revalidate = []string{"no-cache"}

// getConsole serves the console's page and its files. They are the same for
// everybody: what is worth a key they have to ask for.
func getConsole(x *exchange) (any, error) {
	name := x.param("file")
	if x.route.pattern == "/console" {
		name = console.Document
	} else if name == console.Document {
		name = "" // it has one address
	}
	file := console.Get(name)
	if file == nil {
		return nil, notFound.because("the console has no such file; its page is at /console")
	}
	header := x.Header()
	header["Content-Type"], header["Cache-Control"] = []string{file.Type}, revalidate
	header["Etag"] = []string{file.ETag}
	header["Content-Security-Policy"] = consoleContent
	if matches(x.r.Header["If-None-Match"], file.ETag) {
		x.WriteHeader(http.StatusNotModified)
		return nil, nil
	}
	_, _ = x.Write(file.Content) // if the peer is gone, there is nobody to tell
	return nil, nil
}

// matches reports whether a condition names a tag (RFC 9110 section 13.1.2, by weak
// comparison).
func matches(lines []string, tag string) bool {
	return slices.ContainsFunc(strings.Split(strings.Join(lines, ","), ","), func(given string) bool {
		given = strings.TrimSpace(given)
		return given == "*" || strings.TrimPrefix(given, "W/") == tag
	})
}
