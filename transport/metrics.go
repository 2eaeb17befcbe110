package transport

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// collectTimeout bounds what a scrape waits for the couriers.
const collectTimeout = 2 * time.Second

func desc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("belfry_"+name, help, nil, nil)
}

var (
	descConnections = desc("connections", "Connections that are open or closing.")
	descBlocked     = desc("connections_blocked", "Connections whose socket is full.")
	descWaiting     = desc("client_queue_bytes", "What waits for the sockets of all connections takes, in bytes, unless they share it.")
	descPartial     = desc("unfinished_message_bytes", "Bytes held of messages from clients that are not whole.")
	descEvents      = desc("courier_queue", "Events of connections waiting for couriers.")
	descOpened      = desc("connections_opened_total", "Connections opened.")
	descClosed      = desc("connections_closed_total", "Connections ended.")
	descWrites      = desc("writes_total", "Writes to sockets.")
	descDelivered   = desc("events_delivered_total", "Events written to a connection's socket whole, but for those of replays.")
	descBytes       = desc("written_bytes_total", "Bytes written to sockets.")
	descIgnored     = desc("messages_ignored_total", "Messages from clients that said nothing known.")

	descs = []*prometheus.Desc{descConnections, descBlocked, descWaiting, descPartial, descEvents, descOpened, descClosed, descWrites, descDelivered, descBytes, descIgnored}
)

// Describe implements [prometheus.Collector]. It does not ask the couriers:
// they do not run yet when a program registers what it will show.
func (s *Server) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range descs {
		ch <- d
	}
}

// Collect implements [prometheus.Collector].
func (s *Server) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), collectTimeout)
	defer cancel()
	st := s.Stats(ctx)
	gauge := func(d *prometheus.Desc, v int) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v))
	}
	counter := func(d *prometheus.Desc, v uint64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v))
	}
	gauge(descConnections, st.Connections)
	gauge(descBlocked, st.Blocked)
	gauge(descWaiting, st.Waiting)
	gauge(descPartial, st.Partial)
	gauge(descEvents, st.Events)
	counter(descOpened, st.Opened)
	counter(descClosed, st.Closed)
	counter(descWrites, st.Writes)
	counter(descDelivered, st.Frames)
	counter(descBytes, st.Bytes)
	counter(descIgnored, st.Ignored)
}
