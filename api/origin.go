package api

import (
	"net/http"
	"slices"
	"strings"
)

// origins decides what pages of other origins may do: the CORS protocol of the
// Fetch standard, without credentials.
type origins struct {
	any     bool
	allowed []string
}

func newOrigins(allowed []string) origins {
	return origins{any: slices.Contains(allowed, "*"), allowed: allowed}
}

// Methods that a page may use if its origin may. The list names more than
// there are on any path: a page is to see the 405 and not a failed preflight.
const corsMethods = "GET, HEAD, POST, PUT, PATCH, DELETE"

// check sets the headers that permit a page of another origin to see the
// response, and reports whether the request is a preflight, which is then
// answered. It fails for a page that may not; its requests that change nothing
// are served, and the browser keeps the response from the page. It would not
// keep a WebSocket from it.
func (o *origins) check(x *exchange) (preflight bool, err error) {
	header := x.Header()
	if !o.any {
		header.Add("Vary", "Origin")
	}
	origin := x.r.Header.Get("Origin")
	if origin == "" || isSameOrigin(origin, x.r.Host) {
		return false, nil
	}
	requested := x.r.Header.Get("Access-Control-Request-Method")
	preflight = x.r.Method == http.MethodOptions && requested != ""
	if !o.permits(origin) || x.route.admin {
		if preflight || x.route.socket || !changesNothing(x.r.Method) {
			return false, originNotAllowed.because("pages of this origin may not use this call; add it to allowed_origins if they should")
		}
		return false, nil
	}
	if o.any {
		origin = "*"
	}
	header.Set("Access-Control-Allow-Origin", origin)
	header.Set("Access-Control-Expose-Headers", "X-Request-Id, Retry-After, RateLimit, RateLimit-Policy")
	if preflight {
		header.Set("Access-Control-Allow-Methods", corsMethods)
		header.Set("Access-Control-Max-Age", "7200")
		if names := x.r.Header.Get("Access-Control-Request-Headers"); names != "" {
			header.Set("Access-Control-Allow-Headers", names)
			header.Add("Vary", "Access-Control-Request-Headers")
		}
	}
	return preflight, nil
}

func (o *origins) permits(origin string) bool {
	return o.any || slices.Contains(o.allowed, origin)
}

// isSameOrigin reports whether a page came from the host that it now asks.
// The scheme does not count: a proxy may have taken the TLS off.
func isSameOrigin(origin, host string) bool {
	_, from, ok := strings.Cut(origin, "://")
	return ok && strings.EqualFold(from, host)
}

// changesNothing reports whether a method is safe (RFC 9110 section 9.2.1).
func changesNothing(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}
