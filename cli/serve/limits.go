package serve

import (
	"net"

	"go.uber.org/zap"

	"belfry/api/forwarded"
	"belfry/api/limit"
	"belfry/config"
	"belfry/transport"
)

// limits are the limits for strangers.
type limits struct {
	gate       *limit.Gate
	operators  *limit.Gate // for the operators' own address
	publishers *limit.Publishers
	memory     *limit.MemoryGuard
}

// newLimits returns bounds without limits.
func newLimits(log *zap.Logger) *limits {
	gate := limit.NewGate(limit.Limits{}, nil)
	return &limits{
		gate:       gate,
		operators:  gate.Aside(),
		publishers: limit.NewPublishers(limit.PublishLimits{}, nil),
		memory:     limit.NewMemoryGuard(log, limit.ReadMemory),
	}
}

// of returns a function that puts the limits of a configuration in force. It has no side
// effects of its own.
func (b *limits) of(cfg config.Config) (use func(), err error) {
	proxies, err := forwarded.New(cfg.TrustedProxies, cfg.ProxyHeader)
	if err != nil {
		return nil, err
	}
	return func() {
		b.gate.SetProxies(proxies)
		b.gate.SetLimits(limit.Limits{
			HTTPConnections:    cfg.MaxHTTPConnections,
			AddressConnections: cfg.MaxAddressConnections,
			AddressHandshakes:  cfg.MaxAddressHandshakes,
			Handshakes:         cfg.MaxHandshakes,
		})
		b.operators.SetProxies(proxies)
		b.operators.SetLimits(operatorLimits(cfg))
		b.publishers.SetLimits(publishLimits(cfg))
		b.memory.SetLimit(cfg.MaxMemory, cfg.MemoryReserve)
	}, nil
}

// operatorLimits are the limits at the operators' address. One address gets at most half
// of the connections, so that operators can connect even if strangers reach the address.
func operatorLimits(cfg config.Config) limit.Limits {
	most := max(minOperators, cfg.MaxHTTPConnections/10)
	return limit.Limits{HTTPConnections: most, AddressConnections: most / 2}
}

// minOperators is the least number of connections at the operators' address.
const minOperators = 16

func publishLimits(cfg config.Config) limit.PublishLimits {
	l := limit.PublishLimits{
		Other: float64(cfg.MaxPublishRate),
		Keys:  make(map[string]float64, len(cfg.Keys)),
		User:  float64(cfg.MaxUserPublishRate),
	}
	for _, key := range cfg.Keys {
		l.Keys[key.Name] = l.Other
		if key.Rate > 0 {
			l.Keys[key.Name] = key.Rate
		}
	}
	return l
}

// admission applies a gate to accepted connections.
func admission(g *limit.Gate) transport.Admission {
	return func(from net.Addr) (transport.Visit, bool) { return g.Accept(from) }
}
