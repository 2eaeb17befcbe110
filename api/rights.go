package api

import (
	"context"
	"sync"
	"time"

	"belfry/api/auth"
	"belfry/hub"
)

// Rights change while connections, streams and requests go on that had them when they
// began. Who somebody is by now [auth.Guard.Still] says; here is when it is asked.

// A tide tells those who wait for it, each time, that rights have changed.
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

// Recheck has everybody looked at again who was let in before, now that another guard
// is in force, or keys of tokens are others. It returns how many clients have ended.
func (s *Server) Recheck() (ended int, err error) {
	s.rights.turn()
	// What is in force when the hub asks counts: by then there may be another guard.
	return s.opts.Hub.Regrant(s.regrant)
}

// regrant says what a grant has become. It is called by the hub, which must not end by
// what is wrong with one holder's: that one has no grant any more.
func (s *Server) regrant(g *hub.Grant) (now *hub.Grant) {
	defer func() {
		if v := recover(); v != nil {
			s.opts.Panicked(v, "rights")
			now = nil
		}
	}()
	return s.opts.Guard().Regrant(g)
}

// may says what somebody needs to go on.
type may func(*auth.Identity) error

func has(r auth.Right) may { return func(who *auth.Identity) error { return who.Has(r) } }

// still brings a caller up to date. It fails if that may not go on.
func (s *Server) still(c *caller, may may) error {
	who, err := s.opts.Guard().Still(c.who)
	if err != nil {
		return err
	}
	c.who = who
	return may(who)
}

// tenure returns a context that ends with ctx, when requests should not wait any
// more, or when the caller of an exchange may not go on; what it ends of is its cause
// (see [why]).
func (s *Server) tenure(ctx context.Context, x *exchange, may may) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	who := x.who
	go s.aside(x, func() {
		for {
			changed := s.rights.wait() // before the look: a change behind it is not missed
			now, err := s.opts.Guard().Still(who)
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

// endOf returns a channel that tells when somebody's time is over, nil if it never is.
func (s *Server) endOf(who *auth.Identity) (<-chan time.Time, func()) {
	at := who.Grant().Expires
	if at.IsZero() {
		return nil, func() {}
	}
	timer := time.NewTimer(at.Sub(s.opts.Clock()))
	return timer.C, func() { timer.Stop() }
}

// why returns what a client is to be told of a tenure's end; nil while it lasts, or if
// the client has gone.
func why(ctx context.Context) error {
	cause := context.Cause(ctx)
	if _, ok := problemOf(cause); ok || cause == errPanicked {
		return cause
	}
	return nil
}
