// Command belfry is a real-time event broker: backends publish events over
// HTTP, browsers receive them over WebSocket.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"belfry/api"
	"belfry/api/auth"
	"belfry/config"
	"belfry/hub"
	"belfry/transport"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// run is the program as a function: it does what the command line asks for, by
// default to serve until ctx ends, and returns the exit status, 2 for a wrong
// command line.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	command, err := config.ParseCommand(args, environ, version(), stdout, stderr)
	if errors.Is(err, config.ErrDone) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 2
	}
	switch command := command.(type) {
	case config.KeyCreate:
		if err := checkPatterns("--topics", command.Topics); err != nil {
			fmt.Fprintln(stderr, err)
			return 2
		}
		err = command.Run(stdout, stderr)
	case config.Config:
		return runBroker(ctx, command, stderr)
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	return 0
}

// runBroker serves and returns the exit status.
func runBroker(ctx context.Context, cfg config.Config, stderr io.Writer) int {
	if err := checkTopics(cfg); err != nil {
		fmt.Fprintln(stderr, err)
		return 2
	}
	log := newLogger(cfg, stderr)
	defer log.Sync() //nolint:errcheck // there is nowhere to report it
	if len(cfg.Unknown) > 0 {
		log.Warn("environment variables that are no settings", zap.Strings("names", cfg.Unknown))
	}
	for _, warning := range cfg.Warnings {
		log.Warn(warning)
	}
	if err := serve(ctx, cfg, log); err != nil {
		log.Error("cannot serve", zap.Error(err))
		return 1
	}
	return 0
}

// checkTopics reports what is wrong with the topics of the configuration.
func checkTopics(cfg config.Config) error {
	problems := []error{checkPatterns("default_topics", cfg.DefaultTopics)}
	for _, key := range cfg.Keys {
		problems = append(problems, checkPatterns("topics of the key "+key.Name, key.Topics))
	}
	return errors.Join(problems...)
}

func checkPatterns(where string, names []string) error {
	var problems []error
	for _, name := range names {
		if err := hub.CheckPattern(name); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", where, err))
		}
	}
	return errors.Join(problems...)
}

// serve starts the actors, and stops them in order when ctx ends.
func serve(ctx context.Context, cfg config.Config, log *zap.Logger) error {
	certs, err := newCertificates(cfg.TLS, log)
	if err != nil {
		return err
	}
	ln, err := newListener(ctx, cfg, certs)
	if err != nil {
		return err
	}
	if os.Getenv("GOGC") == "" {
		// A tenth less CPU with many connections coming and going, for memory
		// that tidyMemory gives back afterwards.
		debug.SetGCPercent(200)
	}
	guard, err := auth.New(auth.Options{Open: true})
	if err != nil {
		return err
	}
	b := newBroker(cfg, certs, log)
	b.guard.Store(guard)
	actors, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { b.hub.Run(actors) })
	running.Go(func() { b.transport.Run(actors) })
	running.Go(func() { tidyMemory(actors) })
	running.Go(func() { certs.watch(actors) })
	defer running.Wait()
	defer stop()

	served := make(chan error, 1)
	go func() { served <- b.http.Serve(ln) }()
	log.Info("listening", zap.String("addr", ln.Addr().String()), zap.String("version", version()))
	b.ready.Store(true)
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
		b.shutDown(cfg, log)
		return nil
	}
}

// A broker is the actors, wired together.
type broker struct {
	hub       *hub.Hub
	transport *transport.Server
	api       *api.Server
	http      *http.Server
	guard     atomic.Pointer[auth.Guard] // the one in force
	ready     atomic.Bool                // events are taken
	stopping  chan struct{}              // closed when requests should not wait any more
}

func newBroker(cfg config.Config, certs *certificates, log *zap.Logger) *broker {
	couriers := cfg.Couriers
	if couriers == 0 {
		couriers = max(1, runtime.GOMAXPROCS(0)-1)
	}
	b := &broker{stopping: make(chan struct{})}
	b.hub = hub.New(hub.Options{
		Epoch:            uint64(time.Now().UnixMilli()),
		Clock:            time.Now,
		Encode:           transport.Encode,
		MaxClients:       cfg.MaxClients,
		MaxConnections:   cfg.MaxConnections,
		MaxSubscriptions: cfg.MaxSubscriptions,
		RegisterTTL:      cfg.RegisterTTL,
		ResumeWindow:     cfg.ResumeWindow,
		HistoryEvents:    cfg.History.Events,
		HistoryAge:       cfg.History.Age,
		HistoryBytes:     cfg.History.Bytes,
		Couriers:         couriers,
		Backlog:          cfg.CourierBacklog,
		BacklogBytes:     cfg.CourierBacklogBytes,
		Queue:            cfg.HubQueue,
		PublishTimeout:   cfg.PublishTimeout,
	})
	b.transport = transport.New(b.hub, couriers, transport.Options{
		MaxMessage:       cfg.MaxMessage,
		MaxFragments:     cfg.MaxFragments,
		MaxControlRate:   cfg.MaxControlRate,
		MaxSubscriptions: cfg.MaxSubscriptions,
		ClientQueueBytes: cfg.ClientQueueBytes,
		Queue:            cfg.HubQueue,
		PingInterval:     cfg.PingInterval,
		PongTimeout:      cfg.PongTimeout,
		CloseTimeout:     cfg.CloseTimeout,
		Heartbeat:        cfg.Heartbeat,
		ReconnectDelay:   cfg.ReconnectDelay,
		StallTimeout:     cfg.PingInterval + cfg.PongTimeout,
		Authenticate:     b.authenticate,
		Log:              log,
	})
	b.http = newServer(cfg, b, certs, log)
	return b
}

// authenticate returns whose a token is and what it grants.
func (b *broker) authenticate(token string) (user string, grant *hub.Grant, err error) {
	who, err := b.guard.Load().Check(token)
	if err != nil {
		return "", nil, err
	}
	return who.User, who.Grant(), who.Has(auth.Subscribe)
}

// newServer returns the HTTP server. Its time-outs are those of requests: a
// WebSocket leaves it with the handshake.
func newServer(cfg config.Config, b *broker, certs *certificates, log *zap.Logger) *http.Server {
	b.api = api.New(api.Options{
		Hub:            b.hub,
		Guard:          b.guard.Load,
		PublicURL:      cfg.PublicURL,
		AllowedOrigins: cfg.AllowedOrigins,
		DefaultTopics:  cfg.DefaultTopics,
		MaxTopics:      cfg.MaxSubscriptions,
		MaxBody:        cfg.MaxBody,
		MaxMessage:     cfg.MaxMessage,
		MaxDepth:       cfg.MaxDepth,
		Version:        version(),
		Started:        time.Now(),
		Clock:          time.Now,
		Ready:          b.ready.Load,
		WebSocket:      b.transport.Accept,
		Events:         b.transport.Stream,
		Append:         transport.AppendEvent,
		Stopping:       b.stopping,
		MaxWait:        cfg.MaxWait,
		WriteTimeout:   cfg.WriteTimeout,
		Metrics:        []prometheus.Collector{b.transport, certs},
		Log:            log,
	})
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(cfg.TLS.Enabled())
	protocols.SetUnencryptedHTTP2(cfg.Protocols == "http1+http2")
	return &http.Server{
		Handler:           b.api,
		Protocols:         protocols,
		ReadHeaderTimeout: cfg.HeaderTimeout,
		ReadTimeout:       cfg.HeaderTimeout + cfg.BodyTimeout,
		WriteTimeout:      cfg.PublishTimeout + cfg.WriteTimeout,
		IdleTimeout:       cfg.IdleTimeout,
		MaxHeaderBytes:    cfg.MaxHeaderBytes,
		ErrorLog:          newFaultLog(log),
	}
}

// shutDown ends everything that others wait for: requests under way are
// answered, what was published goes out, each client is told to come back.
func (b *broker) shutDown(cfg config.Config, log *zap.Logger) {
	log.Info("shutting down")
	b.ready.Store(false)
	close(b.stopping)
	requests, cancel := context.WithTimeout(context.Background(), cfg.Drain)
	defer cancel()
	// Streams over HTTP/2 are requests: the server's shutdown ends with them,
	// and they with the hub's draining.
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
	if err := <-answered; err != nil {
		log.Warn("requests were cut off", zap.Error(err))
		b.http.Close()
	}
	log.Info("stopped")
}

// version is the module's version, or the revision that the binary was built
// from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value[:12]
		}
	}
	return "devel"
}
