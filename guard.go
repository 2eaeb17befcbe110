package main

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"belfry/api/auth"
	"belfry/config"
	"belfry/hub"
)

// guardOf returns the guard that the settings ask for.
func guardOf(cfg config.Config, tokens *auth.Tokens) (*auth.Guard, error) {
	opts := auth.Options{Tokens: tokens, Open: true, Local: !cfg.Insecure, Origins: cfg.AllowedOrigins}
	for _, key := range cfg.Keys {
		rights, err := auth.ParseRights(key.Rights)
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", key.Name, err)
		}
		opts.Keys = append(opts.Keys, auth.Key{Name: key.Name, SHA256: key.SHA256, Rights: rights, Topics: key.Topics})
	}
	if u, err := url.Parse(cfg.PublicURL); err == nil && u.Host != "" {
		opts.Hosts = []string{u.Host}
	}
	return auth.New(opts)
}

// authenticate returns whose a token is and what it grants. Why it is refused is
// for the log alone, which takes ten such lines in a second and then few: a client
// may try as often as it likes.
func (b *broker) authenticate(log *zap.Logger) func(token string) (string, *hub.Grant, error) {
	log = log.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(core, time.Second, 10, 1000)
	}))
	return func(token string) (user string, grant *hub.Grant, err error) {
		who, err := b.guard.Load().Check(token)
		if err == nil {
			err = who.Has(auth.Subscribe)
		}
		if denial, ok := errors.AsType[*auth.Denial](err); ok {
			log.Info("denied", zap.String("code", denial.Code), zap.String("reason", denial.Reason), zap.String("op", "auth"))
		}
		if err != nil {
			return "", nil, err
		}
		return who.User, who.Grant(), nil
	}
}
