package api

import (
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// A panic in work for one request must end only that request. In a goroutine other than
// the handler's it would end the process. The program's panics.go lists those goroutines.

// aside returns a request's work as a function for another goroutine. If the work panics
// it calls failed, which must end the request.
func (s *Server) aside(x *exchange, work, failed func()) func() {
	route, id := x.route.pattern, x.id // read now: later x may be reused
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

// A guardedCollector loses only its own figures in a panic: each collector runs in a
// goroutine of its own.
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
