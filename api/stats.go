package api

import (
	"context"
	"math"
	"time"

	"github.com/go-json-experiment/json"
	dto "github.com/prometheus/client_model/go"

	"belfry/hub"
)

// A figuresView is an event of the topic $stats, and the answer of GET /stats. Counters
// count from the start; readers derive rates.
type figuresView struct {
	Time           string            `json:"time"`
	UptimeS        int64             `json:"uptime_s"`
	Version        string            `json:"version"`
	Clients        int               `json:"clients"`
	Connected      int               `json:"connected"`
	Users          int               `json:"users"`
	Topics         int               `json:"topics"`
	Patterns       int               `json:"patterns"`
	Reading        int               `json:"reading"`
	Polls          int               `json:"polls"`
	Behind         bool              `json:"behind"`
	Draining       bool              `json:"draining"`
	HubQueue       int               `json:"hub_queue"`
	CourierBacklog int               `json:"courier_backlog"`
	LogEvents      int               `json:"log_events"`
	LogBytes       int               `json:"log_bytes"`
	Registered     uint64            `json:"registered"`
	Published      uint64            `json:"published"`
	Matched        uint64            `json:"matched"`
	Queued         uint64            `json:"queued"`
	Replayed       uint64            `json:"replayed"`
	Repeated       uint64            `json:"repeated"`
	Dropped        uint64            `json:"dropped"`
	Evicted        uint64            `json:"evicted"`
	Gaps           uint64            `json:"gaps"`
	Disconnects    map[string]uint64 `json:"disconnects"`
	Connections    Connections       `json:"connections"`
	PublishMS      latencyView       `json:"publish_ms"` // of all publishes since the start
}

// Connections are the figures of a transport.
type Connections struct {
	Open       int    `json:"open"`
	Blocked    int    `json:"blocked"`
	QueueBytes int    `json:"queue_bytes"`
	Delivered  uint64 `json:"delivered"`
	Bytes      uint64 `json:"bytes"`
}

// A latencyView is a histogram.
type latencyView struct {
	Count   uint64    `json:"count"`
	Bounds  []float64 `json:"bounds"` // milliseconds; larger values are in no bucket
	Buckets []uint64  `json:"buckets"`
}

func (s *Server) getStats(x *exchange) (any, error) {
	stats, err := s.figures(x)
	if err != nil {
		return nil, err
	}
	return s.viewStats(x.r.Context(), &stats), nil
}

func (s *Server) viewStats(ctx context.Context, st *hub.Stats) *figuresView {
	ctx, cancel := context.WithTimeout(ctx, inspectTimeout)
	defer cancel()
	now := s.opts.Clock()
	v := &figuresView{
		Time: now.UTC().Format(time.RFC3339Nano), UptimeS: int64(now.Sub(s.opts.Started) / time.Second), Version: s.opts.Version,
		Clients: st.Clients, Connected: st.Connected, Users: st.Users, Topics: st.Topics, Patterns: st.Patterns,
		Reading: st.Reading, Polls: st.Polls, Behind: st.Behind, Draining: st.Draining,
		HubQueue: st.Commands, CourierBacklog: st.Deliveries, LogEvents: st.Retained, LogBytes: st.RetainedBytes,
		Registered: st.Registered, Published: st.Published, Matched: st.Matched, Queued: st.Queued, Replayed: st.Replayed,
		Repeated: st.Repeated, Dropped: st.Dropped, Evicted: st.Evicted, Gaps: st.Gaps,
		Disconnects: make(map[string]uint64), Connections: s.opts.Transport.Figures(ctx), PublishMS: s.metrics.latencies(),
	}
	for _, reason := range hub.Reasons() {
		if n := st.Disconnects[reason]; n > 0 {
			v.Disconnects[reason.String()] = n
		}
	}
	return v
}

// latencies returns the histogram of publishes.
func (m *metrics) latencies() latencyView {
	var written dto.Metric
	if m.latency.Write(&written) != nil {
		return latencyView{}
	}
	h := written.GetHistogram()
	v := latencyView{Count: h.GetSampleCount()}
	before := uint64(0)
	for _, b := range h.GetBucket() {
		v.Bounds = append(v.Bounds, math.Round(b.GetUpperBound()*1e5)/100)
		v.Buckets = append(v.Buckets, b.GetCumulativeCount()-before)
		before = b.GetCumulativeCount()
	}
	return v
}

// statsInterval is the interval between events of $stats.
const statsInterval = time.Second

// PublishStats publishes the figures to the subscribers of $stats until ctx ends.
func (s *Server) PublishStats(ctx context.Context) {
	tick := time.NewTicker(statsInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		s.publishStats(ctx)
	}
}

func (s *Server) publishStats(ctx context.Context) {
	defer func() {
		if v := recover(); v != nil {
			s.opts.Panicked(v, "stats")
		}
	}()
	topic, _, err := s.opts.Hub.Topic(hub.StatsTopic)
	if err != nil || topic.Subscribers == 0 {
		return
	}
	stats, err := s.probe.stats()
	if err != nil {
		return
	}
	message, err := json.Marshal(s.viewStats(ctx, &stats))
	if err != nil {
		return // such a struct never fails
	}
	now := s.opts.Clock()
	// If there is no room, the next one will do.
	_, _ = s.opts.Hub.Publish(ctx, hub.Event{ID: "stats-" + now.UTC().Format(time.RFC3339Nano), Topic: hub.StatsTopic, Time: now, Message: message})
}
