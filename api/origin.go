package api

import (
	"net/http"

	"belfry/api/auth"
)

// Methods that a page may use if its origin may. The list names more than
// there are on any path: a page is to see the 405 and not a failed preflight.
const corsMethods = "GET, HEAD, POST, PUT, PATCH, DELETE"

// permit sets the headers by which a browser lets a page of another origin see
// the response (the CORS protocol of the Fetch standard, without credentials), and
// reports whether the request is a preflight, which is then answered. Which pages
// may is decided by [auth.Guard.Enter].
func permit(x *exchange, page auth.Page) (preflight bool) {
	header := x.Header()
	if page.Varies {
		header["Vary"] = varyOrigin
	}
	if page.Origin == "" {
		return false
	}
	header.Set("Access-Control-Allow-Origin", page.Origin)
	header.Set("Access-Control-Expose-Headers", "X-Request-Id, Retry-After, RateLimit, RateLimit-Policy")
	preflight = x.r.Method == http.MethodOptions && x.r.Header.Get("Access-Control-Request-Method") != ""
	if preflight {
		header.Set("Access-Control-Allow-Methods", corsMethods)
		header.Set("Access-Control-Max-Age", "7200")
		if names := x.r.Header.Get("Access-Control-Request-Headers"); names != "" {
			header.Set("Access-Control-Allow-Headers", names)
			header.Add("Vary", "Access-Control-Request-Headers")
		}
	}
	return preflight
}
