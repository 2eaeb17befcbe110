package api

import "belfry/api/console"

// consoleContent lets the console's page run its own scripts, use its own style sheet and
// call this broker, nothing else (Content Security Policy Level 3).
var consoleContent = []string{"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"}

// getConsole serves the console's page and its files. They are public, since they contain
// no data: the calls that they make need a key.
func getConsole(x *exchange) (any, error) {
	name := x.param("file")
	if x.route.pattern == "/console" {
		name = console.Document
	} else if name == console.Document {
		name = "" // the page has only one address
	}
	file := console.Get(name)
	if file == nil {
		return nil, notFound.because("the console has no such file; its page is at /console")
	}
	x.Header()["Content-Security-Policy"] = consoleContent
	x.file(file.Type, file.ETag, file.Content)
	return nil, nil
}
