package serve

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// PanicMessage is what the log says of each panic that did not end the process.
const PanicMessage = "recovered from a panic: please report it with its stack"

// panics are those that were recovered from. What a panic ends depends on where it is:
//
//	a connection's reader, write or courier step the connection            transport/panic.go
//	a stream over HTTP/2                         the stream                transport/sse.go
//	a request's handler                          the request               api/serve.go
//	a request's other goroutines                 the request               api/panic.go
//	the question to the hub for its figures      requests that wait for it api/probe.go
//	a collector of metrics                       its part of a scrape      api/panic.go
//	somebody's grant, when rights have changed   the grant                 api/rights.go
//	what $stats tells                            one message               api/stats.go
//	keys of an issuer                            one fetch                 api/auth/jwks.go
//	memory guard, certificates, idle memory      one look                  here
//	the configuration, when it is read again     that reading              here
//	the hub, a courier's loop, the log's writer  the process
//
// What is in the last line can't go on with half of a step done.
type panics struct {
	prometheus.Counter
	log *zap.Logger
}

func newPanics(log *zap.Logger) panics {
	return panics{log: log, Counter: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "belfry_panics_total",
		Help: "Faults of the broker that ended a connection, a request or other work.",
	})}
}

// took records a panic. It must be called in a deferred function, where the stack is still
// that of the panic.
func (p panics) took(v any, where string, about ...zap.Field) {
	p.Inc()
	p.log.Error(PanicMessage, append(about, zap.Any("panic", v), zap.String("where", where), zap.Stack("stack"))...)
}

// every runs a step at an interval until ctx ends. A panic ends only that step.
func (p panics) every(ctx context.Context, interval time.Duration, where string, step func()) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			p.guarded(where, step)
		case <-ctx.Done():
			return
		}
	}
}

func (p panics) guarded(where string, step func()) {
	defer func() {
		if v := recover(); v != nil {
			p.took(v, where)
		}
	}()
	step()
}
