package serve

import (
	stdlog "log"
	"strings"

	"go.uber.org/zap"

	"belfry/cli/serve/logging"
)

// newFaultLog returns a log for what net/http finds wrong with connections. Anybody
// can have it find any number of things, so of many in one second few are told; but
// panics, such as of a handshake of TLS, are all counted.
func newFaultLog(log *zap.Logger, panics panics) *stdlog.Logger {
	return stdlog.New(faultLog{logging.Sampled(log), panics}, "", 0)
}

type faultLog struct {
	log    *zap.Logger
	panics panics
}

// Write takes a line.
func (f faultLog) Write(line []byte) (int, error) {
	fault := strings.TrimSpace(string(line))
	switch peer, handshake := strings.CutPrefix(fault, "http: TLS handshake error from "); {
	case handshake:
		f.log.Info("TLS handshake failed", zap.String("peer", peer))
	case strings.HasPrefix(fault, "http: panic serving "), strings.HasPrefix(fault, "http2: panic serving "):
		f.panics.took(fault, "server")
	default:
		f.log.Warn("HTTP server", zap.String("fault", fault))
	}
	return len(line), nil
}
