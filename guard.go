package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"go.uber.org/zap"

	"belfry/api/auth"
	"belfry/config"
	"belfry/hub"
)

// guards puts what the configuration says about who may do what in force, for
// requests that come from now on.
func (b *broker) guards(cfg config.Config) error {
	tokens, err := b.keys.tokensOf(cfg.JWT, cfg.MaxSubscriptions)
	if err != nil {
		return err
	}
	guard, err := guardOf(cfg, tokens)
	if err != nil {
		return err
	}
	admin := guard
	if isLocal(cfg.AdminAddr) {
		// Who gets there is an operator.
		if admin, err = auth.New(auth.Options{Open: true, Local: true}); err != nil {
			return err
		}
	}
	b.guard.Store(guard)
	b.adminGuard.Store(admin)
	return nil
}

// guardOf returns what decides about requests. It fails for a broker that would
// be open to others without anybody having said so.
func guardOf(cfg config.Config, tokens *auth.Tokens) (*auth.Guard, error) {
	opts := auth.Options{Tokens: tokens, Open: isLocal(cfg.Addr) || cfg.Insecure, Local: !cfg.Insecure, Origins: cfg.AllowedOrigins}
	for _, key := range cfg.Keys {
		rights, err := auth.ParseRights(key.Rights)
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", key.Name, err)
		}
		opts.Keys = append(opts.Keys, auth.Key{Name: key.Name, SHA256: key.SHA256, Rights: rights, Topics: key.Topics})
	}
	if len(opts.Keys) == 0 && tokens == nil && !opts.Open {
		return nil, fmt.Errorf(openToAll, cfg.Addr)
	}
	if u, err := url.Parse(cfg.PublicURL); err == nil && u.Host != "" {
		opts.Hosts = []string{u.Host}
	}
	return auth.New(opts)
}

const openToAll = `addr=%s lets other machines in, and there are no keys: anybody could publish and subscribe.
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

// authenticate returns whose a token is and what it grants. Why it is refused is
// for the log alone.
func (b *broker) authenticate(token string) (user string, grant *hub.Grant, publish hub.Publisher, err error) {
	who, err := b.guard.Load().Check(token)
	if err == nil {
		err = who.Has(auth.Subscribe)
	}
	if denial, ok := errors.AsType[*auth.Denial](err); ok {
		b.denials.Info("denied", zap.String("code", denial.Code), zap.String("reason", denial.Reason), zap.String("op", "auth"))
	}
	if err != nil {
		return "", nil, nil, err
	}
	return who.User, who.Grant(), b.api.Publisher(who), nil
}
