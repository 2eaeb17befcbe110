package harness

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"
)

// What is wrong over belfry.v1 is answered with an error that says what, and
// has changed nothing; what breaks WebSocket itself ends the connection.

// V1Opening is the handshake of a client that speaks belfry.v1.
func V1Opening(path string) string {
	return strings.Replace(Opening(path), "\r\n", "\r\nSec-WebSocket-Protocol: belfry.v1\r\n", 1)
}

// AcceptedV1 checks the answer to its handshake.
func (w *Wire) AcceptedV1(t *testing.T) {
	t.Helper()
	res, err := http.ReadResponse(w.Reread(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusSwitchingProtocols || res.Header.Get("Sec-WebSocket-Protocol") != "belfry.v1" {
		t.Fatalf("the handshake was answered %s %v", res.Status, res.Header)
	}
}

// A V1Message is a message of belfry.v1, with the members that tests look at.
type V1Message struct {
	Type, Code, Detail, Reason, Cursor, From, To string
	Topic                                        string
	Topics                                       []string
	Ref, Data                                    json.RawMessage
	Replay                                       bool
	Receipt                                      Receipt
	ReconnectAfterMS                             int `json:"reconnect_after_ms"`
}

// V1 reads the next message of belfry.v1, without heartbeats.
func (w *Wire) V1(t *testing.T) (m V1Message) {
	t.Helper()
	for m.Type == "" || m.Type == "heartbeat" {
		op, message := w.Frame(t)
		if op == Ping {
			continue
		}
		if op != Text {
			t.Fatalf("got %#x %.200q, want a message", op, message)
		}
		m = V1Message{}
		if err := json.Unmarshal([]byte(message), &m); err != nil {
			t.Fatalf("%v: %q", err, message)
		}
	}
	return m
}

// WireV1 opens a connection of belfry.v1 and reads its welcome.
func (b *Broker) WireV1(t *testing.T, path string) *Wire {
	t.Helper()
	w := b.Socket(t, V1Opening(path))
	w.AcceptedV1(t)
	if m := w.V1(t); m.Type != "welcome" {
		t.Fatalf("got %+v, want a welcome", m)
	}
	return w
}

// RefusedV1 checks that a handshake of belfry.v1 is accepted, and the
// connection then closed, for a reason in words unless one is given.
func (w *Wire) RefusedV1(t *testing.T, code int, reason string) {
	t.Helper()
	w.AcceptedV1(t)
	if code == 1012 || code == 1013 {
		if m := w.V1(t); m.Type != "closing" || m.Reason != reason || m.ReconnectAfterMS <= 0 || m.Cursor != "" {
			t.Errorf("got %+v, want to be told to come back, without a cursor", m)
		}
	}
	op, body := w.Frame(t)
	if op != Closing || len(body) < 3 || body[:2] != closeBody(code, "") || !utf8.ValidString(body[2:]) || reason != "" && body[2:] != reason {
		t.Fatalf("got %#x %q, want a Close frame with %d %q", op, body, code, reason)
	}
	w.Send(t, Masked(Final|Closing, body[:2]))
	w.Ended(t)
}

// Refused checks that an EventSource is told when to come again, and nothing
// else.
func (s *Stream) Refused() {
	s.t.Helper()
	if ev, ok := s.Next(); ok || s.Parser.Retry == "" || s.Parser.LastID != "" {
		s.t.Errorf("got %v, retry %s, id %s; want to be told to come again", ev, s.Parser.Retry, s.Parser.LastID)
	}
}
