package serve

import (
	stdlog "log"
	"strings"

	"go.uber.org/zap"

	"belfry/cli/serve/logging"
)

// newFaultLog returns a log for net/http's errors about connections. Anybody can cause any
// number of them, so only a few lines are kept in each second. Panics, such as in a TLS
// handshake, are all counted.
func newFaultLog(log *zap.Logger, panics panics) *stdlog.Logger {
	return stdlog.New(faultLog{logging.Sampled(log), panics}, "", 0)
}

type faultLog struct {
	log    *zap.Logger
	panics panics
}

// Write logs a line.
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
