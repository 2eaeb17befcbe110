// Package limit limits what unauthenticated peers may use: connections and handshakes by
// address, and memory. It also limits how fast each publisher publishes.
package limit

import (
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"belfry/hub"
)

// A Limit names a limit that a request may exceed. Its text is the setting's name and the
// label in metrics.
type Limit uint8

// The limits.
const (
	Memory Limit = iota
	HTTPConnections
	AddressConnections
	AddressHandshakes
	Handshakes
	PublishRate
	UserPublishRate
	Clients
	UserClients
	Connections
	Subscriptions
	Body
	Message
	Depth
	limits
)

var names = [limits]string{
	"max_memory", "max_http_connections", "max_address_connections", "max_address_handshakes", "max_handshakes", "max_publish_rate",
	"max_user_publish_rate", "max_clients", "max_user_clients", "max_connections", "max_subscriptions", "max_body", "max_message", "max_depth",
}

func (l Limit) String() string { return names[l] }

// A Refusal is the error of a request that exceeds a limit.
type Refusal struct {
	Limit Limit
	After time.Duration // when to try again
}

func (r *Refusal) Error() string { return fmt.Sprintf("%v is reached; try again later", r.Limit) }

// Is makes every refusal a [hub.ErrOverCapacity].
func (r *Refusal) Is(target error) bool { return target == hub.ErrOverCapacity }

// Seconds returns a duration in whole seconds, rounded up, as in Retry-After (RFC 9110
// section 10.2.3).
func Seconds(d time.Duration) int { return int(math.Ceil(d.Seconds())) }

// Refusals count refused requests. They are a [prometheus.Collector].
type Refusals struct{ count [limits]atomic.Uint64 }

// Count counts one refusal.
func (r *Refusals) Count(l Limit) { r.count[l].Add(1) }

// Refuse counts one refusal and returns it as a [*Refusal].
func (r *Refusals) Refuse(l Limit, after time.Duration) error {
	r.Count(l)
	return &Refusal{l, after}
}

var descRefused = prometheus.NewDesc("belfry_refused_total", "Requests and connections that were refused, by the limit that they exceeded.", []string{"limit"}, nil)

// Describe implements [prometheus.Collector].
func (r *Refusals) Describe(out chan<- *prometheus.Desc) { out <- descRefused }

// Collect implements [prometheus.Collector].
func (r *Refusals) Collect(out chan<- prometheus.Metric) {
	for l := range limits {
		out <- prometheus.MustNewConstMetric(descRefused, prometheus.CounterValue, float64(r.count[l].Load()), l.String())
	}
}
