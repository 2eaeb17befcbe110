package transport

import (
	"testing"

	"belfry/hub"
)

// Frames of each kind, of ten bytes each.

func plainFrame() *hub.Frame                  { return of(0, hub.FrameEvent, 10) }
func eventFrame(at hub.Position) *hub.Frame   { return of(at, hub.FrameEvent, 10) }
func expiredEvent(at hub.Position) *hub.Frame { return of(at, hub.FrameEvent, 0) }
func noteFrame(at hub.Position) *hub.Frame    { return of(at, hub.FrameNote, 10) }
func originGapOf(at hub.Position) *hub.Frame  { return of(at, hub.FrameOriginGap, 10) }
func of(p hub.Position, k hub.FrameKind, n int) *hub.Frame {
	return &hub.Frame{Position: p, Kind: k, Bytes: make([]byte, n)}
}

// TestDone: what a write has completed, in the order of the frames, and what that
// makes of a resume of which event 1 and then 7 bytes were written.
func TestDone(t *testing.T) {
	t.Parallel()
	const wire = 99 // bytes of the record, over TLS
	for _, test := range []struct {
		what    string
		frames  []*hub.Frame
		want    done
		written hub.Position
		after   uint32 // over a plain socket
		sealed  uint32 // over TLS
	}{
		{"nothing whole", nil, done{}, 1, 7, 7 + wire},
		{"a plain frame", []*hub.Frame{plainFrame()}, done{after: 10}, 1, 17, 7 + wire},
		{"an event", []*hub.Frame{eventFrame(2)}, done{events: 1, last: 2}, 2, 0, 0},
		{"two events", []*hub.Frame{eventFrame(2), eventFrame(5)}, done{events: 2, last: 5}, 5, 0, 0},
		{"an expired event", []*hub.Frame{expiredEvent(2)}, done{last: 2}, 2, 0, 0},
		{"an event, then a plain frame", []*hub.Frame{eventFrame(2), plainFrame()}, done{events: 1, last: 2, after: 10}, 2, 10, 0},
		{"a plain frame, then an event", []*hub.Frame{plainFrame(), eventFrame(2)}, done{events: 1, last: 2}, 2, 0, 0},
		{"a note", []*hub.Frame{noteFrame(3)}, done{noted: true}, 1, 0, 0},
		{"a gap of another log", []*hub.Frame{originGapOf(3)}, done{noted: true}, 1, 0, 0},
		{"an event, a note, a plain frame", []*hub.Frame{eventFrame(2), noteFrame(3), plainFrame()}, done{events: 1, last: 2, noted: true, after: 10}, 2, 10, 0},
		{"a note, an event", []*hub.Frame{noteFrame(3), eventFrame(4)}, done{events: 1, last: 4, noted: true}, 4, 0, 0},
	} {
		var d done
		for _, f := range test.frames {
			d.add(f)
		}
		if d != test.want {
			t.Errorf("%s: %+v, want %+v", test.what, d, test.want)
		}
		r := resume{written: 1, after: 7}
		r.wrote(d)
		if r.written != test.written || r.after != test.after {
			t.Errorf("%s: %d bytes after event %d, want %d after %d", test.what, r.after, r.written, test.after, test.written)
		}
		r = resume{written: 1, after: 7}
		d.inRecord(wire)
		r.wrote(d)
		if r.written != test.written || r.after != test.sealed {
			t.Errorf("%s, over TLS: %d bytes after event %d, want %d after %d", test.what, r.after, r.written, test.sealed, test.written)
		}
	}
}

// TestNotes: what the frames of notes mean, each as the first, and after an answer.
func TestNotes(t *testing.T) {
	t.Parallel()
	plain, noted, origin := hub.Frame{}, hub.Frame{Position: 9, Kind: hub.FrameNote}, hub.Frame{Position: 9, Kind: hub.FrameOriginGap}
	for _, test := range []struct {
		note         hub.Note
		first, asked hub.Frame
	}{
		{hub.Welcome{}, plain, plain},
		{hub.Ack{}, noted, noted},
		{hub.ReplayEnd{}, plain, plain},
		{hub.Expiring{}, plain, plain},
		{hub.Gap{Reason: hub.GapExpired}, noted, noted},
		{hub.Gap{Reason: hub.GapDropped}, noted, noted},
		{hub.Gap{Reason: hub.GapRestarted}, origin, noted},
	} {
		var r resume
		var got hub.Frame
		if r.note(&got, test.note, 9); got.Position != test.first.Position || got.Kind != test.first.Kind || r.handed != 9 {
			t.Errorf("%T is of kind %d at %d, up to %d; want %d at %d, up to 9", test.note, got.Kind, got.Position, r.handed, test.first.Kind, test.first.Position)
		}
		r.note(&hub.Frame{}, hub.Ack{}, 9)
		got = hub.Frame{}
		if r.note(&got, test.note, 9); got.Position != test.asked.Position || got.Kind != test.asked.Kind {
			t.Errorf("after an answer, %T is of kind %d at %d, want %d at %d", test.note, got.Kind, got.Position, test.asked.Kind, test.asked.Position)
		}
	}
	var r resume
	at := hub.Cursor{Epoch: 7, Position: 3}
	if r.note(&hub.Frame{}, hub.Welcome{Cursor: at}, 9); !r.welcomed || r.origin != at {
		t.Errorf("welcomed: %v, from %v", r.welcomed, r.origin)
	}
}

// TestReach: how far a connection comes if the last of its frames are lost. The last
// batch that is done has head 20.
func TestReach(t *testing.T) {
	t.Parallel()
	const head = 20
	read := resume{written: 4}             // in the middle of a reading
	quiet := resume{written: 4, handed: 6} // that began at 6
	live := resume{written: 4, handed: 6, live: true}
	for _, test := range []struct {
		what    string
		of      resume
		waiting []*hub.Frame
		lost    int // how many of them, the last ones
		upTo    hub.Position
		origin  bool
	}{
		{"nothing was written", resume{}, nil, 0, 0, false},
		{"events were", read, nil, 0, 4, false},
		{"a later reading began", quiet, nil, 0, 6, false},
		{"it is live", live, nil, 0, head, false},
		{"events wait", read, []*hub.Frame{eventFrame(5), eventFrame(7), plainFrame()}, 0, 7, false},
		{"an old event waits", quiet, []*hub.Frame{eventFrame(5)}, 0, 6, false},
		{"an event newer than the head waits", live, []*hub.Frame{eventFrame(22)}, 0, 22, false},
		{"a note waits", read, []*hub.Frame{noteFrame(9)}, 0, 4, false},
		{"plain frames are lost", live, []*hub.Frame{plainFrame(), plainFrame()}, 2, head, false},
		{"the last event is lost", live, []*hub.Frame{eventFrame(5), eventFrame(7)}, 1, 6, false},
		{"all events are lost", live, []*hub.Frame{eventFrame(5), eventFrame(7)}, 2, 4, false},
		{"an event is lost after a plain frame", live, []*hub.Frame{plainFrame(), eventFrame(5)}, 2, 4, false},
		{"an expired event is lost", read, []*hub.Frame{expiredEvent(5)}, 1, 4, false},
		{"a note is lost", live, []*hub.Frame{noteFrame(9), eventFrame(12)}, 2, 9, false},
		{"the gap of another log is lost", live, []*hub.Frame{originGapOf(9), eventFrame(12)}, 2, 9, true},
		{"what follows that gap is lost", live, []*hub.Frame{originGapOf(9), eventFrame(12)}, 1, 11, false},
	} {
		lost := test.waiting[len(test.waiting)-test.lost:]
		upTo, origin := test.of.reach(test.waiting, lost, head)
		if upTo != test.upTo || origin != test.origin {
			t.Errorf("%s: up to %d, origin %v; want %d, %v", test.what, upTo, origin, test.upTo, test.origin)
		}
	}
}

// TestUnconfirmedBytes: what the peer's TCP has not acknowledged counts only up to the last
// event or note.
func TestUnconfirmedBytes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ pending, part, after, want int }{
		{0, 0, 0, 0},
		{100, 0, 0, 100},
		{100, 0, 30, 70},
		{100, 20, 30, 50},
		{100, 20, 0, 80},
		{30, 20, 30, 0}, // all of it is after the last event
	} {
		r := resume{after: uint32(test.after)}
		if got := r.unconfirmed(test.pending, test.part); got != test.want {
			t.Errorf("of %d bytes with %d of a part after %d more, %d; want %d", test.pending, test.part, test.after, got, test.want)
		}
	}
}
