package transport

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"

	"belfry/hub"
)

// How the peers of a simulation understand what they get.

// A line is a peer's side of a connection.
type line struct {
	peer    *peer
	sock    *simSock
	from    hub.From
	topics  []string // of the URL
	stalled bool     // nothing is read for a while
	over    bool     // it is not the peer's connection any more

	buf      []byte // read and not understood yet
	answered bool   // the request was
	welcomed bool
	begun    hub.Position // in this log

	subs    map[string]hub.Position // its subscriptions: events up to there are not for it
	excused map[string]hub.Position // by subscription: where the last gap ends
	sparse  hub.Position            // up to here only the newest events are due
	// restarted says that it was told that the cursor it began with is of
	// another log.
	restarted bool

	refs    int
	asked   []*request // not answered
	replays []*simReplay

	newest [5]hub.Position // by topic: the newest event that it has had
	before hub.Position    // of the last event, without cursors
}

// A simReplay is a replay that a peer gets.
type simReplay struct {
	*request
	topics  []string // without those that were unsubscribed from
	at      hub.Cursor
	got     []hub.Position
	excused map[string]hub.Position
	gap     bool // that the cursor is of another log
}

func newLine(p *peer, k *simSock, from hub.From) *line {
	return &line{peer: p, sock: k, from: from, topics: p.topics, subs: make(map[string]hub.Position), excused: make(map[string]hub.Position)}
}

// read has a peer read so many bytes, if there are.
func (p *peer) read(n int) {
	l := p.line
	if l == nil || l.stalled {
		return
	}
	k := l.sock
	n = min(n, len(k.kernel))
	l.buf = append(l.buf, k.kernel[:n]...)
	k.kernel = k.kernel[n:]
	k.unblock()
	l.understand()
	switch {
	case l.over || !k.idle() || !k.fin && !k.closed:
	case p.h2 && k.closed && !k.used:
		l.end(closeUnknownClient) // answered by 204
	case !p.h2 || k.closed:
		l.end(0)
	}
}

// understand acts on what is complete.
func (l *line) understand() {
	if !l.answered {
		head, rest, all := bytes.Cut(l.buf, []byte("\r\n\r\n"))
		if !all {
			return
		}
		l.answered, l.buf = true, rest
		switch status := string(head[:3]); {
		case status == "204":
			l.end(closeUnknownClient)
			return
		case status != "200" && status != "101":
			l.failf("begins with %q", head)
		}
	}
	for !l.over {
		var whole bool
		if (l.peer.kind == sse{}) {
			whole = l.takeBlock()
		} else {
			whole = l.takeFrame()
		}
		if !whole {
			return
		}
	}
}

// takeFrame takes a frame of WebSocket.
func (l *line) takeFrame() bool {
	p := l.buf
	if len(p) < 2 {
		return false
	}
	size, header := int(p[1]), 2
	if size == len16 {
		if len(p) < 4 {
			return false
		}
		size, header = int(binary.BigEndian.Uint16(p[2:])), 4
	}
	if len(p) < header+size {
		return false
	}
	data := p[header : header+size]
	l.buf = p[header+size:]
	switch p[0] {
	case finBit | byte(opText):
		if (l.peer.kind == bare{}) {
			l.bareEvent(data)
		} else {
			l.message(data)
		}
	case finBit | byte(opPing):
		if !l.sock.told {
			l.sock.post.tell(report{kind: reportPong, c: l.sock.conn})
		}
	case finBit | byte(opPong):
	case finBit | byte(opClose):
		l.end(binary.BigEndian.Uint16(data))
	default:
		l.failf("a frame begins with %x", p[:2])
	}
	return true
}

// A v1Message is any message of belfry.v1.
type v1Message struct {
	Type   string   `json:"type"`
	Ref    string   `json:"ref"`
	Topics []string `json:"topics"`
	Topic  string   `json:"topic"`
	Data   string   `json:"data"`
	Cursor string   `json:"cursor"`
	Replay bool     `json:"replay"`
	From   string   `json:"from"`
	To     string   `json:"to"`
	Reason string   `json:"reason"`
}

// message acts on a message of belfry.v1.
func (l *line) message(data []byte) {
	var m v1Message
	if err := json.Unmarshal(data, &m); err != nil {
		l.failf("got %q: %v", data, err)
	}
	if l.peer.sim.told {
		l.peer.sim.logf("%s < %s", l.peer.name, data)
	}
	if !l.welcomed && m.Type != "welcome" && m.Type != "closing" {
		l.failf("got %s before its welcome", data)
	}
	switch m.Type {
	case "welcome":
		l.welcome(l.cursor(m.Cursor), m.Topics)
	case "event":
		if m.Replay {
			l.replayed(l.number(m.Data))
		} else {
			l.event(l.cursor(m.Cursor), l.number(m.Data))
		}
	case "gap":
		l.gap(m)
	case "live":
		l.replayEnds(m.Ref, l.cursor(m.Cursor))
	case "ack", "pong", "error":
		l.answer(m)
	case "heartbeat":
		l.moveTo(l.cursor(m.Cursor))
	case "closing":
		if m.Cursor != "" {
			l.moveTo(l.cursor(m.Cursor))
		}
	default:
		l.failf("got %s", data)
	}
}

// takeBlock takes a server-sent event.
func (l *line) takeBlock() bool {
	block, rest, whole := bytes.Cut(l.buf, []byte("\n\n"))
	if !whole {
		return false
	}
	l.buf = rest
	var id, name, data string
	for text := range strings.SplitSeq(string(block), "\n") {
		field, value, _ := strings.Cut(text, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "id":
			id = value
		case "event":
			name = value
		case "data":
			data = value
		case "retry":
		default:
			l.failf("got a line %q", text)
		}
	}
	if l.peer.sim.told {
		l.peer.sim.logf("%s < %q", l.peer.name, block)
	}
	if name == "welcome" {
		name, data = "", "" // it is all about the id
	}
	switch {
	case !l.welcomed && id != "" && data == "":
		l.welcome(l.cursor(id), l.topics)
	case name == "closing":
		if strings.Contains(data, `"unregistered"`) || strings.Contains(data, `"unknown_client"`) {
			l.end(closeUnregistered)
		}
	case id == "" && name == "": // only the time to wait
	case !l.welcomed:
		l.failf("got %q before its beginning", block)
	case name == "gap":
		var m v1Message
		if err := json.Unmarshal([]byte(data), &m); err != nil {
			l.failf("got %q: %v", data, err)
		}
		l.gap(m)
	case data != "":
		l.event(l.cursor(id), l.number(data))
	default:
		l.moveTo(l.cursor(id))
	}
	return true
}

// end has the peer see that its connection ends. A code may tell it that its
// registration is gone.
func (l *line) end(code uint16) {
	p, k := l.peer, l.sock
	p.sim.logf("%s sees the end, code %d", p.name, code)
	k.peer = nil
	p.forgetLine()
	if !k.told {
		k.told = true
		e := report{kind: reportClose, c: k.conn, code: code}
		if p.h2 {
			e.kind = reportGone
		}
		k.post.tell(e)
	}
	switch code {
	case closeUnregistered, closeUnknownClient, closeGap:
		if (code == closeGap) != (p.kind == bare{}) && code == closeGap {
			l.failf("ended for a gap that it could have been told")
		}
		if p.registered {
			p.register()
		}
	case closeReplaced:
		l.failf("was replaced by an older connection")
	}
}

func (l *line) failf(format string, args ...any) {
	l.peer.sim.failf(l.peer.name+" "+format, args...)
}

func (l *line) cursor(text string) hub.Cursor {
	c, ok := hub.ParseCursor(text)
	if !ok {
		l.failf("got a cursor %q", text)
	}
	return c
}

// number returns the number of the event that a message is of.
func (l *line) number(message string) int {
	n, err := strconv.Atoi(strings.TrimRight(message, "."))
	if err != nil {
		l.failf("got an event %q", message)
	}
	return n
}
