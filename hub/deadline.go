package hub

import "time"

// A schedule is a list of clients in order of expiry. All its entries wait
// for the same duration, so appending keeps the order and a sweep costs what
// has expired. A client stands in one schedule at most.
type schedule struct {
	wait        time.Duration
	first, last *client
}

// deadline is a client's place in a schedule.
type deadline struct {
	in         *schedule
	prev, next *client
	at         time.Duration // of the hub's time
}

// add puts c at the end, due after the schedule's wait.
func (s *schedule) add(c *client, now time.Duration) {
	c.deadline = deadline{in: s, prev: s.last, at: now + s.wait}
	if s.last == nil {
		s.first = c
	} else {
		s.last.deadline.next = c
	}
	s.last = c
}

// cancel takes c out of the schedule it stands in, if any.
func (c *client) cancel() {
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
	c.deadline = deadline{}
}

// due returns the first client whose time has come, or nil.
func (s *schedule) due(now time.Duration) *client {
	if s.first == nil || s.first.deadline.at > now {
		return nil
	}
	return s.first
}
