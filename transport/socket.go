package transport

import (
	"context"
	"net"
	"time"
)

// unsentBytes bounds what the kernel holds of a connection and has not sent
// yet, in bytes, so that a slow peer's queue stays where its bound is.
const unsentBytes = 64 << 10

// unsentLatestBytes is the same for connections that are to get the newest
// events.
const unsentLatestBytes = 4 << 10

// Listen opens a TCP listener whose connections are set up for couriers: the
// kernel holds little that is unsent, and gives up a peer that has not
// acknowledged anything for dead. Keep-alive probes are left to WebSocket
// pings and to the HTTP server's idle timeout.
func Listen(ctx context.Context, addr string, dead time.Duration) (net.Listener, error) {
	lc := net.ListenConfig{KeepAlive: -1, Control: listenControl(dead)}
	return lc.Listen(ctx, "tcp", addr)
}
