package api

import (
	"context"
	"sync"
	"time"

	"belfry/api/auth"
	"belfry/hub"
)

// Rights can change while a connection, stream or request is under way. [auth.Guard.Refresh]
// decides about the present rights. This file decides when to ask it.

// A tide wakes its waiters at each change of rights.
type tide struct {
	mu   sync.Mutex
	next chan struct{} // closed at the next change; nil: nobody waits
}

func (t *tide) wait() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.next == nil {
		t.next = make(chan struct{})
	}
	return t.next
}

func (t *tide) turn() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.next != nil {
		close(t.next)
		t.next = nil
	}
}

// Recheck checks the rights of all clients again, after a change of the guard or of the
// keys for tokens. It returns how many clients have been closed.
func (s *Server) Recheck() (ended int, err error) {
	s.rights.turn()
	// The hub must use the guard in force when it asks, which may be a later one.
	return s.opts.Hub.Regrant(s.regrant)
}

// regrant returns what has become of a grant. The hub calls it, and must survive a panic
// over one holder. That holder loses its grant.
func (s *Server) regrant(g *hub.Grant) (now *hub.Grant) {
	defer func() {
		if v := recover(); v != nil {
			s.opts.Panicked(v, "rights")
			now = nil
		}
	}()
	return s.opts.Guard().Regrant(g)
}

// A may checks whether an identity still has what it needs.
type may func(*auth.Identity) error

func has(r auth.Right) may { return func(who *auth.Identity) error { return who.Has(r) } }

// refresh updates a caller's identity. It fails if the caller has lost the right.
func (s *Server) refresh(c *caller, may may) error {
	who, err := s.opts.Guard().Refresh(c.who)
	if err != nil {
		return err
	}
	c.who = who
	return may(who)
}

// tenure returns a context that ends with ctx, when requests must stop waiting, or when
// the caller has lost its rights. The cause of the context says why (see [why]).
func (s *Server) tenure(ctx context.Context, x *exchange, may may) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	who := x.who
	go s.aside(x, func() {
		for {
			changed := s.rights.wait() // before the check, so that no later change is missed
			now, err := s.opts.Guard().Refresh(who)
			if err == nil {
				err = may(now)
			}
			if err != nil {
				cancel(err)
				return
			}
			who = now
			end, stop := s.endOf(who)
			select {
			case <-changed:
			case <-end:
			case <-s.opts.Stopping:
				cancel(hub.ErrDraining)
			case <-ctx.Done():
			}
			stop()
			if ctx.Err() != nil {
				return
			}
		}
	}, func() { cancel(errPanicked) })()
	return ctx, func() { cancel(nil) }
}

// endOf returns a channel that receives when an identity expires, nil if it never does.
func (s *Server) endOf(who *auth.Identity) (<-chan time.Time, func()) {
	at := who.Grant().Expires
	if at.IsZero() {
		return nil, func() {}
	}
	timer := time.NewTimer(at.Sub(s.opts.Clock()))
	return timer.C, func() { timer.Stop() }
}

// why returns what a client is told about the end of a tenure. It returns nil while the
// tenure lasts, or if the client has gone.
func why(ctx context.Context) error {
	cause := context.Cause(ctx)
	if _, ok := problemOf(cause); ok || cause == errPanicked {
		return cause
	}
	return nil
}
