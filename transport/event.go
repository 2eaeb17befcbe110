package transport

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"belfry/hub"
)

// The forms of an event.

// AppendEvent appends the members of an event as JSON, without the braces: all that
// clients may know of it, except for the cursor.
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
	return appendData(dst, ev)
}

// appendData appends the member of a JSON object that holds the message of an event. Other
// members are before it.
func appendData(dst []byte, ev *hub.Event) []byte {
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

// AppendCursor appends the member of a JSON object that holds a cursor. Other members are
// before it.
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

// AppendReceipt appends the receipt of an event of a topic, as a JSON object.
func AppendReceipt(text []byte, topic string, r hub.Receipt) []byte {
	text = appendMember(text, `{"id":`, r.ID)
	text = AppendCursor(text, r.Cursor)
	text = appendMember(text, `,"topic":`, topic)
	if !r.Uncounted {
		text = append(text, `,"matched":`...)
		text = strconv.AppendInt(text, int64(r.Matched), 10)
		text = append(text, `,"queued":`...)
		text = strconv.AppendInt(text, int64(r.Queued), 10)
	}
	text = append(text, `,"scope":"node","duplicate":`...)
	return append(strconv.AppendBool(text, r.Duplicate), '}')
}

// eventOverhead is an upper bound of what the form of an event has beside its texts, in
// bytes.
const eventOverhead = 256
