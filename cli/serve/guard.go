package serve

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"go.uber.org/zap"

	"belfry/api/auth"
	"belfry/config"
	"belfry/hub"
)

// A regime has the rights of one configuration. It is made before it is put in force.
type regime struct {
	public, admin *auth.Guard
	issuer        issuer
}

// newRegime returns the regime of a configuration. It has no side effects.
func (b *Broker) newRegime(cfg config.Config) (r regime, err error) {
	tokens, issuer, err := b.keys.tokensOf(cfg.JWT, cfg.MaxSubscriptions)
	if err != nil {
		return r, err
	}
	r.issuer = issuer
	if r.public, err = guardOf(cfg, tokens, b.clock); err != nil {
		return r, err
	}
	r.admin = r.public
	if isLocal(cfg.AdminAddr) {
		// Every caller at that address is an operator.
		r.admin, err = auth.New(auth.Options{Open: true, Local: true, Ours: true})
	}
	return r, err
}

// enforce puts a regime in force for later requests.
func (b *Broker) enforce(r regime) {
	b.guard.Store(r.public)
	b.adminGuard.Store(r.admin)
	b.keys.use(r.issuer)
}

// recheck checks everybody's rights again after a change.
func (b *Broker) recheck() {
	// If the hub has ended, so will the broker.
	if ended, err := b.api.Recheck(); err == nil && ended > 0 {
		b.log.Info("rights were revoked", zap.Int("clients_ended", ended))
	}
}

// guardOf returns the guard of a configuration. It fails for a broker that would be open
// to others without an explicit setting.
func guardOf(cfg config.Config, tokens *auth.Tokens, clock func() time.Time) (*auth.Guard, error) {
	setting, addr := exposed(cfg)
	opts := auth.Options{Tokens: tokens, Open: addr == "" || cfg.Insecure, Local: !cfg.Insecure, Origins: cfg.AllowedOrigins, Clock: clock}
	for _, key := range cfg.Keys {
		rights, err := auth.ParseRights(key.Rights)
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", key.Name, err)
		}
		opts.Keys = append(opts.Keys, auth.Key{Name: key.Name, SHA256: key.SHA256, Rights: rights, Topics: key.Topics})
	}
	if len(opts.Keys) == 0 && tokens == nil && !opts.Open {
		return nil, fmt.Errorf(openToAll, setting, addr)
	}
	if u, err := url.Parse(cfg.PublicURL); err == nil && u.Host != "" {
		opts.Hosts = []string{u.Host}
	}
	return auth.New(opts)
}

// exposed returns an address that other machines can reach, and its setting; "" if there
// is none.
func exposed(cfg config.Config) (setting, addr string) {
	switch {
	case !isLocal(cfg.Addr):
		return "addr", cfg.Addr
	case cfg.AdminAddr != "" && !isLocal(cfg.AdminAddr):
		return "admin_addr", cfg.AdminAddr
	}
	return "", ""
}

const openToAll = `%s=%s lets other machines in, and there are no keys: anybody could publish and subscribe.
Make a key with

    belfry key create

and put the entry that it prints into a file for --config. If only friends can reach the broker, say --insecure`

// isLocal reports whether only this machine can reach an address.
func isLocal(addr string) bool {
	if strings.HasPrefix(addr, unixScheme) {
		return true
	}
	host, _, err := net.SplitHostPort(addr)
	return err == nil && (host == "localhost" || net.ParseIP(host).IsLoopback())
}

// authenticate returns the user and the grant of a token. The reason for a refusal goes
// only to the log.
func (b *Broker) authenticate(token string) (user string, grant *hub.Grant, publish hub.Publisher, err error) {
	who, err := b.guard.Load().Check(token)
	if err == nil {
		err = who.Has(auth.Subscribe)
	}
	if denial, ok := errors.AsType[*auth.Denial](err); ok {
		b.denied(denial.Code, denial.Reason, "auth")
	}
	if err != nil {
		return "", nil, nil, err
	}
	return who.User, who.Grant(), b.api.Publisher(who), nil
}

// denied logs why an operation over a connection is refused. The client is told only a
// code.
func (b *Broker) denied(code, reason, op string) {
	b.denials.Info("denied", zap.String("code", code), zap.String("reason", reason), zap.String("op", op))
}
