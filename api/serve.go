package api

import (
	"context"
	"net"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"

	"belfry/api/auth"
)

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.serve(&s.public, w, r) }

// Admin serves health, metrics, profiles, the console, the calls for operators and the
// other calls that the console needs. The calls for operators are then nowhere else. It
// requires [Options.AdminGuard].
func (s *Server) Admin() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serve(&s.admin, w, r) })
}

func (s *Server) serve(f *surface, w http.ResponseWriter, r *http.Request) {
	s.busy.Add(1)
	defer s.busy.Add(-1)
	x := newExchange(w, r)
	defer s.finish(x)
	x.id, x.limits = s.ids.of(r), s.limits.Load()
	header := w.Header()
	header["X-Request-Id"] = []string{x.id}
	header["X-Content-Type-Options"] = nosniff
	if r.Method == http.MethodGet { // a browser may show the response as a page
		header["Content-Security-Policy"], header["Referrer-Policy"] = bareContent, noReferrer
	}
	if r.TLS != nil && !isLocalhost(r.Host) {
		header["Strict-Transport-Security"] = aYear
	}

	value, err := s.dispatch(f, x)
	if err != nil {
		s.fail(x, err)
		return
	}
	if err := x.answer(value); err != nil {
		s.fail(x, err)
	}
}

// aYear makes browsers use TLS only, for so long (RFC 6797).
var aYear = []string{"max-age=31536000"}

// isLocalhost reports whether a request's host is localhost. Strict transport security
// would hold for everything else that a developer runs there.
func isLocalhost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.EqualFold(host, "localhost")
}

// idleInterval is how often WaitIdle checks.
const idleInterval = 5 * time.Millisecond

// WaitIdle waits until no request is being answered or ctx ends. Connections that a
// transport took over do not count, although a request of HTTP/2 lasts as long as its
// stream.
func (s *Server) WaitIdle(ctx context.Context) {
	tick := time.NewTicker(idleInterval)
	defer tick.Stop()
	for s.busy.Load() > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// dispatch calls the handler of the request's route.
func (s *Server) dispatch(f *surface, x *exchange) (any, error) {
	method, path := x.r.Method, x.r.URL.EscapedPath()
	if method == http.MethodHead {
		method = http.MethodGet // net/http drops the body
	}
	found, allow := f.routes.find(x, method, path), ""
	if !found {
		allow = f.routes.allow(x, path)
	}
	x.guard = f.guard()
	page, err := x.guard.CheckOrigin(x.r, auth.Call{Admin: x.route.admin, Shown: x.route.shown})
	if preflight := permit(x, page); preflight {
		x.WriteHeader(http.StatusNoContent)
		return nil, nil
	}
	switch {
	case err != nil:
		return nil, err
	case !found:
		return unrouted(x, allow)
	case !x.route.free:
		if x.who, err = x.guard.Identify(x.r); err == nil {
			err = x.who.Has(x.route.right)
		}
		if err != nil {
			return nil, err
		}
	}
	return x.route.handle(x)
}

// unrouted answers a request without a route. allow has the methods of its path.
func unrouted(x *exchange, allow string) (any, error) {
	if allow == "" && x.r.Method == http.MethodOptions && x.r.URL.Path == "/" {
		allow = http.MethodOptions // some proxies probe for the server with this request
	}
	if allow == "" {
		return nil, notFound.because("there is nothing at this path; the calls are listed in the documentation of the HTTP interface")
	}
	x.Header().Set("Allow", allow)
	if x.r.Method == http.MethodOptions {
		x.WriteHeader(http.StatusNoContent)
		return nil, nil
	}
	return nil, methodNotAllowed.because("use one of the methods " + allow)
}

// finish ends every exchange, even after a panic: it is deferred.
func (s *Server) finish(x *exchange) {
	v := recover()
	cut := v == http.ErrAbortHandler
	if v != nil && !cut {
		s.opts.Panicked(v, "request", zap.String("route", x.route.pattern), zap.String("request_id", x.id))
		// After a part of the response has been sent, only an abort tells the client that
		// the rest is missing.
		cut = x.status != 0
		s.fail(x, errPanicked)
	}
	if x.status == 0 {
		x.status = http.StatusOK // net/http sends this if a handler writes nothing
	}
	s.metrics.count(x)
	s.access.write(x)
	switch {
	case cut:
		panic(http.ErrAbortHandler)
	case v == nil:
		x.release()
	}
}
