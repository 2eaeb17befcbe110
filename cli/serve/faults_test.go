package serve

import (
	"testing"
	"testing/synctest"
	"time"

	dto "github.com/prometheus/client_model/go"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// count returns how many were counted.
func (p panics) count(t *testing.T) float64 {
	var m dto.Metric
	if err := p.Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetCounter().GetValue()
}

// TestFaultLog: what peers can bring about does not fill the log.
func TestFaultLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		core, logged := observer.New(zapcore.InfoLevel)
		panics := newPanics(zap.New(core))
		log := newFaultLog(zap.New(core), panics)
		for range 2 {
			for range 500 {
				log.Print("http: TLS handshake error from 192.0.2.1:1: EOF")
				log.Print("http2: server: error reading preface")
			}
			time.Sleep(time.Second)
			for message, context := range map[string][2]string{
				"TLS handshake failed": {"peer", "192.0.2.1:1: EOF"},
				"HTTP server":          {"fault", "http2: server: error reading preface"},
			} {
				lines := logged.FilterMessage(message).All()
				if len(lines) != 10 || lines[0].ContextMap()[context[0]] != context[1] {
					t.Errorf("%s: %d lines, such as %v", message, len(lines), lines)
				}
			}
			logged.TakeAll()
		}
		log.Print("http: panic serving 192.0.2.1:1: what\ngoroutine 1 [running]:")
		log.Print("http2: panic serving 192.0.2.1:1: what\ngoroutine 1 [running]:")
		if n := logged.FilterMessage(PanicMessage).Len(); n != 2 || panics.count(t) != 2 {
			t.Errorf("%d panics are logged, %v counted", n, panics.count(t))
		}
	})
}
