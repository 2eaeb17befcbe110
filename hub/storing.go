package hub

import "context"

// The hub's line to the store: see commit.go for what goes over it.

// Commits is where the store gets what it has to store, one commit after another. It must
// answer each by [Hub.Stored].
func (h *Hub) Commits() <-chan *Commit { return h.commits }

// A stored is the store's answer.
type stored struct {
	commit *Commit
	err    error
}

// Stored says that a commit is stored, or with an error that it is not and never will be.
// It does not wait. Those that wait for the commit are told the error: [ErrNotStored], or
// one that wraps it.
func (h *Hub) Stored(c *Commit, err error) { h.stored <- stored{c, err} }

// SetStoreDown says whether the store can take nothing now. Meanwhile publishes wait as
// they do for slow couriers. It returns before the hub has heard it.
func (h *Hub) SetStoreDown(down bool) error { return h.send(storeDown(down)) }

type storeDown bool

func (d storeDown) serve(h *Hub) { h.down = bool(d) }

// store answers publications, and hands the store what waits for it if it is ready.
func (h *Hub) store() {
	if !h.opts.Stored {
		return
	}
	for _, t := range h.state.Answers() {
		if t.owner != nil {
			t.owner.answered(t)
		}
	}
	if !h.storing {
		if c := h.state.TakeCommit(); c != nil {
			h.storing = true
			h.commits <- c // has room: the one before was taken
		}
	}
	if !h.storing && !h.state.Applying() {
		for _, done := range h.settled {
			close(done)
		}
		h.settled = nil
	}
}

// settle takes the store's answer.
func (h *Hub) settle(r stored) {
	h.storing = false
	if r.err != nil {
		h.state.Refused(r.commit, r.err)
		return
	}
	h.state.Committed(r.commit)
}

// order has a publication ordered. It is answered when it is stored and applied.
func (p *publish) order(h *Hub) {
	t, err := h.state.Order(*p.many)
	if err != nil {
		p.all <- result[[]Receipt]{nil, err}
		return
	}
	t.owner, p.taking = p, t
}

// answered says what became of a publication.
func (p *publish) answered(t *Taking) {
	p.taking, p.many = nil, nil
	p.all <- result[[]Receipt]{t.receipts, t.err}
}

// await waits until a publication is stored and applied, or until [Options.PublishTimeout]
// has passed since it was submitted. If by then it is stored but not applied to its end,
// receipts are without counts. If the hub ends before it is known what became of it, that is
// [ErrUnsure] too: the store may have it.
func (h *Hub) await(p *publish) ([]Receipt, error) {
	select {
	case r := <-p.all:
		p.patience.Stop()
		h.keep(p)
		return r.value, r.err
	case <-p.patience.C: // the hub has p still: it is not kept for another use
		receipts, err := ask(h, func(s *State) ([]Receipt, error) { return p.soFar(s) })
		if err != ErrClosed {
			return receipts, err
		}
	case <-h.done:
	}
	p.patience.Stop()
	select {
	case r := <-p.all:
		return r.value, r.err
	default:
		return nil, ErrUnsure
	}
}

// soFar returns the receipts of a publication as far as they are known.
func (p *publish) soFar(s *State) ([]Receipt, error) {
	t := p.taking
	switch {
	case t == nil:
		r := <-p.all // it was answered meanwhile
		return r.value, r.err
	case !t.stored:
		return nil, ErrUnsure
	}
	s.spend(len(t.Events))
	receipts := append([]Receipt(nil), t.receipts...)
	for i := len(receipts); i < len(t.Events); i++ {
		receipts = append(receipts, t.uncounted(s, i))
	}
	return receipts, nil
}

// Settle waits until nothing waits for the store, or ctx or the hub has ended.
func (h *Hub) Settle(ctx context.Context) {
	done := make(chan struct{})
	if h.send(settling(done)) != nil {
		return
	}
	select {
	case <-done:
	case <-ctx.Done():
	case <-h.done:
	}
}

type settling chan struct{}

func (s settling) serve(h *Hub) {
	if !h.opts.Stored {
		close(s)
		return
	}
	h.settled = append(h.settled, s)
}
