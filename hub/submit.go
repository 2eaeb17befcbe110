package hub

import (
	"context"
	"time"
)

// A publish is an event on its way, apart from the other commands so that the
// hub can leave it waiting.
type publish struct {
	event    Event
	reply    chan result[Receipt] // of capacity 1
	patience *time.Timer          // stopped

	many   *Publication           // instead of event; else nil
	taking *Taking                // owned by the hub
	all    chan result[[]Receipt] // of capacity 1
}

// spare returns a request that is not in use.
func (h *Hub) spare() *publish {
	select {
	case p := <-h.spares:
		return p
	default:
		p := &publish{reply: make(chan result[Receipt], 1), patience: time.NewTimer(0)}
		p.patience.Stop()
		return p
	}
}

// keep takes a request that is not in use any more.
func (h *Hub) keep(p *publish) {
	p.event, p.many, p.taking, p.all = Event{}, nil, nil, nil
	select {
	case h.spares <- p:
	default:
	}
}

func (p *publish) serve(h *Hub) {
	if p.many != nil {
		p.begin(h)
		return
	}
	p.goOn(h)
}

func (p *publish) begin(h *Hub) {
	if h.opts.Stored {
		p.order(h)
		return
	}
	var err error
	if p.taking, err = h.state.Begin(*p.many); err != nil {
		p.all <- result[[]Receipt]{nil, err}
		return
	}
	h.underway = p
	p.goOn(h)
}

// takeLimit bounds the events of a publication that are taken in one turn, however
// little work they are.
const takeLimit = 256

// goOn takes the event, or the next of many unless couriers become too slow, as far as a
// turn may. It answers when it has taken all.
func (p *publish) goOn(h *Hub) {
	if p.many == nil {
		h.underway = p
		if h.state.Prepare(&p.event) {
			h.underway = nil
			receipt, err := h.state.Publish(p.event)
			p.reply <- result[Receipt]{receipt, err}
		}
		return
	}
	for range takeLimit {
		if h.state.Continue(p.taking) {
			receipts := p.taking.receipts
			h.underway, p.many, p.taking = nil, nil, nil // the events are the log's, however late the receipts are asked for
			p.all <- result[[]Receipt]{receipts, nil}
			return
		}
		if h.state.Congested() || h.state.Over() {
			return
		}
	}
}

// Publish publishes an event. While couriers are too slow it waits; when
// [Options.PublishTimeout] has passed or ctx ends before the hub has taken the
// event, it fails with [ErrBusy], and the event has no effect. See
// [State.Publish].
func (h *Hub) Publish(ctx context.Context, ev Event) (Receipt, error) {
	if h.opts.Stored {
		receipts, err := h.PublishAll(ctx, Publication{Events: []Event{ev}})
		if err != nil {
			return Receipt{}, err
		}
		return receipts[0], nil
	}
	p := h.spare()
	defer h.keep(p)
	p.event = ev
	if err := h.offer(ctx, p); err != nil {
		return Receipt{}, err
	}
	return wait(h, p.reply)
}

// PublishAll publishes events together, and waits for their receipts. See [Hub.Submit].
func (h *Hub) PublishAll(ctx context.Context, many Publication) ([]Receipt, error) {
	p, err := h.Submit(ctx, many)
	if err != nil {
		return nil, err
	}
	return p.Receipts()
}

// A Pending is a publication that the hub has taken and not answered yet.
type Pending struct {
	hub     *Hub
	publish *publish
}

// Submit publishes events together. Until the hub takes them it waits as Publish does;
// from then on all are published, however long that takes. So a publisher can have many
// under way; those that it submits one after the other are published in that order. It
// must ask for the receipts once. See [State.Begin].
func (h *Hub) Submit(ctx context.Context, many Publication) (Pending, error) {
	p := h.spare()
	p.many, p.all = &many, make(chan result[[]Receipt], 1)
	if h.opts.Stored {
		p.patience.Reset(h.opts.PublishTimeout) // of all: until the hub takes it, and until it is stored
	}
	if err := h.offer(ctx, p); err != nil {
		p.patience.Stop()
		h.keep(p)
		return Pending{}, err
	}
	return Pending{h, p}, nil
}

// Receipts waits until the publication is answered.
func (p Pending) Receipts() ([]Receipt, error) {
	if p.hub.opts.Stored {
		return p.hub.await(p.publish)
	}
	defer p.hub.keep(p.publish)
	return wait(p.hub, p.publish.all)
}

// offer waits until the hub takes p.
func (h *Hub) offer(ctx context.Context, p *publish) error {
	select {
	case h.publishes <- p:
		return nil
	default:
	}
	if !h.opts.Stored {
		p.patience.Reset(h.opts.PublishTimeout)
		defer p.patience.Stop()
	}
	select {
	case h.publishes <- p:
		return nil
	case <-p.patience.C:
		return ErrBusy
	case <-ctx.Done():
		return ErrBusy
	case <-h.done:
		return ErrClosed
	}
}
