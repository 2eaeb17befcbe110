package protocol_test

import (
	"testing"

	"belfry/tests/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// TestOverTLS: what holds over plain sockets holds over TLS.
func TestOverTLS(t *testing.T) {
	harness.OverTLS(t, map[string]func(*testing.T){
		"Story": TestStory, "Takeover": TestTakeover, "AddAndRemoveTopic": TestAddAndRemoveTopic,
		"ProtocolDocument": TestProtocolDocument,
		"EventStreamHTTP2": TestEventStreamHTTP2, "QuietHTTP2": TestQuietHTTP2, "SlowHTTP2": TestSlowHTTP2,
		"OverHTTP2": TestOverHTTP2, "LeaveHTTP2": TestLeaveHTTP2, "StreamsTakeOver": TestStreamsTakeOver,
	})
}
