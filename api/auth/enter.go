package auth

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// What stands for several origins in a list of them.
const (
	anyOrigin  = "*"    // pages from anywhere
	autoOrigin = "auto" // pages from anywhere if there are keys, else pages of this machine
)

// A Page is the page of another origin that a request is from.
type Page struct {
	Origin string // to be permitted to see the response; "" for a request that is from none
	Varies bool   // the response depends on it
}

// A Call is what a request asks for, as far as it matters to pages.
type Call struct {
	Admin bool // for administrators: the broker's own pages alone may use it
	Shown bool // it costs nothing and is the same for everybody: pages may load it, or lead to it
}

// Enter decides whether a request may be looked at at all, and is the one place
// that decides about pages. It fails with a [*Denial].
//
// A page may use the broker if it came from there, or if its origin is among
// [Options.Origins], in which * is any and auto depends on whether there are
// keys: a page brings no credentials by itself, so with keys any may try, while
// without keys being asked by this machine's browser must not be enough. Calls
// for administrators are for the broker's own pages alone.
//
// Some requests of a page, such as that of an image, have no Origin. Browsers say of
// those whether they are of another site (Fetch Metadata); as nothing says of which
// page they are, they are refused unless any may. A link to the console may be followed.
//
// A broker that is open to this machine alone asks for more: a page that a name
// of its own has led here (DNS rebinding) and a proxy that others may use would
// both come from this machine.
func (g *Guard) Enter(r *http.Request, call Call) (Page, error) {
	if g.open() && g.opts.Local {
		if err := g.near(r); err != nil {
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

// isForeign reports whether a browser says that a request is by a page of another
// origin (Fetch Metadata Request Headers, Sec-Fetch-Site).
func isForeign(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
		return false
	}
	return true
}

// admitsUnnamed reports whether a call may be made by a page that is not named.
func (g *Guard) admitsUnnamed(r *http.Request, call Call) bool {
	switch {
	case call.Admin && call.Shown:
		return r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
	case call.Admin:
		return false
	}
	return call.Shown || g.any
}

// near fails for requests that may not be from this machine.
func (g *Guard) near(r *http.Request) error {
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

// hostOf returns the host and port of an origin that is a web page's.
func hostOf(origin string) (host string, ok bool) {
	scheme, host, ok := strings.Cut(origin, "://")
	return host, ok && (scheme == "http" || scheme == "https")
}

// isSameOrigin reports whether a page came from the host that it now asks.
// The scheme does not count: a proxy may have taken the TLS off.
func isSameOrigin(origin, host string) bool {
	from, ok := hostOf(origin)
	return ok && strings.EqualFold(from, host)
}

// isLoopback reports whether a host, as in a Host header, is this machine by a
// name that nobody else can give it.
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
