package protocol_test

import (
	"testing"

	"belfry/tests/harness"
)

// TestLeaveHTTP2: clients that ask for a stream and leave at once, in the same
// segment or when their requests have been read, are not connected afterwards, and
// the broker lives.
func TestLeaveHTTP2(t *testing.T) {
	t.Parallel()
	b := harness.Start(t, "--protocols=http1+http2", "--close-timeout=50ms")
	registered := "/sse/" + b.Register(t, `{"user_id": 1}`).ClientID
	const bursts, streams = 12, 30
	for n := range bursts {
		path := "/sse?topic=cats"
		if n%2 == 1 {
			path = registered
		}
		c := b.RawH2(t)
		var burst []byte
		for range streams {
			burst = c.Request(burst, path)
			if n%4 < 2 {
				burst = c.Reset(burst, c.Last)
			}
		}
		c.Write(burst)
		if n%4 >= 2 {
			if n%8 >= 4 {
				c.Settled()
			}
			burst = nil
			for stream := uint32(1); stream <= c.Last; stream += 2 {
				burst = c.Reset(burst, stream)
			}
			c.Write(burst)
		}
		c.Settled()
		if n%3 == 0 {
			c.Close()
		}
	}
	b.Away(t)
	harness.Eventually(t, "each connection that was opened has ended", func() bool {
		return b.Metric(t, "belfry_connections") == 0 &&
			b.Metric(t, "belfry_connections_opened_total") == b.Metric(t, "belfry_connections_closed_total")
	})
	// And it is of use.
	s := b.StreamH2(t.Context(), t, b.H2(t), registered)
	b.Publish(t, harness.Event("cats", "one"))
	s.Expect("message", "one")
}
