package transport

import (
	"errors"
	"net/http"

	"github.com/go-json-experiment/json"

	"belfry/hub"
)

// The WebSocket protocol without a name: each event is one text frame that holds the
// message. The one command sets the topics.

// bareEvent is the form of its events.
var bareEvent = addForm(func(ev *hub.Event, _ hub.Cursor) []byte {
	return appendFrame(make([]byte, 0, frameSize(len(ev.Message))), opText, ev.Message)
})

// bare is the protocol without a name.
type bare struct{ webSocket }

func (bare) name() string { return "bare" }

func (bare) conn() hub.Conn { return hub.Conn{Encoding: bareEvent, Replay: bareEvent} }

func (bare) subprotocol() string { return "" }

func (bare) refusesInBand() bool { return false }

func (bare) accept(_ *conn, want hub.Want) error {
	if err := needsTopics(want); err != nil {
		return err
	}
	if want.Slow != nil && *want.Slow == hub.SlowDropOldest {
		return errBareDrops
	}
	return nil
}

// needsTopics fails if a client of a protocol without subscribing names no topic.
func needsTopics(want hub.Want) error {
	if !want.Registered && len(want.Topics) == 0 {
		return errNoTopicsInURL
	}
	return nil
}

func (bare) note(*conn, hub.Note) []byte { return nil }

func (bare) heartbeat(hub.Cursor) []byte { return nil }

// message sets the topics. A message that is not understood is ignored as a whole.
func (bare) message(c *conn, m message) {
	if m.op == opText {
		if text := string(m.data); text == "ping" || text == "ping\n" {
			return
		}
		topics, err := parseTopics(m.data)
		if err == nil && c.checkTopics(topics) == nil {
			done, err := c.server.hub.SetTopics(&c.Conn, topics)
			if done || err != nil {
				return
			}
		}
	}
	c.ignore(m)
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
	return *command.Topics, nil
}

var errNoTopics = errors.New("want an object with the member topics")

var errNoTopicsInURL = &HandshakeError{status: http.StatusBadRequest, text: "the URL names no topic; add ?topic=..., or offer the subprotocol " + v1Name}

var errBareDrops = &HandshakeError{status: http.StatusBadRequest, text: "slow=drop_oldest needs a protocol that can tell what was dropped; offer the subprotocol " + v1Name}
