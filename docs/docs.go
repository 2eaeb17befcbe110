// Package docs holds the descriptions of the broker's interfaces that machines
// read. The broker serves them.
package docs

import _ "embed"

// OpenAPI describes the calls over HTTP (OpenAPI 3.1, as YAML).
//
//go:embed openapi.yaml
var OpenAPI []byte

// AsyncAPI describes what goes over WebSocket and as server-sent events
// (AsyncAPI 3.0, as YAML).
//
//go:embed asyncapi.yaml
var AsyncAPI []byte
