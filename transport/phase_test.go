package transport

import (
	"belfry/hub"
)

// A tallyBroker counts what a courier reports.
type tallyBroker struct {
	released []hub.Release
	drained  int
}

func (b *tallyBroker) Cursor(p hub.Position) hub.Cursor { return hub.Cursor{Epoch: 1, Position: p} }
func (b *tallyBroker) Batches(int) <-chan *hub.Batch    { return nil }
func (b *tallyBroker) Ready(int, *hub.Batch) error      { return nil }
func (b *tallyBroker) Released(r hub.Release) error     { b.released = append(b.released, r); return nil }
func (b *tallyBroker) Drained(*hub.Conn) error          { b.drained++; return nil }
func (b *tallyBroker) Lag(*hub.Conn) error              { return nil }
