package api

import (
	"github.com/prometheus/client_golang/prometheus"

	"belfry/hub"
)

// A hubMetric is one figure of the hub.
type hubMetric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	get  func(*hub.Stats) float64
}

// A hubCollector reports the hub's figures, all of the same moment. It reports none while
// the hub does not answer.
type hubCollector struct {
	probe       *probe
	metrics     []hubMetric
	disconnects *prometheus.Desc
	removals    *prometheus.Desc
}

func newHubCollector(p *probe) *hubCollector {
	c := &hubCollector{
		probe:       p,
		disconnects: prometheus.NewDesc("belfry_disconnects_total", "Connections that ended, by reason.", []string{"reason"}, nil),
		removals:    prometheus.NewDesc("belfry_registrations_ended_total", "Registrations that ended, by reason.", []string{"reason"}, nil),
	}
	c.gauges()
	c.counters()
	return c
}

func (c *hubCollector) add(kind prometheus.ValueType, name, help string, get func(*hub.Stats) float64) {
	c.metrics = append(c.metrics, hubMetric{prometheus.NewDesc("belfry_"+name, help, nil, nil), kind, get})
}

func (c *hubCollector) gauges() {
	gauge := func(name, help string, get func(*hub.Stats) float64) { c.add(prometheus.GaugeValue, name, help, get) }
	gauge("clients", "Registered clients.", func(s *hub.Stats) float64 { return float64(s.Clients) })
	gauge("clients_connected", "Registered clients with a connection.", func(s *hub.Stats) float64 { return float64(s.Connected) })
	gauge("clients_reading", "Clients that wait to read from the log.", func(s *hub.Stats) float64 { return float64(s.Reading) })
	gauge("clients_bytes", "Size of the clients, with overhead: registrations, subscriptions, patterns, grants, and what they read and wait for.", func(s *hub.Stats) float64 { return float64(s.ClientBytes) })
	gauge("polls", "Requests for history that wait for an event.", func(s *hub.Stats) float64 { return float64(s.Polls) })
	gauge("users", "Users with clients.", func(s *hub.Stats) float64 { return float64(s.Users) })
	gauge("topics", "Topics with subscribers or retained events.", func(s *hub.Stats) float64 { return float64(s.Topics) })
	gauge("patterns", "Patterns with subscribers.", func(s *hub.Stats) float64 { return float64(s.Patterns) })
	gauge("hub_queue", "Commands waiting for the hub.", func(s *hub.Stats) float64 { return float64(s.Commands) })
	gauge("hub_turn_comparisons_max", "Most comparisons in one step of the hub.", func(s *hub.Stats) float64 { return float64(s.LongestTurn) })
	gauge("courier_backlog", "Deliveries waiting for a courier to take them.", func(s *hub.Stats) float64 { return float64(s.Deliveries) })
	gauge("log_events", "Events retained.", func(s *hub.Stats) float64 { return float64(s.Retained) })
	gauge("log_bytes", "Size of the retained events, with overhead.", func(s *hub.Stats) float64 { return float64(s.RetainedBytes) })
	gauge("dedupe_keys", "Remembered idempotency keys.", func(s *hub.Stats) float64 { return float64(s.Keys) })
	gauge("dedupe_bytes", "Size of the remembered idempotency keys, with overhead.", func(s *hub.Stats) float64 { return float64(s.KeyBytes) })
	gauge("draining", "1 while the broker shuts down.", func(s *hub.Stats) float64 { return number(s.Draining) })
	gauge("behind", "1 while publishes wait because couriers are too slow.", func(s *hub.Stats) float64 { return number(s.Behind) })
}

func (c *hubCollector) counters() {
	counter := func(name, help string, get func(*hub.Stats) uint64) {
		c.add(prometheus.CounterValue, name, help, func(s *hub.Stats) float64 { return float64(get(s)) })
	}
	counter("registrations_total", "Registrations.", func(s *hub.Stats) uint64 { return s.Registered })
	counter("events_published_total", "Events accepted.", func(s *hub.Stats) uint64 { return s.Published })
	counter("events_repeated_total", "Publishes that were repeated with the same key.", func(s *hub.Stats) uint64 { return s.Repeated })
	counter("events_matched_total", "Clients that published events matched.", func(s *hub.Stats) uint64 { return s.Matched })
	counter("events_queued_total", "Connected clients that published events matched.", func(s *hub.Stats) uint64 { return s.Queued })
	counter("events_replayed_total", "Events read from the log for a client.", func(s *hub.Stats) uint64 { return s.Replayed })
	counter("events_dropped_total", "Events dropped for slow connections with the policy drop_oldest.", func(s *hub.Stats) uint64 { return s.Dropped })
	counter("lags_total", "Times that a slow connection had to catch up from the log.", func(s *hub.Stats) uint64 { return s.Lags })
	counter("events_evicted_total", "Events evicted by retention.", func(s *hub.Stats) uint64 { return s.Evicted })
	counter("gaps_total", "Gaps reported to connections.", func(s *hub.Stats) uint64 { return s.Gaps })
}

// Describe implements [prometheus.Collector].
func (c *hubCollector) Describe(out chan<- *prometheus.Desc) {
	for _, m := range c.metrics {
		out <- m.desc
	}
	out <- c.disconnects
	out <- c.removals
}

// Collect implements [prometheus.Collector].
func (c *hubCollector) Collect(out chan<- prometheus.Metric) {
	stats, err := c.probe.stats()
	if err != nil {
		return
	}
	for _, m := range c.metrics {
		out <- prometheus.MustNewConstMetric(m.desc, m.kind, m.get(&stats))
	}
	for _, reason := range hub.Reasons() {
		out <- prometheus.MustNewConstMetric(c.disconnects, prometheus.CounterValue, float64(stats.Disconnects[reason]), reason.String())
		out <- prometheus.MustNewConstMetric(c.removals, prometheus.CounterValue, float64(stats.Removals[reason]), reason.String())
	}
}

func number(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
