package transport

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"belfry/hub"
)

// A protocol is one file and, over WebSocket, one line in subprotocols. The file has the
// protocol and the forms of its events, which it adds to encodings. A form costs nothing
// while no connection uses it. cloudevents.go is the smallest example.

// subprotocols are the protocols over WebSocket, the ones that are preferred first. The
// last is for all clients.
var subprotocols = []subprotocol{v1{}, cloudEvents{}, bare{}}

// encodings make the forms of events, by [hub.Encoding].
var encodings []func(CloudEventDefaults) hub.Encoder

// addForm adds a form of events.
func addForm(e hub.Encoder) hub.Encoding {
	return addFormWith(func(CloudEventDefaults) hub.Encoder { return e })
}

// addFormWith adds a form of events that depends on the configuration.
func addFormWith(encoder func(CloudEventDefaults) hub.Encoder) hub.Encoding {
	encodings = append(encodings, encoder)
	return hub.Encoding(len(encodings) - 1)
}

// Encoders are those of all protocols, for [hub.Options].
func Encoders(d CloudEventDefaults) []hub.Encoder {
	var all []hub.Encoder
	for _, encoder := range encodings {
		all = append(all, encoder(d))
	}
	return all
}

// A protocol is how a connection speaks. Its value is the same for all connections. The
// connection's reader calls message, which may wait for the hub. Its courier calls all the
// others, which must not wait.
type protocol interface {
	// name is the protocol's.
	name() string
	// conn is how the hub sees the connection: the forms of its events, and of those of a
	// replay if its clients can ask for one.
	conn() hub.Conn
	// note is the form of a note of the hub's; nil if the peer is not told of it. It is
	// asked for if conn().Notes.
	note(c *conn, n hub.Note) []byte
	// heartbeat tells the peer its resume point; nil if it is not told. It is asked for if
	// conn().Notes.
	heartbeat(at hub.Cursor) []byte
	// ping asks for a sign of life. It is nil if the protocol can't ask.
	ping() []byte
	// farewell is the last thing that the peer gets.
	farewell(c *conn, f farewell) []byte
	// message acts on a data message of the peer. Its data is the reader's again when this
	// returns. Topics are checked by conn.checkTopics before the hub gets them.
	message(c *conn, m message)
}

// A subprotocol is a protocol over WebSocket.
type subprotocol interface {
	protocol
	// subprotocol is the name that clients offer (RFC 6455 section 1.9); "" is none.
	subprotocol() string
	// refusesInBand reports whether clients are told in-band that they are refused: a
	// page does not see the status of a handshake that failed.
	refusesInBand() bool
	// accept prepares a connection for what its client wants. It fails if that can't be.
	accept(c *conn, want hub.Want) error
}

// subprotocolOf returns what a request and the broker agree on. The name is compared as
// it stands (RFC 6455 section 4.1): a client that hears another spelling than its own
// may fail the connection.
func subprotocolOf(r *http.Request) subprotocol {
	var offered []string
	for _, line := range r.Header["Sec-Websocket-Protocol"] {
		for name := range strings.SplitSeq(line, ",") {
			offered = append(offered, strings.TrimSpace(name))
		}
	}
	last := len(subprotocols) - 1
	for _, p := range subprotocols[:last] {
		if slices.Contains(offered, p.subprotocol()) {
			return p
		}
	}
	return subprotocols[last]
}

// webSocket is what the protocols over WebSocket have in common.
type webSocket struct{}

func (webSocket) ping() []byte { return appendFrame(nil, opPing, nil) }

func (webSocket) farewell(_ *conn, f farewell) []byte { return appendClose(nil, f.code, f.text) }

// reconnectAfter is how long a client should wait before it comes back. Each has a time of
// its own, up to twice the least, so that they do not all come at once.
func (c *conn) reconnectAfter() time.Duration {
	least := c.server.opts.ReconnectDelay
	return (least + least*time.Duration(c.handle[0])/256).Round(time.Millisecond)
}
