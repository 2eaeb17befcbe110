package api

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/julienschmidt/httprouter"
	"github.com/prometheus/client_golang/prometheus"

	"belfry/api/auth"
)

// A handler serves a route. It returns the body of the response: a text is sent as it is,
// other values as JSON. Nil means that the handler has answered by itself.
type handler func(x *exchange) (any, error)

// A route is one call.
type route struct {
	method  string
	pattern string     // a name in braces stands for one segment of the path
	right   auth.Right // required of the caller
	free    bool       // no right is needed: the client_id is enough, or the handler checks
	admin   bool       // never for pages of other origins, whatever the setting
	shown   bool       // public: pages of other origins may load it or link to it
	stream  bool       // the response has no end
	handle  handler
	served  prometheus.Counter // requests answered with 200
}

// routes finds the route of a request. The router only looks up paths. [Server.unrouted]
// alone handles unknown paths and methods.
type routes struct {
	router  *httprouter.Router
	methods []string // of all routes
}

// unmatched is the route of unknown paths, for metrics and logs.
var unmatched = &route{pattern: "unmatched"}

// newRoutes panics for a route that does not say who may use it.
func newRoutes(table []*route) *routes {
	t := &routes{router: httprouter.New()}
	seen := make(map[string]bool)
	braces := strings.NewReplacer("{", ":", "}", "")
	for _, r := range table {
		if (r.right == 0) != r.free {
			panic("api: no right is declared for " + r.pattern)
		}
		// The router's functions only identify the route.
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

// find sets the exchange's route and parameters. It uses the escaped path, so that an
// escaped slash stays inside its parameter.
func (t *routes) find(x *exchange, method, path string) bool {
	found, params, _ := t.router.Lookup(method, path)
	if found == nil {
		return false
	}
	found(x, nil, params)
	return true
}

// allow sets the exchange's route to one of the path, whatever the method. It returns the
// header Allow for the path, "" if there is no such path.
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
		return "" // impossible: the URL was parsed
	}
	return value
}
