package api

import (
	"net/http"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// accessLog writes a line for each request. Under load it writes the first lines of each
// second and class of status, and then a sample: the log must not keep the broker busy.
type accessLog struct {
	good   *zap.Logger
	bad    *zap.Logger // faults of the broker; the sample is larger
	remote func(*http.Request) string
}

func newAccessLog(log *zap.Logger, remote func(*http.Request) string) accessLog {
	return accessLog{good: sampled(log, 10, 1000), bad: sampled(log, 100, 100), remote: remote}
}

// sampled returns a logger that writes the first lines of each second and message, and
// then one line in a fixed number.
func sampled(log *zap.Logger, first, thereafter int) *zap.Logger {
	return log.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(core, time.Second, first, thereafter)
	}))
}

// accessMessages are the messages by class of status. The sampler counts by
// message.
var accessMessages = [6]string{"http", "http 1xx", "http 2xx", "http 3xx", "http 4xx", "http 5xx"}

// write logs how a request ended. It names the route, not the path or the query, which
// contain client ids.
func (l *accessLog) write(x *exchange) {
	log, level := l.good, zapcore.InfoLevel
	if x.status >= 500 {
		log, level = l.bad, zapcore.WarnLevel
	}
	entry := log.Check(level, accessMessages[min(x.status/100, 5)])
	if entry == nil {
		return
	}
	entry.Write(
		zap.String("method", knownMethod(x.r.Method)),
		zap.String("route", x.route.pattern),
		zap.Int("status", x.status),
		zap.Int64("bytes", x.bytes),
		zap.Duration("duration", time.Since(x.start)),
		zap.String("request_id", x.id),
		zap.String("remote", l.remote(x.r)),
	)
}

// knownMethod returns a method, or "other" if it is not known: a client may send any word.
func knownMethod(method string) string {
	switch method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS":
		return method
	}
	return "other"
}
