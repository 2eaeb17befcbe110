package hub

import "time"

// An Event is something published: the message and whom it is for.
type Event struct {
	ID      string    // unique, chosen by the edge
	Topic   string    // well-formed by [CheckTopic]
	User    string    // only this user's clients may see it; "" for everybody
	Time    time.Time // when it was accepted
	Message []byte    // valid UTF-8; must not be changed any more
	Text    bool      // Message is the text of a JSON string; else it is JSON itself
	Expires time.Time // from when on nobody gets it; zero is never
	Details *Details  // what few events have; may be nil
}

// Details are what the publisher has said about an event besides. The hub does
// not look at them.
type Details struct {
	Source      string // where it comes from; "" is not said
	Type        string // of what kind it is; "" is not said
	Published   string // when it happened, in the publisher's own words (RFC 3339); "" is not said
	TraceParent string // which trace it belongs to (W3C Trace Context section 3.2); "" is not said
	Attributes  []byte // further attributes of a CloudEvent as members of a JSON object, each after a comma
	Base64      bool   // the message is the base64 of what was published
	NoData      bool   // nothing was published beside the attributes; the message is null
}

// MaxExpires is the longest that an event may be said to live.
const MaxExpires = 365 * 24 * time.Hour

// expired reports whether nobody gets an event any more.
func (ev *Event) expired(now time.Time) bool { return !ev.Expires.IsZero() && !now.Before(ev.Expires) }

// An Encoder writes an event as one protocol sends it. It is a pure function and runs in
// the hub's goroutine: it must not wait, and a panic there ends the broker. The transport's
// protocols add theirs (transport/protocol.go).
type Encoder func(ev *Event, at Cursor) []byte

// An Encoding is the number of an encoder among [Options.Encoders].
type Encoding uint8

// A FrameKind says what a frame means for how far its connection is.
type FrameKind uint8

// The kinds of frames.
const (
	// FrameEvent is an event's: the connection has everything up to Position then. One
	// without a position means nothing.
	FrameEvent FrameKind = iota
	// FrameNote tells what is gone, or which topics a connection has. Up to Position it
	// has everything before.
	FrameNote
	// FrameOriginGap is a note of a gap after the cursor that a connection began with.
	FrameOriginGap
)

// A Frame is an event as the bytes of one encoding. All connections of that encoding
// share it, so it must not be changed.
type Frame struct {
	Bytes    []byte
	Position Position  // 0: it says nothing about how far its connection is
	Topic    string    // of the event
	Expires  time.Time // nobody gets the event from then on; zero is never

	Kind     FrameKind
	encoding Encoding
	next     *Frame // of the same entry, in another encoding
}
