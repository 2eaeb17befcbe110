package transport

import (
	"slices"

	"belfry/hub"
)

// The arithmetic of resume points is all here. A client that comes back goes on after its
// resume point. Invariant: up to that point everything was written, events and gaps. From
// what is unconfirmed the hub finds out which of these events to repeat.

// A resume is how far a connection is. Its courier owns it.
type resume struct {
	written  hub.Position // of the last event that is written whole
	after    uint32       // bytes written after that event and the last note; over TLS, of records
	live     bool         // the hub has said so: everything up to a batch's Head is here
	welcomed bool         // the peer was told where it begins
	asked    bool         // the peer has asked for more since
	handed   hub.Position // everything up to here was handed over before the reading under way
	origin   hub.Cursor   // where it begins
}

// A done is what a write has completed.
type done struct {
	events int          // events with bytes; an expired one has none
	last   hub.Position // of the last event; 0: there is none
	noted  bool         // there is a note
	after  int          // bytes of the frames after the last event and the last note
}

// add counts one frame more.
func (d *done) add(f *hub.Frame) {
	switch size := len(f.Bytes); {
	case f.Kind != hub.FrameEvent:
		d.noted, d.after = true, 0
	case f.Position == 0:
		d.after += size
	default:
		d.last, d.after = f.Position, 0
		if size > 0 {
			d.events++
		}
	}
}

// told reports whether there is an event or a note.
func (d *done) told() bool { return d.last > 0 || d.noted }

// inRecord makes d a write in one record of TLS, of so many bytes on the wire. An event
// is confirmed when all of its record is: the peer needs all of that.
func (d *done) inRecord(wire int) {
	if d.after = wire; d.told() {
		d.after = 0
	}
}

// wrote takes in what a write has completed.
func (r *resume) wrote(d done) {
	if d.last > 0 {
		r.written = d.last
	}
	if d.told() {
		r.after = 0
	}
	r.after += uint32(d.after)
}

// note takes in a note of the hub's, and says in its frame what that means. The connection
// has everything up to a position before it. Until the peer has heard what is gone, or
// which topics it has, its resume point does not go further.
func (r *resume) note(f *hub.Frame, n hub.Note, at hub.Position) {
	r.handed = at // also if there is nothing to tell the peer
	switch n := n.(type) {
	case hub.Welcome:
		r.welcomed, r.origin = true, n.Cursor
	case hub.Gap:
		f.Position, f.Kind = at, hub.FrameNote
		if n.Reason == hub.GapRestarted && !r.asked {
			f.Kind = hub.FrameOriginGap
		}
	case hub.Ack:
		f.Position, f.Kind = at, hub.FrameNote
		r.asked = true
	}
}

// upTo returns the position up to which everything for a connection is written or is
// among the frames that wait. Head is that of the last batch that is done.
func (r *resume) upTo(waiting []*hub.Frame, head hub.Position) hub.Position {
	upTo := max(r.written, r.handed)
	if r.live {
		upTo = max(upTo, head)
	}
	for _, f := range slices.Backward(waiting) {
		if f.Kind == hub.FrameEvent && f.Position > 0 {
			return max(upTo, f.Position) // the last of them
		}
	}
	return upTo
}

// reach returns the position that a connection comes to if the last of the frames that
// wait are lost. With origin, its peer goes on from where it began: it began with a
// cursor of another log, and will not hear that this is a gap.
func (r *resume) reach(waiting, lost []*hub.Frame, head hub.Position) (upTo hub.Position, origin bool) {
	for _, f := range lost {
		switch {
		case f.Kind == hub.FrameOriginGap:
			return f.Position, true
		case f.Kind == hub.FrameNote:
			return f.Position, false
		case f.Position > 0:
			return f.Position - 1, false
		}
	}
	return r.upTo(waiting, head), false
}

// unconfirmed returns how many bytes up to the last event or note the peer may not have.
// Pending are all bytes that its TCP has not acknowledged. The last of them are a part of a
// frame, and frames after that event or note, which need not be repeated.
func (r *resume) unconfirmed(pending, part int) int {
	return max(0, pending-part-int(r.after))
}
