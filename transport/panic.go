package transport

import (
	"go.uber.org/zap"

	"belfry/hub"
)

// A panic in what is done for one connection is a fault of ours that its peer has
// found. It ends that connection and no other: the hub has the client come back.

// guarded does work for connections, one after the other; k.at is the one that it
// is about. It reports whether the work was done; if not, that connection has been
// ended, and the rest of the work is still to do.
func (k *courier) guarded(work func()) (done bool) {
	k.at = nil
	defer func() {
		if v := recover(); v != nil {
			k.opts.panicked(v, k.at)
			k.fail(k.at)
		}
	}()
	work()
	return true
}

// fail ends a connection about which nothing is certain any more, nil is none. To
// the hub it is as if it had written nothing.
func (k *courier) fail(c *conn) {
	switch {
	case c == nil || c.phase == phaseEnded:
		return
	case c.phase == phaseNew:
		c.readerDone = true // it ends as it opens
		return
	case c.phase == phaseOpen:
		c.reason = hub.InternalError
		// If the hub has ended, so will this courier.
		_ = k.hub.ConnEnded(hub.ConnReport{Conn: &c.Conn, Reason: hub.InternalError})
	}
	k.bury(c, true)
}

// recovered ends a connection whose goroutine has panicked, its reader or another.
// It is deferred.
func (c *conn) recovered(reader bool) {
	if v := recover(); v != nil {
		if reader {
			c.keep(nil)
		}
		c.courier.opts.panicked(v, c)
		c.courier.tell(event{kind: evFailed, c: c})
	}
}

// panicked counts and logs a panic. It is called by what is deferred.
func (o *Options) panicked(v any, c *conn) {
	if c == nil {
		o.Panicked(v, "courier")
		return
	}
	o.Panicked(v, "connection", zap.Stringer("client", c.handle), zap.String("protocol", c.speaks.name()))
}
