package transport

import (
	"fmt"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"belfry/hub"
)

// The subprotocol belfry.v1: JSON text frames, one object each.

// v1Name is the subprotocol's name (RFC 6455 section 1.9).
const v1Name = "belfry.v1"

// The forms of its events. One of a replay has no cursor.
var (
	v1Encoding = addForm(func(ev *hub.Event, at hub.Cursor) []byte { return appendFrame(nil, opText, v1Event(ev, at, false)) })
	v1Replay   = addForm(func(ev *hub.Event, at hub.Cursor) []byte { return appendFrame(nil, opText, v1Event(ev, at, true)) })
)

// v1 is the protocol belfry.v1.
type v1 struct{ webSocket }

func (v1) name() string { return v1Name }

func (v1) conn() hub.Conn { return hub.Conn{Encoding: v1Encoding, Replay: v1Replay, Notes: true} }

func (v1) subprotocol() string { return v1Name }

func (v1) refusesInBand() bool { return true }

func (v1) accept(c *conn, want hub.Want) error {
	c.allowPublishing(want.Publish)
	c.admin = want.Admin
	return nil
}

func (v1) note(c *conn, n hub.Note) []byte {
	text := make([]byte, 0, 256)
	switch n := n.(type) {
	case hub.Welcome:
		text = appendWelcome(text, c, n)
	case hub.Ack:
		text = append(text, `{"type":"ack"`...)
		text = AppendCursor(appendRef(text, n.Ref), n.Cursor)
	case hub.ReplayEnd:
		text = append(text, `{"type":"live"`...)
		text = AppendCursor(appendRef(text, n.Ref), n.Cursor)
	case hub.Expiring:
		text = append(text, `{"type":"expiring","expires_in_ms":`...)
		text = strconv.AppendInt(text, max(0, time.Until(n.At).Milliseconds()), 10)
	case hub.Gap:
		text = append(text, `{"type":"gap",`...)
		text = AppendGap(text, n)
	}
	return appendFrame(nil, opText, append(text, '}'))
}

func appendWelcome(text []byte, c *conn, w hub.Welcome) []byte {
	text = append(text, `{"type":"welcome","handle":"`...)
	text = append(text, c.handle.String()...)
	text = append(text, '"')
	if w.User != "" {
		text = appendMember(text, `,"user_id":`, w.User)
	}
	text = append(text, `,"topics":`...)
	text = appendStrings(text, w.Topics)
	text = AppendCursor(text, w.Cursor)
	limits := c.server.limits.Load()
	return fmt.Appendf(text, `,"heartbeat_ms":%d,"limits":{"max_message":%d,"max_subscriptions":%d,"max_last":%d}`,
		c.server.opts.Heartbeat.Milliseconds(), limits.MaxMessage, limits.MaxSubscriptions, hub.MaxLast)
}

func appendStrings(text []byte, all []string) []byte {
	text = append(text, '[')
	for i, s := range all {
		if i > 0 {
			text = append(text, ',')
		}
		text, _ = jsontext.AppendQuote(text, s) // cannot fail: a topic is UTF-8
	}
	return append(text, ']')
}

// AppendGap appends the members of a gap as JSON, without the braces around
// them.
func AppendGap(text []byte, g hub.Gap) []byte {
	text = append(text, `"topics":`...)
	text = appendStrings(text, g.Topics)
	text = append(text, `,"from":"`...)
	text = g.From.AppendTo(text)
	text = append(text, `","to":"`...)
	text = g.To.AppendTo(text)
	text = append(text, `","reason":"`...)
	text = append(text, g.Reason.String()...)
	return append(text, '"')
}

func appendRef(text, ref []byte) []byte {
	if ref == nil {
		return text
	}
	text = append(text, `,"ref":`...)
	return append(text, ref...)
}

func (v1) heartbeat(at hub.Cursor) []byte {
	text := append(AppendCursor([]byte(`{"type":"heartbeat"`), at), '}')
	return appendFrame(nil, opText, text)
}

func (v1) farewell(c *conn, f farewell) []byte {
	var frames []byte
	if f.comesBack() {
		text := append([]byte(`{"type":"closing","reason":"`), f.why.String()...)
		text = append(text, `","reconnect_after_ms":`...)
		text = strconv.AppendInt(text, c.reconnectAfter().Milliseconds(), 10)
		if f.upTo != (hub.Cursor{}) {
			text = AppendCursor(text, f.upTo)
		}
		frames = appendFrame(nil, opText, append(text, '}'))
	}
	return appendClose(frames, f.code, f.text)
}

// v1Event returns an event as belfry.v1 has it.
func v1Event(ev *hub.Event, at hub.Cursor, replay bool) []byte {
	text := make([]byte, 0, eventOverhead+len(ev.Topic)+len(ev.ID)+len(ev.User)+len(ev.Message))
	text = append(text, `{"type":"event",`...)
	text = AppendEvent(text, ev)
	if replay {
		text = append(text, `,"replay":true`...)
	} else {
		text = AppendCursor(text, at)
	}
	return append(text, '}')
}
