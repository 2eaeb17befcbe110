package serve

import (
	"net/http"
	"time"

	"belfry/api"
	"belfry/api/auth"
	"belfry/cli/serve/logging"
	"belfry/config"
	"belfry/hub"
	"belfry/transport"
	"belfry/transport/certs"
)

// What tests see of a broker that does not listen.

func NewBroker(cfg config.Config, log logging.Logger, clock func() time.Time) (*Broker, error) {
	return newBroker(cfg, log, clock)
}

func (b *Broker) Hub() *hub.Hub                     { return b.hub }
func (b *Broker) Transport() *transport.Server      { return b.transport }
func (b *Broker) API() *api.Server                  { return b.api }
func (b *Broker) Handler() http.Handler             { return b.http.Handler }
func (b *Broker) Log() logging.Logger               { return b.log }
func (b *Broker) Certificates() *certs.Certificates { return b.certs }
func (b *Broker) Guard() *auth.Guard                { return b.guard.Load() }
func (b *Broker) SetGuard(g *auth.Guard)            { b.guard.Store(g) }
func (b *Broker) SetReady()                         { b.ready.Store(true) }
func (b *Broker) ShutDown()                         { b.shutDown() }
func (b *Broker) RenewKeys()                        { b.keys.set.Renew() }
func (b *Broker) CloseKeys()                        { b.keys.close() }
func (b *Broker) Reload(again reader)               { b.reload(again) }
