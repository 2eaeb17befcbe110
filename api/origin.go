package api

import (
	"net/http"

	"belfry/api/auth"
)

// The methods that pages may use. The list has more methods than any path, so that a page
// gets the 405 and not a failed preflight.
const corsMethods = "GET, HEAD, POST, PUT, PATCH, DELETE"

// permit sets the headers that let a page of another origin read the response (the CORS
// protocol of the Fetch standard, without credentials). It answers a preflight and reports
// whether there was one. [auth.Guard.CheckOrigin] decides which pages may.
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
