// Package js holds the client for browsers, as the broker serves it.
package js

import _ "embed"

//go:generate ./minify

// Script is an ES module: belfry.js without what only readers need.
//
//go:embed belfry.min.js
var Script []byte
