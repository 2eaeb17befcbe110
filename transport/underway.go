package transport

// maxUnderWay bounds the publishes of a connection that are not answered yet. A client
// that sends more is not read from until some are.
const maxUnderWay = 64

// underWay are the publishes of a connection that the hub has taken. They are answered in
// the order in which they came, and before whatever the client asks for after them. It is
// owned by the read side.
type underWay struct {
	free   chan struct{} // with room for as many as may be under way; nil before the first
	latest chan struct{} // closed when the latest is answered; nil before the first
}

// add has one more answered by a function, which may wait. It waits while there are too
// many.
func (u *underWay) add(c *conn, answer func()) {
	if u.free == nil {
		u.free = make(chan struct{}, maxUnderWay)
	}
	u.free <- struct{}{}
	before, answered := u.latest, make(chan struct{})
	u.latest = answered
	go func() {
		defer c.recovered(false)
		defer func() { close(answered); <-u.free }()
		if before != nil {
			<-before
		}
		answer()
	}()
}

// wait waits until all are answered.
func (u *underWay) wait() {
	if u.latest != nil {
		<-u.latest
		u.latest = nil
	}
}
