package main

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"belfry/api/auth"
	"belfry/config"
)

// guards puts what the configuration says about who may do what in force, for
// requests that come from now on.
func (b *broker) guards(cfg config.Config) error {
	guard, err := guardOf(cfg)
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
func guardOf(cfg config.Config) (*auth.Guard, error) {
	opts := auth.Options{Open: isLocal(cfg.Addr) || cfg.Insecure, Local: !cfg.Insecure}
	for _, key := range cfg.Keys {
		rights, err := auth.ParseRights(key.Rights)
		if err != nil {
			return nil, err
		}
		opts.Keys = append(opts.Keys, auth.Key{Name: key.Name, SHA256: key.SHA256, Rights: rights, Topics: key.Topics})
	}
	if len(opts.Keys) == 0 && !opts.Open {
		return nil, fmt.Errorf(openToAll, cfg.Addr)
	}
	if u, err := url.Parse(cfg.PublicURL); err == nil && u.Host != "" {
		opts.Hosts = []string{strings.ToLower(u.Host)}
	}
	if !slices.Contains(cfg.AllowedOrigins, "auto") {
		opts.Origins = cfg.AllowedOrigins
	}
	return auth.New(opts)
}

const openToAll = `addr=%s lets other machines in, and there are no keys: anybody could publish and subscribe.
Make a key with

    belfry key create

and put the entry that it prints into a file for --config. If only friends can reach the broker, say --insecure.`

// isLocal reports whether only this machine can reach an address.
func isLocal(addr string) bool {
	if strings.HasPrefix(addr, unixScheme) {
		return true
	}
	host, _, err := net.SplitHostPort(addr)
	return err == nil && (host == "localhost" || net.ParseIP(host).IsLoopback())
}

func allowedOrigins(cfg config.Config) []string {
	if slices.Contains(cfg.AllowedOrigins, "auto") {
		return []string{"*"}
	}
	return cfg.AllowedOrigins
}
