package api

import "net/http/pprof"

// getProfile serves a profile of the process, or the list of them.
func getProfile(x *exchange) (any, error) {
	x.Header()["Cache-Control"] = noStore
	switch x.param("profile") {
	case "profile":
		pprof.Profile(x, x.r)
	case "trace":
		pprof.Trace(x, x.r)
	case "symbol":
		pprof.Symbol(x, x.r)
	case "cmdline":
		return nil, notFound.because("the command line is not shown: it may hold secrets")
	default:
		pprof.Index(x, x.r)
	}
	return nil, nil
}
