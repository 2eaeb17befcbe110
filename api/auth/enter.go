package auth

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// The special values in a list of origins.
const (
	anyOrigin  = "*"    // pages from anywhere
	autoOrigin = "auto" // pages from anywhere if there are keys, else pages of this machine
)

// A Page describes the page of another origin that sent a request.
type Page struct {
	Origin string // that may read the response; "" if there is none
	Varies bool   // the response depends on it
}

// A Call is the part of a route that matters for pages.
type Call struct {
	Admin bool // for operators: only the broker's own pages may use it
	Shown bool // free and the same for everybody: pages may load it, or link to it
}

// CheckOrigin decides whether a request is served at all. It is the one place that decides about
// pages. It fails with a [*Denial].
//
// A page may use the broker if it came from the broker, or if its origin is in
// [Options.Origins]. There * means any origin, and auto depends on whether there are keys.
// With keys any page may try, because a page brings no credentials by itself. Without
// keys, a request from this machine's browser is not enough. Calls for operators are only
// for the broker's own pages.
//
// Some requests of a page, such as one for an image, have no Origin. Browsers mark those
// that come from another site (Fetch Metadata), but do not name the page. They are refused
// unless any page may. A link to the console may be followed.
//
// A broker that is open to this machine only checks more. Two kinds of foreign requests
// come from this machine: those of a page that reached it through a name of its own (DNS
// rebinding), and those of an open proxy.
func (g *Guard) CheckOrigin(r *http.Request, call Call) (Page, error) {
	if g.open() && g.opts.Local {
		if err := g.checkLocal(r); err != nil {
			return Page{}, err
		}
	}
	page := Page{Varies: call.Admin || !g.any}
	origin := r.Header.Get("Origin")
	switch {
	case origin == "" && isForeign(r) && !g.admitsUnnamed(r, call):
		return page, foreign.because(fmt.Sprintf("no Origin, Sec-Fetch-Site %.20q", r.Header.Get("Sec-Fetch-Site")))
	case origin == "" || isSameOrigin(origin, r.Host):
		return page, nil
	case call.Admin || !g.permits(origin):
		return page, foreign.because(fmt.Sprintf("Origin %.100q", origin))
	}
	page.Origin = origin
	if !page.Varies {
		page.Origin = anyOrigin
	}
	return page, nil
}

// isForeign reports whether the browser says that a page of another origin made the
// request (Fetch Metadata Request Headers, Sec-Fetch-Site).
func isForeign(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
		return false
	}
	return true
}

// admitsUnnamed reports whether a page whose origin is unknown may make a call.
func (g *Guard) admitsUnnamed(r *http.Request, call Call) bool {
	switch {
	case call.Admin && call.Shown:
		return r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
	case call.Admin:
		return false
	}
	return call.Shown || g.any
}

// checkLocal fails for requests that may come from another machine.
func (g *Guard) checkLocal(r *http.Request) error {
	if !isLoopback(r.Host) && !slices.Contains(g.opts.Hosts, strings.ToLower(r.Host)) {
		return wrongHost.because(fmt.Sprintf("Host %.100q", r.Host))
	}
	for name := range r.Header {
		if name == "Forwarded" || name == "Via" || strings.HasPrefix(name, "X-Forwarded-") {
			return proxied.because("header " + name)
		}
	}
	return nil
}

// permits reports whether pages of an origin may use the broker.
func (g *Guard) permits(origin string) bool {
	switch {
	case g.any || slices.Contains(g.opts.Origins, origin):
		return true
	case !slices.Contains(g.opts.Origins, autoOrigin):
		return false
	}
	host, ok := hostOf(origin)
	return ok && (isLoopback(host) || slices.Contains(g.opts.Hosts, host))
}

// hostOf returns the host and port of the origin of a web page.
func hostOf(origin string) (host string, ok bool) {
	scheme, host, ok := strings.Cut(origin, "://")
	return host, ok && (scheme == "http" || scheme == "https")
}

// isSameOrigin reports whether a page came from the host that it now calls. The scheme is
// ignored: a proxy may have terminated the TLS.
func isSameOrigin(origin, host string) bool {
	from, ok := hostOf(origin)
	return ok && strings.EqualFold(from, host)
}

// isLoopback reports whether a host, as in a Host header, names this machine in a way that
// nobody else can claim.
func isLoopback(host string) bool {
	name, port := host, ""
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		name, port = host[:i], host[i+1:]
	}
	if strings.Trim(port, "0123456789") != "" {
		return false
	}
	switch strings.ToLower(name) {
	case "localhost", "127.0.0.1", "[::1]":
		return true
	}
	return false
}
