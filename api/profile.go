package api

import (
	"context"
	"errors"
	"net/http"
	"net/http/pprof"

	"belfry/api/auth"
)

// getProfile serves a profile of the process, or the list of profiles. A profile that
// takes time is sent only if the caller still has its rights at the end.
func (s *Server) getProfile(x *exchange) (any, error) {
	x.Header()["Cache-Control"] = noStore
	ctx, end := s.tenure(x.r.Context(), x, has(auth.Admin))
	defer end()
	w, r := &tenuredWriter{x, ctx}, x.r.WithContext(ctx)
	switch x.param("profile") {
	case "profile":
		pprof.Profile(w, r)
	case "trace":
		pprof.Trace(w, r)
	case "symbol":
		pprof.Symbol(w, r)
	case "cmdline":
		return nil, notFound.because("the command line is not shown: it may hold secrets")
	default:
		pprof.Index(w, r)
	}
	denied := w.denied()
	if denied != nil && x.status != 0 {
		panic(http.ErrAbortHandler) // a part has been sent: only an abort shows that the rest is missing
	}
	if denied != nil {
		x.Header().Del("Content-Disposition")
	}
	return nil, denied
}

// A tenuredWriter writes as long as the caller has its rights.
type tenuredWriter struct {
	*exchange
	tenure context.Context
}

// Write implements [http.ResponseWriter].
func (w *tenuredWriter) Write(p []byte) (int, error) {
	if err := w.denied(); err != nil {
		return 0, err
	}
	return w.exchange.Write(p)
}

// WriteHeader implements [http.ResponseWriter].
func (w *tenuredWriter) WriteHeader(status int) {
	if w.denied() == nil {
		w.exchange.WriteHeader(status)
	}
}

// denied returns why the caller may not read the answer; nil while it may.
func (w *tenuredWriter) denied() error {
	if denial, ok := errors.AsType[*auth.Denial](why(w.tenure)); ok {
		return denial
	}
	return nil
}
