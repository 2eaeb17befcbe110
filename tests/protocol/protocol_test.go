package protocol_test

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"belfry/tests/harness"
)

// docs/protocol.md teaches by transcripts. They are played against the
// broker, over sockets, and what it answers must be what stands there: all but
// the values of the names in angle brackets, and those must be consistent.

// A transcript is a fenced block of the document.
type transcript struct {
	line  int // the number of its first
	lines []string
}

func transcripts(t *testing.T) (all []transcript) {
	t.Helper()
	text, err := os.ReadFile("docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	var current *transcript
	for i, line := range strings.Split(string(text), "\n") {
		switch {
		case line == "```transcript":
			all = append(all, transcript{line: i + 2})
			current = &all[len(all)-1]
		case line == "```":
			current = nil
		case strings.HasPrefix(line, "```"):
			t.Errorf("line %d: a block that nobody plays", i+1)
		case current != nil:
			current.lines = append(current.lines, line)
		}
	}
	return all
}

func TestProtocolDocument(t *testing.T) {
	t.Parallel()
	all := transcripts(t)
	if len(all) < 10 {
		t.Fatalf("the document has %d transcripts", len(all))
	}
	for _, script := range all {
		t.Run(fmt.Sprint("line ", script.line), func(t *testing.T) {
			t.Parallel()
			p := &player{t: t, names: make(map[string]string)}
			p.play(script)
			p.finishAnswer()
			p.checkOrder()
		})
	}
}

// A player plays a transcript: the client's part, and whatever else happens.
type player struct {
	t     *testing.T
	at    string // the line, for messages
	flags []string
	b     *harness.Broker
	names map[string]string // values by name

	wire  *harness.Wire
	head  http.Header   // of the last answer; nil while there is none
	body  *bufio.Reader // of the last answer; nil over WebSocket
	ahead []string      // lines of it that have been read already
	left  bool          // this side has said farewell
	beat  bool          // a heartbeat of a stream is wanted: an id without anything else
}

func (p *player) fatalf(format string, args ...any) {
	p.t.Helper()
	p.t.Fatalf("%s:\n"+format, append([]any{p.at}, args...)...)
}

func (p *player) play(script transcript) {
	p.t.Helper()
	if flags, ok := strings.CutPrefix(script.lines[0], "-- belfry "); ok {
		p.flags = strings.Fields(flags)
		script.lines = script.lines[1:]
		script.line++
	}
	p.b = harness.Start(p.t, append([]string{"--heartbeat=15s"}, p.flags...)...)
	if harness.IsOverTLS(p.t) {
		for i, line := range script.lines {
			script.lines[i] = strings.Replace(line, `"url":"ws:`, `"url":"wss:`, 1)
		}
	}
	for i := 0; i < len(script.lines); i++ {
		line := script.lines[i]
		p.at = fmt.Sprintf("docs/protocol.md:%d: %s", script.line+i, line)
		mark, rest, _ := strings.Cut(line, " ")
		switch {
		case mark == "--":
			p.happens(rest)
		case mark == "<":
			p.beat = p.beat && strings.HasPrefix(rest, "id: ") || rest == "event: heartbeat"
			p.receive(rest)
		case mark == ">" && requestLine.MatchString(rest):
			request := []string{rest}
			for ; i+1 < len(script.lines) && strings.HasPrefix(script.lines[i+1], "> "); i++ {
				request = append(request, script.lines[i+1][2:])
			}
			p.request(request)
		case mark == ">":
			p.send(rest)
		default:
			p.fatalf("what is this?")
		}
	}
}

var requestLine = regexp.MustCompile(`^(GET|HEAD|POST|DELETE) /`)

// happens does what happens besides.
func (p *player) happens(what string) {
	p.t.Helper()
	switch {
	case requestLine.MatchString(what):
		call := strings.SplitN(p.fill(what), " ", 3)
		got := p.b.Call(p.t, call[0], call[1], strings.Join(call[2:], ""))
		if got.Status != http.StatusOK {
			p.fatalf("got %d %s", got.Status, got.Body)
		}
	case what == "the line breaks":
		if p.body == nil {
			p.wire.Sync(p.t) // TCP has acknowledged what has come
		}
		p.wire.Reset(p.t)
		p.b.Away(p.t)
		p.head, p.body = nil, nil
	case what == "the broker shuts down":
		go p.b.Stop()
	case what == "the broker is started again":
		p.b.Stop()
		p.b = harness.Start(p.t, append([]string{"--heartbeat=15s"}, p.flags...)...)
	case what == "nothing happens for a while":
	default:
		p.fatalf("what has happened?")
	}
}

// request sends a request over a connection of its own.
func (p *player) request(lines []string) {
	p.t.Helper()
	p.finishAnswer()
	var header strings.Builder
	var body []string
	for _, line := range lines[1:] {
		line = p.fill(line)
		if strings.HasPrefix(line, "{") || strings.HasPrefix(line, "[") {
			body = append(body, line)
			continue
		}
		header.WriteString(line + "\r\n")
		if strings.HasPrefix(line, "Upgrade: ") {
			header.WriteString("Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n")
		}
	}
	p.head, p.body, p.left = nil, nil, false
	p.wire = p.b.Socket(p.t, p.fill(lines[0])+" HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n"+header.String()+
		"Content-Length: "+strconv.Itoa(len(strings.Join(body, "\n")))+"\r\n\r\n"+strings.Join(body, "\n"))
}

// send sends a text message or a Close frame.
func (p *player) send(message string) {
	p.t.Helper()
	if code, ok := strings.CutPrefix(message, "close "); ok {
		n, err := strconv.Atoi(code)
		if err != nil {
			p.fatalf("%v", err)
		}
		p.wire.Send(p.t, harness.Farewell(n, ""))
		p.left = true
		return
	}
	p.wire.Send(p.t, harness.Say(p.fill(message)))
}

var (
	statusLine = regexp.MustCompile(`^[1-5]\d\d$`)
	headerLine = regexp.MustCompile(`^([A-Z][A-Za-z-]+): (.+)$`)
	closeLine  = regexp.MustCompile(`^close (\d+) ?(.*)$`)
)

// receive checks the next that comes.
func (p *player) receive(want string) {
	p.t.Helper()
	switch {
	case statusLine.MatchString(want):
		res, err := http.ReadResponse(p.wire.Reread(p.t), nil)
		if err != nil {
			p.fatalf("no answer has come: %v", err)
		}
		if p.head = res.Header; res.StatusCode != http.StatusSwitchingProtocols {
			p.body = bufio.NewReader(res.Body)
		}
		if got := strconv.Itoa(res.StatusCode); got != want {
			p.fatalf("got %s", got)
		}
	case headerLine.MatchString(want):
		line := headerLine.FindStringSubmatch(want)
		p.match(line[2], p.head.Get(line[1]))
	case want == "end":
		if p.body == nil {
			p.fatalf("there is no stream")
		}
		p.finishAnswer()
	case p.body != nil:
		p.match(want, p.text())
	default:
		p.match(want, p.message(want))
		if closeLine.MatchString(want) {
			if !p.left {
				p.wire.Send(p.t, harness.Farewell(1000, ""))
			}
			p.wire.Ended(p.t)
		}
	}
}

// text returns the next line of an answer. Heartbeats that nobody wants to see
// are left out.
func (p *player) text() string {
	p.t.Helper()
	line := func() string {
		p.wire.Reread(p.t) // which sets a deadline
		s, err := p.body.ReadString('\n')
		if err != nil && (err != io.EOF || s == "") {
			p.fatalf("the answer has ended: %v", err)
		}
		return strings.TrimSuffix(s, "\n")
	}
	if len(p.ahead) > 0 {
		got := p.ahead[0]
		p.ahead = p.ahead[1:]
		return got
	}
	got := line()
	for got == "event: heartbeat" {
		if id := line(); p.beat && !p.known(strings.TrimPrefix(id, "id: ")) {
			p.ahead = append(p.ahead, id)
			break
		}
		line()
		got = line()
	}
	return got
}

// known reports whether a name stands for a cursor. A heartbeat that tells it again is of
// before what has happened last.
func (p *player) known(cursor string) bool {
	for _, value := range p.names {
		if value == cursor {
			return true
		}
	}
	return false
}

// heartbeat begins the message of one, up to its cursor.
const heartbeat = `{"type":"heartbeat","cursor":"`

// message returns the next message or Close frame.
func (p *player) message(want string) string {
	p.t.Helper()
	for {
		op, payload := p.wire.Frame(p.t)
		switch {
		case op == harness.Ping:
		case op == harness.Closing && len(payload) >= 2:
			return strings.TrimSpace(fmt.Sprintf("close %d %s", int(payload[0])<<8|int(payload[1]), payload[2:]))
		case op != harness.Text:
			p.fatalf("a frame %#x has come: %q", op, payload)
		case strings.HasPrefix(payload, heartbeat) && (!strings.HasPrefix(want, heartbeat) || p.known(strings.TrimSuffix(payload[len(heartbeat):], `"}`))):
		default:
			return payload
		}
	}
}

// finishAnswer checks that an answer is over.
func (p *player) finishAnswer() {
	p.t.Helper()
	if p.body == nil {
		return
	}
	p.wire.Reread(p.t)
	if rest, err := io.ReadAll(p.body); err != nil || strings.TrimSpace(string(rest)) != "" {
		p.fatalf("at last has come %q, %v", rest, err)
	}
	p.body = nil
}

// placeholders are the names by what they begin with, and what they stand for.
var placeholders = map[string]string{
	"c":       `[0-9a-f]{24}`,
	"begin":   `[0-9a-f]{12}0{12}`,
	"other":   `[0-9a-f]{24}`,
	"id":      `[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`,
	"client":  `[0-9a-f]{32}`,
	"handle":  `[0-9a-f]{16}`,
	"time":    `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{3})?Z`,
	"ms":      `[1-9]\d*`,
	"request": `[0-9a-f]{8}-\d+`,
	"words":   `[^"]+`,
}

var placeholder = regexp.MustCompile(`<([a-z]+)\d*>`)

// match checks what has come against a line with names, and learns their
// values.
func (p *player) match(want, got string) {
	p.t.Helper()
	var pattern strings.Builder
	var names []string
	from := 0
	for _, at := range placeholder.FindAllStringSubmatchIndex(want, -1) {
		form, ok := placeholders[want[at[2]:at[3]]]
		if !ok {
			p.fatalf("what is %s?", want[at[0]:at[1]])
		}
		pattern.WriteString(regexp.QuoteMeta(want[from:at[0]]) + "(" + form + ")")
		names = append(names, want[at[0]:at[1]])
		from = at[1]
	}
	pattern.WriteString(regexp.QuoteMeta(want[from:]))
	values := regexp.MustCompile("^" + pattern.String() + "$").FindStringSubmatch(got)
	if values == nil {
		p.fatalf("got %q", got)
	}
	for i, name := range names {
		value := values[i+1]
		if known, ok := p.names[name]; ok && known != value {
			p.fatalf("%s was %s, and now is %s", name, known, value)
		}
		p.names[name] = value
	}
}

// fill puts values in the place of their names.
func (p *player) fill(line string) string {
	return placeholder.ReplaceAllStringFunc(line, func(name string) string {
		value, ok := p.names[name]
		if !ok {
			p.fatalf("nothing has told the value of %s", name)
		}
		return value
	})
}

// checkOrder checks that the cursors are in the order of their numbers, and
// that what has two names is two things.
func (p *player) checkOrder() {
	p.t.Helper()
	last := ""
	for n := 1; ; n++ {
		cursor, ok := p.names[fmt.Sprintf("<c%d>", n)]
		if !ok {
			break
		}
		if cursor <= last {
			p.t.Errorf("<c%d> is %s, after %s", n, cursor, last)
		}
		last = cursor
	}
	seen := make(map[string]string)
	for _, name := range slices.Sorted(maps.Keys(p.names)) {
		value := p.names[name]
		if other, twice := seen[value]; twice && !strings.HasPrefix(name, "<time") && !strings.HasPrefix(name, "<ms") {
			p.t.Errorf("%s and %s are both %s", other, name, value)
		}
		seen[value] = name
	}
}
