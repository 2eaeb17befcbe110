// Package api answers the broker's HTTP calls: it registers clients, publishes events,
// changes topics, and serves operators. The connections belong to another package, which
// is passed in as a [Transport].
//
// Every request passes one wrapper, [Server.ServeHTTP]. It finds the route and sets the
// CORS headers. It turns the value or error that the handler returns into the response.
// Every error is a problem document (RFC 9457) with a member "code"; problem.go lists
// them.
package api

import (
	"context"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"belfry/api/auth"
	"belfry/api/limit"
	"belfry/hub"
)

// Options are what the API needs from outside. All are required unless the comment says
// otherwise.
type Options struct {
	Hub        *hub.Hub
	Guard      func() *auth.Guard // returns the guard in force
	AdminGuard func() *auth.Guard // of [Server.Admin]; nil: its calls are served with the others
	Transport  Transport
	Settings   func() []Setting // the configuration in force, without secrets; nil: none is shown
	Stopping   <-chan struct{}  // closed when requests should stop waiting; may be nil

	Limits
	PublicURL    string        // where clients reach the broker: http, https, ws or wss; "" takes it from each request
	MaxWait      time.Duration // how long a request may wait for an event
	BodyTimeout  time.Duration // how long the next part of a stream may take to arrive
	WriteTimeout time.Duration // how long a response may take to leave

	Gate       *limit.Gate           // counts connections; nil: without limits
	Publishers *limit.Publishers     // nil: without limits
	Overloaded func(limit.Need) bool // reports a lack of memory for a need; nil: never

	Version  string
	Started  time.Time              // when the process started
	LogFails func() bool            // the log can't be written; nil is never
	Ready    func() bool            // false while starting or draining; nil is always true
	Clock    func() time.Time       // nil is time.Now
	Metrics  []prometheus.Collector // further metrics for /metrics
	Log      *zap.Logger            // nil is silence
	// Panicked counts and logs a panic of a handler; nil only logs.
	Panicked func(v any, where string, about ...zap.Field)

	Documents []Document // that describe the interface; may be nil
}

// Limits are the options that can change while the API runs.
type Limits struct {
	DefaultTopics []string // of a registration that names none
	MaxTopics     int      // topics that a registration may list
	MaxBody       int      // bytes of a request's body
	MaxMessage    int      // bytes of an event's message
	MaxDepth      int      // levels of nested JSON, the body's own object being the first
}

// A Transport holds the connections. It encodes events and receipts. Package cli/serve adapts
// package transport to it.
type Transport interface {
	// Accept takes over a request for a WebSocket, Stream one for server-sent events. They
	// return an error only before they have answered. The client wants to connect as want
	// says. If invalid is set, its request is wrong; the protocol decides how the client
	// is told.
	Accept(w http.ResponseWriter, r *http.Request, want hub.Want, invalid error) error
	Stream(w http.ResponseWriter, r *http.Request, want hub.Want, invalid error) error
	// Inspect returns what is known about connections, in the given order.
	Inspect(ctx context.Context, conns []*hub.Conn) []hub.ConnInfo
	// Figures returns the totals of all connections.
	Figures(ctx context.Context) Connections
	// AppendEvent appends the members of an event as JSON, without the braces.
	AppendEvent(dst []byte, ev *hub.Event) []byte
	// AppendReceipt appends the receipt of an event of a topic as a JSON object.
	AppendReceipt(dst []byte, topic string, r hub.Receipt) []byte
}

// A connector is a method of a [Transport] that takes over a request.
type connector func(http.ResponseWriter, *http.Request, hub.Want, error) error

// A Server is the API's http.Handler.
type Server struct {
	opts    Options
	limits  atomic.Pointer[Limits] // those in force
	public  surface
	admin   surface
	ids     requestIDs
	access  accessLog
	denials *zap.Logger // sampled
	metrics *metrics
	probe   probe
	rights  tide
	busy    atomic.Int64 // requests under way, without connections
}

// New returns the API. It panics if opts.Metrics has a metric of the same name as one of
// the API's.
func New(opts Options) *Server {
	if opts.LogFails == nil {
		opts.LogFails = func() bool { return false }
	}
	if opts.Ready == nil {
		opts.Ready = func() bool { return true }
	}
	if opts.Overloaded == nil {
		opts.Overloaded = func(limit.Need) bool { return false }
	}
	if opts.Gate == nil {
		opts.Gate = limit.NewGate(limit.Limits{}, opts.Clock)
	}
	if opts.Publishers == nil {
		opts.Publishers = limit.NewPublishers(limit.PublishLimits{}, opts.Clock)
	}
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	if opts.Settings == nil {
		opts.Settings = func() []Setting { return nil }
	}
	if opts.Log == nil {
		opts.Log = zap.NewNop()
	}
	if opts.Panicked == nil {
		opts.Panicked = func(v any, _ string, about ...zap.Field) {
			opts.Log.Error("handler panicked", append(about, zap.Any("panic", v), zap.Stack("stack"))...)
		}
	}
	s := &Server{
		opts:    opts,
		ids:     newRequestIDs(),
		denials: sampled(opts.Log, 10, 1000),
		probe:   probe{hub: opts.Hub, took: opts.Panicked},
	}
	s.limits.Store(&opts.Limits)
	s.access = newAccessLog(opts.Log, s.remote)
	s.metrics = newMetrics(&s.opts, &s.probe)
	public := append(append(s.table(), s.healthTable()...), s.documentTable()...)
	if opts.AdminGuard == nil {
		public = append(public, s.adminTable()...)
	} else {
		s.admin = s.newSurface(slices.Concat(s.healthTable(), s.adminTable(), s.consolesTable(), s.profileTable()), opts.AdminGuard)
	}
	s.public = s.newSurface(public, opts.Guard)
	return s
}

// A surface is what one listener serves.
type surface struct {
	routes *routes
	guard  func() *auth.Guard
}

func (s *Server) newSurface(table []*route, guard func() *auth.Guard) surface {
	for _, r := range table {
		r.served = s.metrics.requests.WithLabelValues(r.pattern, r.method, "200")
	}
	return surface{newRoutes(table), guard}
}

// SetLimits replaces the limits. They hold for requests that begin later.
func (s *Server) SetLimits(l Limits) { s.limits.Store(&l) }

// table has the calls for clients and publishers.
func (s *Server) table() []*route {
	return []*route{
		{method: http.MethodPost, pattern: "/register", right: auth.Register, handle: s.postRegister},
		{method: http.MethodDelete, pattern: "/register/{client_id}", free: true, handle: s.deleteRegister},
		{method: http.MethodDelete, pattern: "/users/{user_id}/clients", right: auth.Register, handle: s.deleteUserClients},
		{method: http.MethodGet, pattern: "/ws", free: true, handle: s.connect(s.opts.Transport.Accept)},
		{method: http.MethodGet, pattern: "/ws/{client_id}", free: true, handle: s.connect(s.opts.Transport.Accept)},
		{method: http.MethodGet, pattern: "/sse", free: true, stream: true, handle: s.connect(s.opts.Transport.Stream)},
		{method: http.MethodGet, pattern: "/sse/{client_id}", free: true, stream: true, handle: s.connect(s.opts.Transport.Stream)},
		{method: http.MethodGet, pattern: "/topics/{topic}/events", right: auth.Subscribe, handle: s.getEvents},
		{method: http.MethodPost, pattern: "/publish", right: auth.Publish, handle: s.postPublish},
		{method: http.MethodPost, pattern: "/add_topic", free: true, handle: s.postAddTopic},
		{method: http.MethodDelete, pattern: "/remove_topic", free: true, handle: s.deleteRemoveTopic},
	}
}

func (s *Server) healthTable() []*route {
	return []*route{
		{method: http.MethodGet, pattern: "/health", free: true, handle: s.getHealth},
		{method: http.MethodGet, pattern: "/health/live", free: true, handle: s.getLive},
		{method: http.MethodGet, pattern: "/health/ready", free: true, handle: s.getReady},
	}
}

// adminTable has the calls for operators.
func (s *Server) adminTable() []*route {
	return []*route{
		{method: http.MethodGet, pattern: "/metrics", right: auth.Admin, admin: true, handle: s.getMetrics},
		{method: http.MethodGet, pattern: "/stats", right: auth.Admin, admin: true, handle: s.getStats},
		{method: http.MethodGet, pattern: "/clients", right: auth.Admin, admin: true, handle: s.getClients},
		{method: http.MethodGet, pattern: "/clients/{handle}", right: auth.Admin, admin: true, handle: s.getClient},
		{method: http.MethodDelete, pattern: "/clients/{handle}", right: auth.Admin, admin: true, handle: s.deleteClient},
		{method: http.MethodGet, pattern: "/clients/{handle}/explain", right: auth.Admin, admin: true, handle: s.getExplain},
		{method: http.MethodGet, pattern: "/topics", right: auth.Admin, admin: true, handle: s.getTopics},
		{method: http.MethodGet, pattern: "/topics/{topic}", right: auth.Admin, admin: true, handle: s.getTopic},
		{method: http.MethodGet, pattern: "/topics/{topic}/presence", right: auth.Admin, admin: true, handle: s.getPresence},
		{method: http.MethodGet, pattern: "/config", right: auth.Admin, admin: true, handle: s.getConfig},
		{method: http.MethodGet, pattern: "/console", free: true, admin: true, shown: true, handle: getConsole},
		{method: http.MethodGet, pattern: "/console/{file}", free: true, admin: true, shown: true, handle: getConsole},
	}
}

// consolesTable has the other calls that the console needs, for a console at an address of
// its own.
func (s *Server) consolesTable() []*route {
	return []*route{
		{method: http.MethodGet, pattern: "/ws", free: true, admin: true, handle: s.connect(s.opts.Transport.Accept)},
		{method: http.MethodGet, pattern: "/topics/{topic}/events", right: auth.Subscribe, admin: true, handle: s.getEvents},
		{method: http.MethodPost, pattern: "/publish", right: auth.Publish, admin: true, handle: s.postPublish},
	}
}

// profileTable has the calls of a profiler. They are served only where operators are,
// because a profile keeps the broker busy.
func (s *Server) profileTable() []*route {
	return []*route{
		{method: http.MethodGet, pattern: "/debug/pprof/", right: auth.Admin, admin: true, handle: s.getProfile},
		{method: http.MethodGet, pattern: "/debug/pprof/{profile}", right: auth.Admin, admin: true, handle: s.getProfile},
	}
}
