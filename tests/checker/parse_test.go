package checker_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"belfry/hub"
)

// How the checker's subscribers understand what they are told.

// toldCursor is a heard that names a cursor.
func toldCursor(kind heardKind, text string) (heard, error) {
	cursor, ok := hub.ParseCursor(text)
	if !ok {
		return heard{}, fmt.Errorf("%q is no cursor", text)
	}
	return heard{kind: kind, at: cursor, detail: &heardDetail{}}, nil
}

// gapMembers are those of a gap.
type gapMembers struct {
	Topics           []string
	From, To, Reason string
}

func (g gapMembers) heard() (heard, error) {
	from, ok1 := hub.ParseCursor(g.From)
	to, ok2 := hub.ParseCursor(g.To)
	if !ok1 || !ok2 || len(g.Topics) == 0 {
		return heard{}, fmt.Errorf("%w: %+v", errHeard, g)
	}
	return heard{kind: hGap, detail: &heardDetail{topics: g.Topics, from: from, to: to, reason: g.Reason}}, nil
}

// v1Told is a message of belfry.v1.
type v1Told struct {
	Type, Topic, ID, Time, Cursor, Code, Detail string
	gapMembers
	Data   string
	Replay bool
	UserID string `json:"user_id"`
	Ref    int
}

func parseV1(message string) (heard, error) {
	var m v1Told
	if m.quickly(message) {
		return m.event()
	}
	if err := json.Unmarshal([]byte(message), &m); err != nil {
		return heard{}, fmt.Errorf("%w: %s", err, message)
	}
	kinds := map[string]heardKind{"ack": hAck, "live": hLive, "welcome": hWelcome, "heartbeat": hCursor, "closing": hCursor}
	switch kind, named := kinds[m.Type]; {
	case m.Type == "event":
		return m.event()
	case m.Type == "pong":
		return heard{kind: hPong}, nil
	case m.Type == "gap":
		return m.heard()
	case named:
		h, err := toldCursor(kind, m.Cursor)
		if err == nil {
			h.detail.ref, h.detail.topics = m.Ref, m.Topics
		}
		return h, err
	}
	return heard{}, fmt.Errorf("%w: %s", errHeard, message)
}

// quickly reads an event, which almost all messages are, if it is of strings
// without escapes. What it does not understand is left to a decoder.
func (m *v1Told) quickly(message string) bool {
	rest, more := strings.CutPrefix(message, `{"type":"event"`)
	if !more || strings.Contains(rest, `\`) {
		return false
	}
	read := v1Told{Type: "event"}
	for rest != "}" {
		if next, ok := strings.CutPrefix(rest, `,"replay":true`); ok {
			read.Replay, rest = true, next
			continue
		}
		parts := strings.SplitN(rest, `"`, 5) // , name : value and what follows
		if len(parts) < 5 || parts[0] != "," || parts[2] != ":" {
			return false
		}
		field := read.field(parts[1])
		if field == nil {
			return false
		}
		*field, rest = parts[3], parts[4]
	}
	*m = read
	return true
}

// field returns the member of an event that has a text.
func (m *v1Told) field(name string) *string {
	switch name {
	case "topic":
		return &m.Topic
	case "id":
		return &m.ID
	case "time":
		return &m.Time
	case "data":
		return &m.Data
	case "cursor":
		return &m.Cursor
	case "user_id":
		return &m.UserID
	}
	return nil
}

func (m *v1Told) event() (heard, error) {
	key, p, err := readPost(m.Data)
	if err != nil {
		return heard{}, err
	}
	user := ""
	if p.user > 0 {
		user = userName(int(p.user))
	}
	if m.Topic != checkedTopics[p.topic] || m.UserID != user || m.ID == "" || m.Time == "" || m.Replay != (m.Cursor == "") {
		return heard{}, fmt.Errorf("%w: %+v", errHeard, m)
	}
	if m.Replay {
		return heard{kind: hReplay, key: key}, nil
	}
	cursor, ok := hub.ParseCursor(m.Cursor)
	if !ok {
		return heard{}, fmt.Errorf("%q is no cursor", m.Cursor)
	}
	return heard{kind: hEvent, key: key, at: cursor}, nil
}

// An sseReader reads server-sent events.
type sseReader struct {
	in       *bufio.Reader
	welcomed bool
	ended    string // the reason of the closing that has come
}

// read reads on up to what is of interest.
func (r *sseReader) read() (heard, error) {
	for {
		var name, id, data string
		fields := 0
		for {
			text, err := r.in.ReadString('\n')
			if err != nil && r.ended != "" {
				return heard{}, &goodbye{reason: r.ended} // however it ends
			}
			if err != nil {
				return heard{}, err
			}
			field, value, _ := strings.Cut(strings.TrimSuffix(text, "\n"), ":")
			if field == "" {
				break
			}
			value = strings.TrimPrefix(value, " ")
			fields++
			switch field {
			case "event":
				name = value
			case "id":
				id = value
			case "data":
				data += value
			case "retry":
			default:
				return heard{}, fmt.Errorf("%w: %q", errHeard, text)
			}
		}
		if name == "welcome" {
			name, data = "", "" // it is all about the id
		} else if name == "heartbeat" && data == "" {
			name = ""
		}
		if h, err := r.block(name, id, data); err != nil || h.kind != hPong {
			return h, err
		}
	}
}

func (r *sseReader) block(name, id, data string) (heard, error) {
	switch {
	case r.ended != "" || name != "" && id != "":
		return heard{}, fmt.Errorf("%w: %q %q %q", errHeard, name, id, data)
	case name == "gap":
		var g gapMembers
		if err := json.Unmarshal([]byte(data), &g); err != nil {
			return heard{}, err
		}
		return g.heard()
	case name == "closing":
		var c struct{ Reason string }
		err := json.Unmarshal([]byte(data), &c)
		r.ended = c.Reason
		return heard{kind: hPong}, err
	case name != "":
		return heard{}, fmt.Errorf("%w: %q", errHeard, name)
	case data == "" && !r.welcomed:
		r.welcomed = true
		return toldCursor(hWelcome, id)
	case data == "":
		return toldCursor(hCursor, id)
	}
	key, _, err := readPost(data)
	cursor, ok := hub.ParseCursor(id)
	if !ok {
		return heard{}, fmt.Errorf("%w: an event with the id %q", errHeard, id)
	}
	return heard{kind: hEvent, key: key, at: cursor}, err
}

// historyPage is an answer to a poll.
type historyPage struct {
	Topic  string
	Events []struct {
		Topic, Cursor, Data string
		UserID              *string `json:"user_id"`
	}
	Cursor string
	More   bool
}

// readPage reads an answer to a poll: events and a cursor, or a gap.
func readPage(res *http.Response) (told []heard, more bool, err error) {
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, false, err
	}
	if res.StatusCode == http.StatusGone {
		var g gapMembers
		if err := json.Unmarshal(body, &g); err != nil {
			return nil, false, err
		}
		h, err := g.heard()
		return []heard{h}, true, err
	}
	var page historyPage
	if err := json.Unmarshal(body, &page); err != nil || res.StatusCode != http.StatusOK {
		return nil, false, fmt.Errorf("a poll is answered %s %s (%v)", res.Status, body, err)
	}
	for _, e := range page.Events {
		key, p, err := readPost(e.Data)
		cursor, ok := hub.ParseCursor(e.Cursor)
		if err != nil || !ok || e.Topic != page.Topic || e.Topic != checkedTopics[p.topic] || e.UserID != nil {
			return nil, false, fmt.Errorf("%w: %+v (%v)", errHeard, e, err)
		}
		told = append(told, heard{kind: hEvent, key: key, at: cursor})
	}
	end, err := toldCursor(hCursor, page.Cursor)
	return append(told, end), page.More, err
}
