package transport

import "belfry/hub"

// maxUnderWay bounds the publishes of a connection that are not answered yet. A client
// that sends more is not read from until some are.
const maxUnderWay = 64

// A publishing is how a connection publishes, and its publishes that the hub has taken. They are
// answered in the order in which they came, and before whatever the client asks for after them. It
// is owned by the read side.
type publishing struct {
	publish hub.Publisher // nil: it may not any more
	free    chan struct{} // with room for as many as may be under way; nil before the first
	latest  chan struct{} // closed when the latest is answered; nil before the first
}

// allowPublishing has a connection publish by a function, or not if that is nil.
func (c *conn) allowPublishing(by hub.Publisher) {
	if c.publishing == nil {
		if by == nil {
			return
		}
		c.publishing = &publishing{}
	}
	c.publishing.publish = by
}

// add has one more answered by a function, which may wait. It waits while there are too
// many.
func (p *publishing) add(c *conn, answer func()) {
	if p.free == nil {
		p.free = make(chan struct{}, maxUnderWay)
	}
	p.free <- struct{}{}
	before, answered := p.latest, make(chan struct{})
	p.latest = answered
	go func() {
		defer c.recovered(false)
		defer func() { close(answered); <-p.free }()
		if before != nil {
			<-before
		}
		answer()
	}()
}

// wait waits until all are answered.
func (p *publishing) wait() {
	if p != nil && p.latest != nil {
		<-p.latest
		p.latest = nil
	}
}
