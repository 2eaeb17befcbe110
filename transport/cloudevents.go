package transport

import (
	"time"

	"belfry/hub"
)

// The subprotocol cloudevents.json: each event is one CloudEvent in the JSON
// format (CloudEvents 1.0, WebSockets protocol binding, section 3.1).

// cloudEventsName is the subprotocol's name.
const cloudEventsName = "cloudevents.json"

// cloudEvent is the form of its events.
var cloudEvent = addFormWith(func(d CloudEventDefaults) hub.Encoder { return d.appendFrame })

// cloudEvents is the protocol cloudevents.json.
type cloudEvents struct{ webSocket }

func (cloudEvents) name() string { return cloudEventsName }

func (cloudEvents) subprotocol() string { return cloudEventsName }

func (cloudEvents) refusesInBand() bool { return false }

func (cloudEvents) accept(_ *conn, want hub.Want) error { return needsTopics(want) }

func (cloudEvents) conn() hub.Conn {
	return hub.Conn{Encoding: cloudEvent, Replay: cloudEvent, Notes: true}
}

// note reports gaps, as a CloudEvent of a type of its own. The protocol has no form for
// other notes.
func (cloudEvents) note(c *conn, n hub.Note) []byte {
	gap, ok := n.(hub.Gap)
	if !ok {
		return nil
	}
	text := append([]byte(nil), `{"specversion":"1.0","id":"gap-`...)
	text = gap.From.AppendTo(text)
	text = append(text, '-')
	text = gap.To.AppendTo(text)
	text = appendMember(text, `","source":`, c.server.opts.CloudEvents.Source)
	text = append(text, `,"type":"belfry.gap","time":`...)
	text = time.Now().UTC().AppendFormat(text, `"2006-01-02T15:04:05.000Z"`)
	text = append(text, `,"data":{`...)
	return appendFrame(nil, opText, append(AppendGap(text, gap), "}}"...))
}

func (cloudEvents) heartbeat(hub.Cursor) []byte { return nil }

// message ignores what the peer sends: the protocol has no messages of clients.
func (cloudEvents) message(c *conn, m message) {
	c.ignore(m)
}

// CloudEventDefaults are the attributes of events whose publisher did not give any.
type CloudEventDefaults struct {
	Source string // a URI reference
	Type   string
}

// appendFrame returns an event as a CloudEvent: its subject is the topic, the
// extension sequence is the cursor.
func (d CloudEventDefaults) appendFrame(ev *hub.Event, at hub.Cursor) []byte {
	var more hub.Details
	if ev.Details != nil {
		more = *ev.Details
	}
	text := make([]byte, 0, eventOverhead+len(ev.Topic)+len(ev.ID)+len(ev.User)+len(ev.Message)+len(more.Attributes))
	text = appendMember(text, `{"specversion":"1.0","id":`, ev.ID)
	text = appendMember(text, `,"source":`, orElse(more.Source, d.Source))
	text = appendMember(text, `,"type":`, orElse(more.Type, d.Type))
	text = appendMember(text, `,"subject":`, ev.Topic)
	text = append(text, `,"sequence":"`...)
	text = append(at.AppendTo(text), '"')
	if ev.User != "" {
		text = appendMember(text, `,"`+CloudEventUser+`":`, ev.User)
	}
	if more.TraceParent != "" {
		text = appendMember(text, `,"traceparent":`, more.TraceParent)
	}
	if more.Published == "" {
		text = append(text, `,"time":`...)
		text = ev.Time.UTC().AppendFormat(text, `"2006-01-02T15:04:05.000Z"`)
	} else {
		text = appendMember(text, `,"time":`, more.Published)
	}
	text = append(text, more.Attributes...)
	switch {
	case more.NoData:
	case more.Base64:
		text = append(text, `,"data_base64":"`...)
		text = append(append(text, ev.Message...), '"') // of that alphabet nothing is escaped
	default:
		text = appendData(text, ev)
	}
	return appendFrame(nil, opText, append(text, '}'))
}

// CloudEventUser is the extension attribute that names the user whom an event is for.
const CloudEventUser = "belfryuser"

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
