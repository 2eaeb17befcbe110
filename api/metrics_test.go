package api_test

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"belfry/api"
	"belfry/hub"
)

func TestMetrics(t *testing.T) {
	t.Parallel()
	extra := prometheus.NewGauge(prometheus.GaugeOpts{Name: "belfry_extra", Help: "Of another package."})
	b := newBroker(t, func(_ *hub.Options, o *api.Options) { o.Metrics = []prometheus.Collector{extra} })
	id := b.register(`{"user_id":"secret-user","topics":["secret-topic","secret.*"]}`)
	b.connect(id)
	gone := b.register(`{"user_id":2}`)
	b.call("DELETE", "/register/"+gone, "")
	b.call("POST", "/publish", `{"topic":"secret-topic","message":"secret-message"}`)
	b.call("POST", "/publish", `{"topic":"dogs","message":""}`)
	b.call("POST", "/publish", `{}`)
	b.call("GET", "/secret-path", "")
	b.call("SECRET-METHOD", "/publish", "")
	b.call("HEAD", "/ws/"+nowhere, "")
	w := b.call("GET", "/metrics", "")
	if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	text := w.Body.String()
	for _, want := range []string{
		`belfry_extra 0`, `belfry_clients 1`, `belfry_clients_connected 1`, `belfry_clients_reading 0`, `belfry_users 1`, `belfry_topics 2`,
		`belfry_patterns 1`, `belfry_log_events 2`, `belfry_draining 0`, `belfry_behind 0`, `belfry_registrations_total 2`,
		`belfry_events_published_total 2`, `belfry_events_matched_total 1`, `belfry_events_queued_total 1`, `belfry_events_replayed_total 0`,
		`belfry_events_evicted_total 0`, `belfry_publish_duration_seconds_count 2`,
		`belfry_registrations_ended_total{reason="unregistered"} 1`, `belfry_disconnects_total{reason="slow_consumer"} 0`,
		`belfry_http_requests_total{code="200",method="POST",route="/register"} 2`,
		`belfry_http_requests_total{code="200",method="DELETE",route="/register/{client_id}"} 1`,
		`belfry_http_requests_total{code="400",method="POST",route="/publish"} 1`,
		`belfry_http_requests_total{code="404",method="GET",route="unmatched"} 1`,
		`belfry_http_requests_total{code="405",method="other",route="/publish"} 1`,
		`belfry_http_requests_total{code="404",method="HEAD",route="/ws/{client_id}"} 1`,
	} {
		if !strings.Contains(text, "\n"+want+"\n") {
			t.Errorf("%s is missing", want)
		}
	}
	for _, want := range []string{"\nbelfry_build_info{", "\ngo_goroutines ", "\nprocess_cpu_seconds_total ", "\nbelfry_log_bytes ", "\nbelfry_clients_bytes "} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing", want)
		}
	}
	if n := strings.Count(text, "\nbelfry_disconnects_total{"); n != len(hub.Reasons()) {
		t.Errorf("disconnects have %d reasons", n)
	}
	if lower := strings.ToLower(text); strings.Contains(lower, "secret") || strings.Contains(lower, id) {
		t.Error("the metrics hold what clients sent")
	}
}
