package resume_test

import (
	"strconv"
	"strings"
	"testing"

	"belfry/tests/harness"
)

// TestUnreadHTTP2: what was written to a stream over HTTP/2 whose peer has not
// taken it comes again to a client that comes back without a cursor: when the next
// stream takes over, and when the connection is gone.
func TestUnreadHTTP2(t *testing.T) {
	t.Parallel()
	for name, leaves := range map[string]bool{"taken over": false, "gone": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := harness.Start(t, "--protocols=http1+http2")
			path := strings.Replace(b.Register(t, `{"user_id": 1}`).Path, "/ws/", "/sse/", 1)
			first := b.RawH2From(t, harness.SmallBuffer)
			first.Send(first.Request(nil, path))
			harness.Eventually(t, "it is connected", func() bool { return b.Metric(t, "belfry_clients_connected") == 1 })
			const events = 12 // which fit into the window of a stream
			for n := range events {
				b.Publish(t, harness.Event("cats", harness.Padded(n+1)))
			}
			harness.Eventually(t, "all is written", func() bool { return b.Metric(t, "belfry_events_delivered_total") == events })
			if leaves {
				first.Close()
				b.Away(t)
			}
			second := b.StreamH2(t.Context(), t, b.H2(t), path)
			for next := 0; next != events; {
				ev, ok := second.Next()
				if !ok {
					t.Fatal("the stream has ended")
				}
				n, err := strconv.Atoi(strings.TrimSpace(ev.Data))
				if err != nil || n != next+1 && (next > 0 || n > events/2) {
					t.Fatalf("got %.40q after number %d", strings.TrimSpace(ev.Data), next)
				}
				next = n
			}
		})
	}
}
