package main

import (
	"go.uber.org/zap"

	"belfry/api"
	"belfry/config"
	"belfry/hub"
	"belfry/transport"
)

// A reader reads the configuration again for a broker that runs with another,
// and says which of the changes have to wait for a restart.
type reader func(running config.Config) (next config.Config, restart []string, err error)

// reload puts in force what has changed in the configuration and can be changed
// while the broker runs. If anything is wrong with it, nothing changes.
func (b *broker) reload(again reader) {
	next, restart, err := again(b.cfg)
	if err == nil {
		err = checkTopics(next)
	}
	before := b.guard.Load()
	if err == nil {
		err = b.guards(next)
	}
	if err != nil {
		b.log.Error("the configuration has not been changed", zap.Error(err))
		return
	}
	if err := b.limits.set(next); err != nil { // config has checked it
		b.log.Error("the limits have not been changed", zap.Error(err))
	}
	if err := b.certs.reload(); err != nil {
		b.log.Error("the certificate has not been changed", zap.Error(err))
	}
	b.cfg = next
	b.show(next)
	b.api.SetLimits(apiLimits(next))
	b.transport.SetLimits(transportLimits(next))
	// If the hub has ended, so will the broker.
	_ = b.hub.SetLimits(hubLimits(next))
	_ = b.hub.Regrant(before.Changes(b.guard.Load()))
	b.log.set(next.LogLevel)
	warn(b.log, next)
	b.log.Info("configuration read again", zap.Strings("needs_restart", restart))
}

func apiLimits(cfg config.Config) api.Limits {
	return api.Limits{
		DefaultTopics: cfg.DefaultTopics,
		MaxTopics:     cfg.MaxSubscriptions,
		MaxBody:       cfg.MaxBody,
		MaxMessage:    cfg.MaxMessage,
		MaxDepth:      cfg.MaxDepth,
	}
}

func transportLimits(cfg config.Config) transport.Limits {
	return transport.Limits{
		MaxMessage:       cfg.MaxMessage,
		MaxFragments:     cfg.MaxFragments,
		MaxControlRate:   cfg.MaxControlRate,
		MaxSubscriptions: cfg.MaxSubscriptions,
		ClientQueueBytes: cfg.ClientQueueBytes,
	}
}

func hubLimits(cfg config.Config) hub.Limits {
	return hub.Limits{
		MaxClients:       cfg.MaxClients,
		MaxUserClients:   cfg.MaxUserClients,
		MaxConnections:   cfg.MaxConnections,
		MaxSubscriptions: cfg.MaxSubscriptions,
		MaxLagBytes:      cfg.ClientQueueBytes,
	}
}
