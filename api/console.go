package api

import "belfry/api/console"

// consoleContent is what the console's page may do: run its own scripts, look as its
// own style sheet says, and ask this broker (Content Security Policy Level 3).
var consoleContent = []string{"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"}

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
	x.Header()["Content-Security-Policy"] = consoleContent
	x.file(file.Type, file.ETag, file.Content)
	return nil, nil
}
