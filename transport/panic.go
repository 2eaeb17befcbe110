package transport

import (
	"go.uber.org/zap"

	"belfry/hub"
)

// A panic in work for one connection is a fault of the broker's. It ends that connection
// and no other. The client comes back.

// guarded does work for connections, one after the other; k.at is the one that it works
// for. It reports whether the work is done. If not, that connection has been ended, and
// the rest of the work is still to do.
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

// fail ends a connection whose state is not certain after a panic; c may be nil. To the
// hub it is as if nothing had been written.
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
	k.abort(c)
}

// recovered ends a connection if one of its goroutines has panicked, the reader or
// another. It is deferred.
func (c *conn) recovered(reader bool) {
	if v := recover(); v != nil {
		if reader {
			c.keep(nil)
		}
		c.courier.opts.panicked(v, c)
		c.courier.tell(report{kind: reportFailed, c: c})
	}
}

// panicked counts and logs a panic. Deferred functions call it.
func (o *Options) panicked(v any, c *conn) {
	if c == nil {
		o.Panicked(v, "courier")
		return
	}
	o.Panicked(v, "connection", zap.Stringer("client", c.handle), zap.String("protocol", c.speaks.name()))
}
