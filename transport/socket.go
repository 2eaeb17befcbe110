package transport

import (
	"context"
	"net"
	"time"
)

// unsentBytes bounds how many unsent bytes the kernel holds for a connection. So the queue
// of a slow peer is in its backlog, which has a bound.
const unsentBytes = 64 << 10

// unsentLatestBytes is the same for connections that get the newest events only.
const unsentLatestBytes = 4 << 10

// Listen opens a TCP listener whose connections are set up for couriers. The kernel holds
// little that is unsent. It gives up a peer that has acknowledged nothing for the time
// dead. There are no keep-alive probes: WebSocket pings and the HTTP server's idle timeout
// do their work.
func Listen(ctx context.Context, addr string, dead time.Duration) (net.Listener, error) {
	lc := net.ListenConfig{KeepAlive: -1, Control: listenControl(dead)}
	return lc.Listen(ctx, "tcp", addr)
}
