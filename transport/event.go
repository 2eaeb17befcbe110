package transport

import (
	"bytes"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"belfry/hub"
)

// The forms of an event.

// AppendEvent appends the members of an event as JSON, without the braces
// around them: all that a client may know of it but its cursor.
func AppendEvent(dst []byte, ev *hub.Event) []byte {
	dst = appendMember(dst, `"topic":`, ev.Topic)
	dst = appendMember(dst, `,"id":`, ev.ID)
	if ev.User != "" {
		dst = appendMember(dst, `,"user_id":`, ev.User)
	}
	dst = append(dst, `,"time":`...)
	dst = ev.Time.UTC().AppendFormat(dst, `"2006-01-02T15:04:05.000Z"`)
	if ev.Details != nil && ev.Details.TraceParent != "" {
		dst = appendMember(dst, `,"traceparent":`, ev.Details.TraceParent)
	}
	dst = append(dst, `,"data":`...)
	if ev.Text {
		dst, _ = jsontext.AppendQuote(dst, ev.Message) // cannot fail: a message is UTF-8
		return dst
	}
	return append(dst, ev.Message...)
}

// appendMember appends the name of a member of a JSON object, as it stands, and
// a string, which must be valid UTF-8.
func appendMember(dst []byte, name, value string) []byte {
	dst = append(dst, name...)
	dst, _ = jsontext.AppendQuote(dst, value)
	return dst
}

// AppendCursor appends the member of a JSON object that holds a cursor, behind
// others.
func AppendCursor(dst []byte, at hub.Cursor) []byte {
	dst = append(dst, `,"cursor":"`...)
	dst = at.AppendTo(dst)
	return append(dst, '"')
}

// EncodePresence returns what tells of a change of presence, for [hub.Options].
func EncodePresence(c hub.PresenceChange) []byte {
	text := []byte(`{"change":"leave"`)
	if c.Joins {
		text = []byte(`{"change":"join"`)
	}
	text = appendMember(text, `,"topic":`, c.Topic)
	return append(appendMember(text, `,"user_id":`, c.User), '}')
}

// AppendReceipt appends what became of an event of a topic, as a JSON object.
func AppendReceipt(text []byte, topic string, r hub.Receipt) []byte {
	text = appendMember(text, `{"id":`, r.ID)
	text = AppendCursor(text, r.Cursor)
	text = appendMember(text, `,"topic":`, topic)
	text = append(text, `,"matched":`...)
	text = strconv.AppendInt(text, int64(r.Matched), 10)
	text = append(text, `,"queued":`...)
	text = strconv.AppendInt(text, int64(r.Queued), 10)
	text = append(text, `,"scope":"node","duplicate":`...)
	return append(strconv.AppendBool(text, r.Duplicate), '}')
}

// eventOverhead is more than what an event takes beside its texts, in bytes.
const eventOverhead = 256

func appendV1Event(dst []byte, ev *hub.Event, at hub.Cursor, replay bool) []byte {
	return appendFrame(dst, opText, v1Event(ev, at, replay))
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

// appendServerSentEvent appends a message as one event (HTML standard, section
// 9.2.6). Each of its lines is a field of its own, or a line could forge one. The
// id is the last: there are readers that take it as it comes, and would take an
// event that is cut off for one that they have had.
func appendServerSentEvent(dst []byte, message []byte, at hub.Cursor) []byte {
	for {
		end := bytes.IndexAny(message, "\r\n")
		dst = append(dst, "data: "...)
		if end < 0 {
			dst = append(append(dst, message...), '\n')
			return append(appendID(dst, at), '\n')
		}
		dst = append(dst, message[:end]...)
		dst = append(dst, '\n')
		if message[end] == '\r' && end+1 < len(message) && message[end+1] == '\n' {
			end++
		}
		message = message[end+1:]
	}
}

// appendID appends the field that moves an EventSource's resume point.
func appendID(dst []byte, at hub.Cursor) []byte {
	dst = append(dst, "id: "...)
	dst = at.AppendTo(dst)
	return append(dst, '\n')
}
