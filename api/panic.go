package api

import (
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// A panic in what is done for one request ends that request, also if it comes in
// another goroutine than the handler's: there it would end the process. Which
// goroutines there are is told in the program's panics.go.

// aside returns work for a request that is done in another goroutine. If that panics,
// failed is called, which ends the request.
func (s *Server) aside(x *exchange, work, failed func()) func() {
	route, id := x.route.pattern, x.id // by then x may be another request's
	return func() {
		defer func() {
			if v := recover(); v != nil {
				s.opts.Panicked(v, "request", zap.String("route", route), zap.String("request_id", id))
				failed()
			}
		}()
		work()
	}
}

// A guardedCollector is one whose panics cost a scrape its figures: collectors are
// asked in goroutines of their own.
type guardedCollector struct {
	prometheus.Collector
	opts *Options
}

// Collect implements [prometheus.Collector].
func (c guardedCollector) Collect(out chan<- prometheus.Metric) {
	defer func() {
		if v := recover(); v != nil {
			c.opts.Panicked(v, "metrics")
		}
	}()
	c.Collector.Collect(out)
}
