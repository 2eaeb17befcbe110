package transport

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// collectTimeout bounds how long a scrape waits for the couriers.
const collectTimeout = 2 * time.Second

func desc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("belfry_"+name, help, nil, nil)
}

var (
	descConnections = desc("connections", "Connections that are open or closing.")
	descBlocked     = desc("connections_blocked", "Connections whose socket is full.")
	descWaiting     = desc("client_queue_bytes", "Memory of the queues of all connections, in bytes, as if each had its own copy of an event.")
	descPartial     = desc("unfinished_message_bytes", "Bytes of unfinished messages from clients.")
	descEvents      = desc("courier_queue", "Events of connections that wait for couriers.")
	descOpened      = desc("connections_opened_total", "Connections opened.")
	descClosed      = desc("connections_closed_total", "Connections ended.")
	descWrites      = desc("writes_total", "Writes to sockets.")
	descDelivered   = desc("events_delivered_total", "Events that were written whole to the socket of a connection, without those of replays.")
	descBytes       = desc("written_bytes_total", "Bytes written to sockets.")
	descIgnored     = desc("messages_ignored_total", "Client messages that were not understood.")

	descs = []*prometheus.Desc{descConnections, descBlocked, descWaiting, descPartial, descEvents, descOpened, descClosed, descWrites, descDelivered, descBytes, descIgnored}
)

// Describe implements [prometheus.Collector]. It does not ask the couriers:
// they do not run yet when the program registers its metrics.
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
	gauge(descEvents, st.Inbox)
	counter(descOpened, st.Opened)
	counter(descClosed, st.Closed)
	counter(descWrites, st.Writes)
	counter(descDelivered, st.Delivered)
	counter(descBytes, st.Bytes)
	counter(descIgnored, st.Ignored)
}
