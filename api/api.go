// Package api answers the broker's HTTP calls: registering clients, publishing
// events, changing topics, and what operators ask for. The connections
// themselves belong to another package, which is handed in as
// [Options.WebSocket].
//
// A request passes one wrapper, [Server.ServeHTTP]: it finds the route, gives
// pages of other origins what they are permitted, and turns what the route's
// handler returns, a value or an error, into the response. Every error is a
// problem document (RFC 9457) with a member "code"; problem.go lists them.
package api

import (
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"belfry/api/auth"
	"belfry/hub"
)

// Options are what the API needs of the outside. All are required unless said
// otherwise.
type Options struct {
	Hub       *hub.Hub
	Guard     func() *auth.Guard // the one in force
	WebSocket Connector
	Events    Connector                              // server-sent events
	Append    func(dst []byte, ev *hub.Event) []byte // the members of an event as JSON, without the braces
	Stopping  <-chan struct{}                        // closed when no request should wait any more; may be nil

	PublicURL     string        // where clients reach the broker: http, https, ws or wss; "" takes it from each request
	DefaultTopics []string      // of a registration that names none
	MaxTopics     int           // topics that a registration may list
	MaxBody       int           // bytes of a request's body
	MaxMessage    int           // bytes of an event's message
	MaxDepth      int           // levels of nested JSON, the body's own object being the first
	MaxWait       time.Duration // how long a request may wait for an event
	WriteTimeout  time.Duration // how long a response may take to leave

	Version string
	Started time.Time              // when the process started
	Ready   func() bool            // false while starting or draining; nil is always true
	Clock   func() time.Time       // nil is time.Now
	Metrics []prometheus.Collector // what /metrics shows besides
	Log     *zap.Logger            // nil is silence
}

// A Connector takes over the connection of a request, or fails before it has
// answered. What is wrong with the request it is told by an error: it depends on
// the protocol how the client can be.
type Connector func(http.ResponseWriter, *http.Request, hub.Want, error) error

// A Server is the API's http.Handler.
type Server struct {
	opts    Options
	routes  *routes
	ids     requestIDs
	access  accessLog
	denials *zap.Logger // sampled
	metrics *metrics
	probe   probe
	busy    atomic.Int64 // requests that are being answered, connections aside
}

// New returns the API. It panics if opts.Metrics holds a name that the API
// has given to a metric of its own.
func New(opts Options) *Server {
	if opts.Ready == nil {
		opts.Ready = func() bool { return true }
	}
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	if opts.Log == nil {
		opts.Log = zap.NewNop()
	}
	s := &Server{
		opts:    opts,
		ids:     newRequestIDs(),
		access:  newAccessLog(opts.Log),
		denials: sampled(opts.Log, 10, 1000),
		probe:   probe{hub: opts.Hub},
	}
	s.metrics = newMetrics(&s.opts, &s.probe)
	table := s.table()
	for _, r := range table {
		r.served = s.metrics.requests.WithLabelValues(r.pattern, r.method, "200")
	}
	s.routes = newRoutes(table)
	return s
}

// table is every call that there is.
func (s *Server) table() []*route {
	return []*route{
		{method: http.MethodPost, pattern: "/register", right: auth.Register, handle: s.postRegister},
		{method: http.MethodDelete, pattern: "/register/{client_id}", free: true, handle: s.deleteRegister},
		{method: http.MethodDelete, pattern: "/users/{user_id}/clients", right: auth.Register, handle: s.deleteUserClients},
		{method: http.MethodGet, pattern: "/ws", free: true, handle: s.connect(s.opts.WebSocket)},
		{method: http.MethodGet, pattern: "/ws/{client_id}", free: true, handle: s.connect(s.opts.WebSocket)},
		{method: http.MethodGet, pattern: "/sse", free: true, stream: true, handle: s.connect(s.opts.Events)},
		{method: http.MethodGet, pattern: "/sse/{client_id}", free: true, stream: true, handle: s.connect(s.opts.Events)},
		{method: http.MethodGet, pattern: "/topics/{topic}/events", right: auth.Subscribe, handle: s.getEvents},
		{method: http.MethodPost, pattern: "/publish", right: auth.Publish, handle: s.postPublish},
		{method: http.MethodPost, pattern: "/add_topic", free: true, handle: s.postAddTopic},
		{method: http.MethodDelete, pattern: "/remove_topic", free: true, handle: s.deleteRemoveTopic},
		{method: http.MethodGet, pattern: "/health", free: true, handle: s.getHealth},
		{method: http.MethodGet, pattern: "/health/live", free: true, handle: s.getLive},
		{method: http.MethodGet, pattern: "/health/ready", free: true, handle: s.getReady},
		{method: http.MethodGet, pattern: "/metrics", right: auth.Admin, handle: s.getMetrics},
	}
}
