package api

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/julienschmidt/httprouter"
	"github.com/prometheus/client_golang/prometheus"

	"belfry/api/auth"
)

// A handler serves a route. The value that it returns is the response's body,
// a text as it is and all else as JSON; nil says that the handler has answered
// by itself.
type handler func(x *exchange) (any, error)

// A route is one call.
type route struct {
	method  string
	pattern string     // a name in braces stands for one segment of the path
	right   auth.Right // that the caller needs
	free    bool       // no right is needed: a client_id is its own ticket, or the handler sees to it
	admin   bool       // never for pages of other origins, whatever the setting
	shown   bool       // the same for everybody, and free: pages of other origins may load it or lead to it
	stream  bool       // its response has no end
	handle  handler
	served  prometheus.Counter // its requests answered with 200
}

// routes finds the route of a request. The router is asked for nothing but
// that: what to do about a path or a method that is not there is decided in
// one place, see [Server.unrouted].
type routes struct {
	router  *httprouter.Router
	methods []string // that any route has
}

// unmatched stands in for the route of a path that is not there.
var unmatched = &route{pattern: "unmatched"}

// newRoutes panics for a route of which it is not said who may use it.
func newRoutes(table []*route) *routes {
	t := &routes{router: httprouter.New()}
	seen := make(map[string]bool)
	braces := strings.NewReplacer("{", ":", "}", "")
	for _, r := range table {
		if (r.right == 0) != r.free {
			panic("api: nobody has said who may use " + r.pattern)
		}
		// The router maps paths to functions; this one tells which it is.
		t.router.Handle(r.method, braces.Replace(r.pattern), func(w http.ResponseWriter, _ *http.Request, ps httprouter.Params) {
			x := w.(*exchange)
			x.route, x.params = r, ps
		})
		if !seen[r.method] {
			seen[r.method] = true
			t.methods = append(t.methods, r.method)
		}
	}
	return t
}

// find sets the exchange's route and parameters. The path is the escaped one,
// so that an escaped slash stays inside its parameter.
func (t *routes) find(x *exchange, method, path string) bool {
	found, params, _ := t.router.Lookup(method, path)
	if found == nil {
		return false
	}
	found(x, nil, params)
	return true
}

// allow sets the exchange's route to one of the path, whatever its method, and
// returns what the header Allow says of it: "" if the path is not there.
func (t *routes) allow(x *exchange, path string) string {
	allowed := []string{http.MethodOptions}
	for _, method := range t.methods {
		if t.find(x, method, path) {
			allowed = append(allowed, method)
			if method == http.MethodGet {
				allowed = append(allowed, http.MethodHead)
			}
		}
	}
	if len(allowed) == 1 {
		return ""
	}
	return strings.Join(allowed, ", ")
}

// param returns a parameter of the path, unescaped.
func (x *exchange) param(name string) string {
	value, err := url.PathUnescape(x.params.ByName(name))
	if err != nil {
		return "" // cannot be: the URL was parsed
	}
	return value
}
