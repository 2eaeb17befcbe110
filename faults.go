package main

import (
	stdlog "log"
	"strings"

	"go.uber.org/zap"
)

// newFaultLog returns a log for what net/http finds wrong with connections. Anybody
// can have it find any number of things, so of many in one second few are told.
func newFaultLog(log *zap.Logger) *stdlog.Logger {
	return stdlog.New(faultLog{sampled(log)}, "", 0)
}

type faultLog struct{ log *zap.Logger }

// Write takes a line.
func (f faultLog) Write(line []byte) (int, error) {
	fault := strings.TrimSpace(string(line))
	if peer, ok := strings.CutPrefix(fault, "http: TLS handshake error from "); ok {
		f.log.Info("TLS handshake failed", zap.String("peer", peer))
	} else {
		f.log.Warn("HTTP server", zap.String("fault", fault))
	}
	return len(line), nil
}
