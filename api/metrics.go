package api

import (
	"net/http"
	"runtime"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are the API's own figures, and the registry for /metrics.
type metrics struct {
	requests *prometheus.CounterVec
	latency  prometheus.Histogram
	handler  http.Handler
}

func newMetrics(opts *Options, p *probe) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "belfry_http_requests_total",
			Help: "HTTP requests answered, by route, method and status.",
		}, []string{"route", "method", "code"}),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "belfry_publish_duration_seconds",
			Help:    "Time from the header of a publish to its receipt.",
			Buckets: []float64{1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, .1, .25, .5, 1, 2.5, 5, 10},
		}),
	}
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "belfry_build_info",
		Help:        "Always 1; the labels identify the program.",
		ConstLabels: prometheus.Labels{"version": opts.Version, "goversion": runtime.Version()},
	})
	info.Set(1)
	registry := prometheus.NewRegistry()
	for _, c := range append([]prometheus.Collector{
		m.requests, m.latency, info, newHubCollector(p), opts.Gate,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	}, opts.Metrics...) {
		registry.MustRegister(guardedCollector{c, opts})
	}
	m.handler = promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	return m
}

func (s *Server) getMetrics(x *exchange) (any, error) {
	s.metrics.handler.ServeHTTP(x, x.r)
	return nil, nil
}

// published observes a publish that has its receipt.
func (m *metrics) published(start time.Time) { m.latency.Observe(time.Since(start).Seconds()) }

// count counts a request. The labels have few values, whatever clients send.
func (m *metrics) count(x *exchange) {
	if x.status == http.StatusOK && x.route.served != nil && x.r.Method == x.route.method {
		x.route.served.Inc() // no look-up in the usual case
		return
	}
	m.requests.WithLabelValues(x.route.pattern, knownMethod(x.r.Method), strconv.Itoa(x.status)).Inc()
}
