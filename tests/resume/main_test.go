package resume_test

import (
	"testing"

	"belfry/tests/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// TestOverTLS: what holds over plain sockets holds over TLS.
func TestOverTLS(t *testing.T) {
	harness.OverTLS(t, map[string]func(*testing.T){
		"ComeBack": TestComeBack, "NoHole": TestNoHole, "Gap": TestGap,
		"SlowConsumer": TestSlowConsumer, "TakeoverFromSlow": TestTakeoverFromSlow, "DeafPeer": TestDeafPeer,
		"SlowV1": TestSlowV1, "SilentV1": TestSilentV1, "ManyReplays": TestManyReplays, "SlowEventStream": TestSlowEventStream,
	})
}
