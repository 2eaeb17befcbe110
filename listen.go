package main

import (
	"context"
	"net"

	"belfry/config"
	"belfry/transport"
)

// newListener opens the address that clients connect to. With certificates they
// have to speak TLS.
func newListener(ctx context.Context, cfg config.Config, certs *certificates) (net.Listener, error) {
	ln, err := transport.Listen(ctx, cfg.Addr, cfg.PingInterval+cfg.PongTimeout)
	if err != nil || certs == nil {
		return ln, err
	}
	return transport.ListenTLS(ln, certs.config), nil
}
