package serve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"

	"belfry/config"
	"belfry/transport"
	"belfry/transport/certs"
)

// unixScheme is the prefix of the address of a unix socket.
const unixScheme = "unix:"

func certOptionsOf(cfg config.TLS) certs.Options {
	return certs.Options{CertFile: cfg.CertFile, KeyFile: cfg.KeyFile, ACMEHosts: cfg.ACMEHosts, ACMEDir: cfg.ACMEDir, ACMEEmail: cfg.ACMEEmail, ACMEURL: cfg.ACMEURL}
}

// A site is a server and its address.
type site struct {
	message  string // for the log
	server   *http.Server
	listener net.Listener
}

func (s site) serve() error { return s.server.Serve(s.listener) }

// listen opens the addresses.
func (b *Broker) listen(ctx context.Context) ([]site, error) {
	if err := transport.Supported(); err != nil {
		return nil, err
	}
	public, err := b.open(ctx, b.cfg.Addr)
	if err != nil {
		return nil, err
	}
	public = transport.Admit(public, admission(b.limits.gate))
	if b.certs != nil {
		public = transport.ListenTLS(public, b.certs.Config)
	}
	sites := []site{{"listening", b.http, public}}
	if b.admin == nil {
		return sites, nil
	}
	admin, err := b.open(ctx, b.cfg.AdminAddr)
	if err != nil {
		public.Close()
		return nil, err
	}
	admin = transport.Admit(admin, admission(b.limits.operators))
	if b.certs != nil && !isLocal(b.cfg.AdminAddr) {
		admin = transport.ListenTLS(admin, b.certs.Config)
	}
	return append(sites, site{"listening for operators", b.admin, admin}), nil
}

func (b *Broker) open(ctx context.Context, addr string) (net.Listener, error) {
	path, ok := strings.CutPrefix(addr, unixScheme)
	if !ok {
		return transport.Listen(ctx, addr, b.cfg.PingInterval+b.cfg.PongTimeout)
	}
	mode, err := strconv.ParseUint(b.cfg.SocketMode, 8, 32)
	if err != nil {
		return nil, err // checked by config
	}
	return listenUnix(path, os.FileMode(mode))
}

// listenUnix opens a unix socket. Processes that may write to it may connect. It replaces
// a socket that a killed broker left.
func listenUnix(path string, mode os.FileMode) (net.Listener, error) {
	if info, err := os.Stat(path); err == nil && info.Mode().Type() == os.ModeSocket {
		conn, err := net.Dial("unix", path)
		if err == nil {
			conn.Close()
		}
		if !errors.Is(err, syscall.ECONNREFUSED) { // only a refusal shows that no broker listens
			return nil, fmt.Errorf("listen on %s: another program listens there; stop it, or use another path", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, mode); err != nil {
		ln.Close()
		return nil, err
	}
	return ln, nil
}
