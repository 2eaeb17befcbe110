package serve

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	stdlog "log"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"belfry/api"
	"belfry/api/auth"
	"belfry/api/limit"
	"belfry/cli/serve/logging"
	"belfry/client/js"
	"belfry/config"
	"belfry/docs"
	"belfry/hub"
	"belfry/transport"
	"belfry/transport/certs"
)

// A Broker is the wired actors.
type Broker struct {
	// Static after construction.
	log       logging.Logger
	clock     func() time.Time
	hub       *hub.Hub
	transport *transport.Server
	api       *api.Server
	http      *http.Server
	admin     *http.Server // nil: operators have no address of their own
	limits    *limits
	certs     *certs.Certificates // nil: no TLS
	keeper    *keeper             // nil: the log is in memory only
	panics    panics
	denials   *zap.Logger   // of operations over connections; sampled
	stopping  chan struct{} // closed when requests should stop waiting

	guard      atomic.Pointer[auth.Guard] // the one in force
	adminGuard atomic.Pointer[auth.Guard] // of the operators' address
	shown      atomic.Pointer[[]api.Setting]
	ready      atomic.Bool // events are accepted

	// Owned by serve.
	cfg  config.Config // in force
	keys tokenKeys
}

// serve starts the actors. When ctx ends it stops them in order.
func (b *Broker) serve(ctx context.Context, hangups <-chan os.Signal, again reader) error {
	defer b.keys.close()
	sites, err := b.listen(ctx)
	if err != nil {
		return errors.Join(err, b.keeper.close())
	}
	if os.Getenv("GOGC") == "" {
		// This saves a tenth of the CPU while many connections come and go. It costs
		// memory, which the tidier returns afterwards.
		debug.SetGCPercent(200)
	}
	actors, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { b.hub.Run(actors) })
	if b.keeper != nil {
		running.Go(func() { b.keeper.run(actors, b.hub) })
	}
	running.Go(func() { b.transport.Run(actors) })
	running.Go(func() { b.api.PublishStats(actors) })
	running.Go(func() { b.panics.every(actors, tidyInterval, "idle memory", new(tidier).look) })
	running.Go(func() { b.panics.every(actors, limit.MemoryInterval, "memory guard", b.lookAtMemory) })
	running.Go(func() { b.panics.every(actors, certs.Interval, "certificates", b.certs.Look) })
	defer running.Wait()
	defer stop()

	served := make(chan error, len(sites))
	for _, s := range sites {
		go func() { served <- s.serve() }()
		b.log.Info(s.message, zap.String("addr", s.listener.Addr().String()), zap.String("version", Version()))
		defer s.server.Close()
	}
	b.ready.Store(true)
	for {
		select {
		case err := <-served:
			return err
		case <-hangups:
			b.panics.guarded("configuration", func() { b.reload(again) })
		case <-b.keys.changed:
			b.panics.guarded("rights", b.recheck)
		case <-ctx.Done():
			b.shutDown()
			return nil
		}
	}
}

// lookAtMemory tells all actors how short memory is.
func (b *Broker) lookAtMemory() {
	b.limits.memory.Look()
	b.transport.SetPressure(b.limits.memory.Level())
}

// newBroker returns a broker that is not running yet.
func newBroker(cfg config.Config, log logging.Logger, clock func() time.Time) (*Broker, error) {
	panics := newPanics(log.Logger)
	b := &Broker{log: log, clock: clock, cfg: cfg, limits: newLimits(log.Logger), panics: panics,
		denials: logging.Sampled(log.Logger), keys: newTokenKeys(log.Logger, panics), stopping: make(chan struct{})}
	b.show(cfg)
	if err := b.begin(cfg); err != nil {
		return nil, err
	}
	keeper, err := newKeeper(cfg, log.Logger, clock)
	if err != nil {
		return nil, err
	}
	b.keeper = keeper
	couriers := couriersOf(cfg)
	b.hub = hub.New(b.hubOptions(cfg))
	if keeper != nil {
		if err := keeper.restore(b.hub, cfg.History.Bytes); err != nil {
			return nil, err
		}
	}
	b.transport = transport.New(b.hub, couriers, transport.Options{
		Limits:         transportLimits(cfg),
		Queue:          cfg.HubQueue,
		PingInterval:   cfg.PingInterval,
		PongTimeout:    cfg.PongTimeout,
		MessageTimeout: cfg.BodyTimeout,
		CloseTimeout:   cfg.CloseTimeout,
		Heartbeat:      cfg.Heartbeat,
		ReconnectDelay: cfg.ReconnectDelay,
		StallTimeout:   cfg.PingInterval + cfg.PongTimeout,
		SlowPolicy:     slowPolicy(cfg),
		BurstBytes:     cfg.CourierBacklogBytes,
		CloudEvents:    cloudEventDefaults(cfg),
		Authenticate:   b.authenticate,
		Denied:         b.denied,
		Panicked:       b.panics.took,
		Log:            log.Logger,
	})
	b.newServers(cfg)
	return b, nil
}

// hubOptions returns the options of the hub.
func (b *Broker) hubOptions(cfg config.Config) hub.Options {
	return hub.Options{
		Epoch:          b.epoch(),
		Stored:         b.keeper != nil,
		Clock:          b.clock,
		MaxStep:        time.Second, // several of the hub's clock readings
		Encoders:       transport.Encoders(cloudEventDefaults(cfg)),
		EncodePresence: transport.EncodePresence,
		Limits:         hubLimits(cfg),
		RegisterTTL:    cfg.RegisterTTL,
		ResumeWindow:   cfg.ResumeWindow,
		HistoryEvents:  cfg.History.Events,
		HistoryAge:     cfg.History.Age,
		HistoryBytes:   cfg.History.Bytes,
		DedupeWindow:   cfg.DedupeWindow,
		DedupeBytes:    cfg.DedupeBytes,
		Couriers:       couriersOf(cfg),
		Backlog:        cfg.CourierBacklog,
		BacklogBytes:   cfg.CourierBacklogBytes,
		Queue:          cfg.HubQueue,
		PublishTimeout: cfg.PublishTimeout,
	}
}

// couriersOf returns how many couriers there are: one for each processor but one, unless
// the configuration says otherwise.
func couriersOf(cfg config.Config) int {
	if cfg.Couriers > 0 {
		return cfg.Couriers
	}
	return max(1, runtime.GOMAXPROCS(0)-1)
}

// begin puts in force what a reload may replace later. See [broker.prepare].
func (b *Broker) begin(cfg config.Config) (err error) {
	if b.certs, err = certs.New(certOptionsOf(cfg.TLS), b.log.Logger); err != nil {
		return err
	}
	limits, err := b.limits.of(cfg)
	if err != nil {
		return err
	}
	regime, err := b.newRegime(cfg)
	if err != nil {
		return err
	}
	limits()
	b.enforce(regime)
	return nil
}

// epoch names the log: as the store does, or anew.
func (b *Broker) epoch() uint64 {
	if b.keeper != nil {
		return b.keeper.store.Epoch()
	}
	return newEpoch()
}

// newEpoch returns a unique name for a new log. It does not depend on the clock: a clock
// may be set back, and two brokers may start at the same time.
func newEpoch() uint64 {
	var name [8]byte
	rand.Read(name[2:])                             // it never fails
	return max(1, binary.BigEndian.Uint64(name[:])) // 0 is for text that is not a cursor
}

func cloudEventDefaults(cfg config.Config) transport.CloudEventDefaults {
	return transport.CloudEventDefaults{Source: cfg.CloudEvents.Source, Type: cfg.CloudEvents.Type}
}

func slowPolicy(cfg config.Config) hub.SlowPolicy {
	policy, _ := hub.ParseSlowPolicy(cfg.SlowPolicy) // checked by config
	return policy
}

// A carrier adapts the transport to the API.
type carrier struct{ *transport.Server }

// AppendEvent implements [api.Transport].
func (carrier) AppendEvent(dst []byte, ev *hub.Event) []byte { return transport.AppendEvent(dst, ev) }

// AppendReceipt implements [api.Transport].
func (carrier) AppendReceipt(dst []byte, topic string, r hub.Receipt) []byte {
	return transport.AppendReceipt(dst, topic, r)
}

// Figures implements [api.Transport].
func (c carrier) Figures(ctx context.Context) api.Connections {
	st := c.Stats(ctx)
	return api.Connections{Open: st.Connections, Blocked: st.Blocked, QueueBytes: st.Waiting, Delivered: st.Delivered, Bytes: st.Bytes}
}

// apiOptions returns the options of the API.
func (b *Broker) apiOptions(cfg config.Config) api.Options {
	return api.Options{
		Hub:          b.hub,
		Guard:        b.guard.Load,
		PublicURL:    cfg.PublicURL,
		Limits:       apiLimits(cfg),
		Version:      Version(),
		Started:      b.clock(),
		Clock:        b.clock,
		Ready:        b.ready.Load,
		LogFails:     b.keeper.fails,
		Transport:    carrier{b.transport},
		Settings:     b.settings,
		BodyTimeout:  cfg.BodyTimeout,
		Stopping:     b.stopping,
		MaxWait:      cfg.MaxWait,
		WriteTimeout: cfg.WriteTimeout,
		Gate:         b.limits.gate,
		Publishers:   b.limits.publishers,
		Overloaded:   b.limits.memory.Overloaded,
		Metrics:      append(b.keeper.collectors(), b.transport, b.limits.memory, b.certs, b.panics, b.log.Queue),
		Panicked:     b.panics.took,
		Documents: []api.Document{
			{Path: "/openapi.yaml", Type: "application/yaml", Content: docs.OpenAPI}, // RFC 9512
			{Path: "/asyncapi.yaml", Type: "application/yaml", Content: docs.AsyncAPI},
			{Path: "/belfry.js", Type: "text/javascript; charset=utf-8", Content: js.Script},
		},
		Log: b.log.Logger,
	}
}

// newServers makes the HTTP servers. Their time-outs hold for requests: a WebSocket leaves
// its server after the handshake.
func (b *Broker) newServers(cfg config.Config) {
	opts := b.apiOptions(cfg)
	if cfg.AdminAddr != "" {
		opts.AdminGuard = b.adminGuard.Load
	}
	b.api = api.New(opts)
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(cfg.TLS.Enabled())
	protocols.SetUnencryptedHTTP2(cfg.Protocols == "http1+http2")
	b.http = newServer(cfg, b.api, cfg.PublishTimeout+cfg.WriteTimeout, newFaultLog(b.log.Logger, b.panics))
	b.http.Protocols = protocols
	if cfg.AdminAddr != "" {
		b.admin = newServer(cfg, b.api.Admin(), profileTimeout, b.http.ErrorLog)
		b.admin.Protocols = protocols
	}
}

// newServer returns a server with a given time-out for responses.
func newServer(cfg config.Config, h http.Handler, answer time.Duration, faults *stdlog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: cfg.HeaderTimeout,
		ReadTimeout:       cfg.HeaderTimeout + cfg.BodyTimeout,
		WriteTimeout:      answer,
		IdleTimeout:       cfg.IdleTimeout,
		MaxHeaderBytes:    cfg.MaxHeaderBytes,
		ConnContext:       transport.WithSocket,
		ErrorLog:          faults,
	}
}

// profileTimeout bounds a response to operators, which may be a profile over some time.
const profileTimeout = 5 * time.Minute

// shutDown ends the broker in order. Requests under way are answered, published events are
// delivered, and each client is told to reconnect.
func (b *Broker) shutDown() {
	cfg, log := b.cfg, b.log
	log.Info("shutting down")
	b.ready.Store(false)
	close(b.stopping)
	requests, cancel := context.WithTimeout(context.Background(), cfg.Drain)
	defer cancel()
	// Streams over HTTP/2 are requests. The server's shutdown waits for them, and they end
	// with the hub's draining.
	refusing, answered := make(chan struct{}), make(chan error, 1)
	b.http.RegisterOnShutdown(func() { close(refusing) })
	go func() { answered <- b.http.Shutdown(requests) }()
	<-refusing
	b.api.WaitIdle(requests)
	if err := b.hub.Drain(); err != nil {
		log.Error("cannot drain", zap.Error(err))
	}
	clients, cancel := context.WithTimeout(context.Background(), 2*cfg.CloseTimeout)
	defer cancel()
	b.transport.WaitIdle(clients)
	b.hub.Settle(requests)
	if err := <-answered; err != nil {
		log.Warn("requests were cut off", zap.Error(err))
		b.http.Close()
	}
	if b.admin != nil {
		b.admin.Close() // last, so that monitoring sees the end
	}
	log.Info("stopped")
}
