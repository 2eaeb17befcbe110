package transport

import (
	"errors"
	"time"

	"github.com/go-json-experiment/json"
	"go.uber.org/zap"

	"belfry/hub"
)

// The encodings of events.
const (
	// Bare is the WebSocket protocol without a name: each event is one text
	// frame that holds the message.
	Bare hub.Encoding = iota
	// V1 is an event of belfry.v1.
	V1
	// V1Replay is an event of a replay of belfry.v1: it has no cursor.
	V1Replay
	// SSE is a server-sent event.
	SSE
	// CloudEvents is a CloudEvent of cloudevents.json.
	CloudEvents
	// SSEWhole is a server-sent event the data of which is an event of belfry.v1.
	SSEWhole
	// SSEChunked and SSEWholeChunked are the same as chunks of HTTP/1.1.
	SSEChunked
	SSEWholeChunked
)

// Encode returns an event in the form in which it goes over the wire. It is a
// pure function, for [hub.Options].
func Encode(enc hub.Encoding, ev *hub.Event, at hub.Cursor) []byte {
	switch enc {
	case V1:
		return appendV1Event(nil, ev, at, false)
	case V1Replay:
		return appendV1Event(nil, ev, at, true)
	case SSE:
		return appendServerSentEvent(nil, ev.Message, at)
	case SSEWhole:
		return appendServerSentEvent(nil, v1Event(ev, at, false), at)
	case SSEChunked:
		return appendChunk(nil, appendServerSentEvent(nil, ev.Message, at))
	case SSEWholeChunked:
		return appendChunk(nil, appendServerSentEvent(nil, v1Event(ev, at, false), at))
	default:
		return appendFrame(make([]byte, 0, frameSize(len(ev.Message))), opText, ev.Message)
	}
}

// A protocol is how a connection speaks. Its value is the same for all
// connections.
type protocol interface {
	// name is the protocol's.
	name() string
	// conn is how the hub sees the connection.
	conn() hub.Conn
	// note says what the hub has to say. It is asked for if conn().Notes.
	note(c *conn, n hub.Note) []byte
	// heartbeat says how far the connection is. It is asked for if conn().Notes.
	heartbeat(at hub.Cursor) []byte
	// ping asks for a sign of life; nil: there is no way to.
	ping() []byte
	// farewell is the last that the peer gets.
	farewell(c *conn, f farewell) []byte
	// message acts on a data message of the peer.
	message(c *conn, m message)
}

// webSocket is what the protocols over WebSocket have in common.
type webSocket struct{}

func (webSocket) ping() []byte { return appendFrame(nil, opPing, nil) }

func (webSocket) farewell(_ *conn, f farewell) []byte { return appendClose(nil, f.code, f.text) }

// bare is the protocol without a name.
type bare struct{ webSocket }

func (bare) name() string { return "bare" }

func (bare) conn() hub.Conn { return hub.Conn{Encoding: Bare} }

func (bare) note(*conn, hub.Note) []byte { return nil }

func (bare) heartbeat(hub.Cursor) []byte { return nil }

// message ignores as a whole what says nothing known.
func (bare) message(c *conn, m message) {
	s := c.server
	if m.op == opText {
		if text := string(m.data); text == "ping" || text == "ping\n" {
			return
		}
		topics, err := parseTopics(m.data)
		if err == nil {
			done, err := s.hub.SetTopics(&c.Conn, topics)
			if done || err != nil {
				return
			}
		}
	}
	s.ignored.Add(1)
	if e := s.opts.Log.Check(zap.DebugLevel, "message ignored"); e != nil {
		e.Write(zap.Stringer("client", c.handle), zap.Int("bytes", len(m.data)))
	}
}

// parseTopics reads the one command of the bare protocol.
func parseTopics(text []byte) ([]string, error) {
	var command struct {
		Topics *[]string `json:"topics"`
	}
	if err := json.Unmarshal(text, &command, json.RejectUnknownMembers(true)); err != nil {
		return nil, err
	}
	if command.Topics == nil {
		return nil, errNoTopics
	}
	for _, name := range *command.Topics {
		if err := hub.CheckPattern(name); err != nil {
			return nil, err
		}
	}
	return *command.Topics, nil
}

var errNoTopics = errors.New("want an object with the member topics")

// reconnectAfter is how long a client that should come back should wait. Each
// has a time of its own, up to twice the least, so that they do not come all at
// once.
func (c *conn) reconnectAfter() time.Duration {
	least := c.server.opts.ReconnectDelay
	return (least + least*time.Duration(c.handle[0])/256).Round(time.Millisecond)
}
