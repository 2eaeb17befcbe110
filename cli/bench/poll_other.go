//go:build !linux

package bench

import (
	"context"
	"net"
)

// A poller would read from many sockets in one thread. This system has none: goroutines
// read, at a higher cost.
type poller struct{}

func newPoller(_, _ func()) (*poller, error) { return &poller{}, nil }

func (*poller) run(context.Context) {}

func (*poller) take(net.Conn, func([]byte) error, func(func([]byte))) bool { return false }
