package main

import (
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// panicMessage is what the log says of each panic that did not end the process.
const panicMessage = "recovered from a panic: please report it with its stack"

// panics are those that were recovered from: what was served when they came, a
// connection or a request, has ended by them. Those of the broker's own actors, the
// hub above all, are not: they end the process.
type panics struct {
	prometheus.Counter
	log *zap.Logger
}

func newPanics(log *zap.Logger) panics {
	return panics{log: log, Counter: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "belfry_panics_total",
		Help: "Faults of the broker that ended the connection or the request that was served.",
	})}
}

// took takes a panic. It is called by what is deferred, where the stack still is
// that of the panic.
func (p panics) took(v any, where string, about ...zap.Field) {
	p.Inc()
	p.log.Error(panicMessage, append(about, zap.Any("panic", v), zap.String("where", where), zap.Stack("stack"))...)
}
