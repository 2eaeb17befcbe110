package transport

import "time"

// A schedule is a list of deadlines, the next one first. Each is the same time ahead when
// it is added. So appending keeps the order, and a sweep looks only at what is due.
type schedule struct {
	wait        time.Duration
	first, last *deadline
	n           int
}

// A deadline is a connection's place in a schedule.
type deadline struct {
	of         *conn
	in         *schedule
	prev, next *deadline
	at         int64 // on the courier's clock, in nanoseconds
}

// add moves d to the end, due after the schedule's wait.
func (s *schedule) add(d *deadline, now int64) {
	d.cancel()
	d.in, d.prev, d.at = s, s.last, now+int64(s.wait)
	if s.last == nil {
		s.first = d
	} else {
		s.last.next = d
	}
	s.last = d
	s.n++
}

// cancel removes d from its schedule, if it is in one.
func (d *deadline) cancel() {
	if d.in == nil {
		return
	}
	if d.prev == nil {
		d.in.first = d.next
	} else {
		d.prev.next = d.next
	}
	if d.next == nil {
		d.in.last = d.prev
	} else {
		d.next.prev = d.prev
	}
	d.in.n--
	*d = deadline{of: d.of}
}

// due returns the first connection whose time has come, or nil.
func (s *schedule) due(now int64) *conn {
	if s.first == nil || s.first.at > now {
		return nil
	}
	return s.first.of
}
