package serve

import (
	"go.uber.org/zap"

	"belfry/api"
	"belfry/config"
	"belfry/hub"
	"belfry/transport"
)

// A reader reads the configuration of a running broker again. It also returns the changes
// that need a restart.
type reader func(running config.Config) (next config.Config, restart []string, err error)

// reload puts the changed settings in force that can change while the broker runs. If any
// of them is wrong, nothing changes: all is prepared before any of it takes effect.
func (b *Broker) reload(again reader) {
	next, restart, err := again(b.cfg)
	if err == nil {
		err = checkTopics(next)
	}
	var use []func()
	if err == nil {
		use, err = b.prepare(next)
	}
	if err != nil {
		b.log.Error("the configuration has not been changed", zap.Error(err))
		return
	}
	for _, f := range use {
		f()
	}
	b.cfg = next
	b.show(next)
	b.api.SetLimits(apiLimits(next))
	b.transport.SetLimits(transportLimits(next))
	// If the hub has ended, so will the broker.
	_ = b.hub.SetLimits(hubLimits(next))
	b.recheck()
	b.log.Set(next.LogLevel)
	warn(b.log, next)
	b.log.Info("configuration read again", zap.Strings("needs_restart", restart))
}

// prepare makes everything that a configuration needs. It returns a function that puts it
// in force and cannot fail. prepare itself changes nothing.
func (b *Broker) prepare(cfg config.Config) (use []func(), err error) {
	limits, err := b.limits.of(cfg)
	if err != nil {
		return nil, err
	}
	certificate, err := b.certs.Load()
	if err != nil {
		return nil, err
	}
	regime, err := b.newRegime(cfg)
	if err != nil {
		return nil, err
	}
	return []func(){limits, certificate, func() { b.enforce(regime) }}, nil
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
