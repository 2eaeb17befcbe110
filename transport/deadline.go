package transport

import "time"

// A schedule is a list of connections in order of their deadlines. All of them
// wait for the same duration, so appending keeps the order and a sweep costs
// what is due. An open connection stands in exactly one schedule of its
// courier.
type schedule struct {
	wait        time.Duration
	first, last *conn
	n           int
}

// deadline is a connection's place in a schedule.
type deadline struct {
	in         *schedule
	prev, next *conn
	at         int64 // on the courier's clock, in nanoseconds
}

// add moves c to the end, due after the schedule's wait.
func (s *schedule) add(c *conn, now int64) {
	c.cancel()
	c.deadline = deadline{in: s, prev: s.last, at: now + int64(s.wait)}
	if s.last == nil {
		s.first = c
	} else {
		s.last.deadline.next = c
	}
	s.last = c
	s.n++
}

// cancel takes c out of the schedule it stands in, if any.
func (c *conn) cancel() {
	d := c.deadline
	if d.in == nil {
		return
	}
	if d.prev == nil {
		d.in.first = d.next
	} else {
		d.prev.deadline.next = d.next
	}
	if d.next == nil {
		d.in.last = d.prev
	} else {
		d.next.deadline.prev = d.prev
	}
	d.in.n--
	c.deadline = deadline{}
}

// due returns the first connection whose time has come, or nil.
func (s *schedule) due(now int64) *conn {
	if s.first == nil || s.first.deadline.at > now {
		return nil
	}
	return s.first
}
