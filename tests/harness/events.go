package harness

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// Clients of belfry.v1 and of server-sent events that read too slowly are
// closed when more waits for them than may. They come back with the last cursor
// that they were told, and have everything, once, in order.

var SlowFlags = []string{"--history-events=100000", "--client-queue-bytes=262144"}

// Flood publishes numbers to cats until a client is closed for being slow, and
// returns the last one.
func (b *Broker) Flood(t *testing.T) (published int) {
	t.Helper()
	for b.Metric(t, `belfry_disconnects_total{reason="slow_consumer"}`) == 0 {
		for range 10 {
			published++
			b.Publish(t, Event("cats", Padded(published)))
		}
		if waits := b.Metric(t, "belfry_client_queue_bytes"); waits > 300000 {
			t.Fatalf("%v bytes wait", waits)
		}
		if published > 10000 {
			t.Fatal("the client that does not read is not closed")
		}
	}
	return published
}

// Number checks that a padded number is the next one.
func Number(t *testing.T, message string, last int) int {
	t.Helper()
	got, err := strconv.Atoi(strings.TrimLeft(message, " "))
	if err != nil || got != last+1 {
		t.Fatalf("after %d comes %q", last, message)
	}
	return got
}

// A Stream is a stream of server-sent events that is read.
type Stream struct {
	t      *testing.T
	Reread *bufio.Reader
	Parser eventParser
	bound  func() (over func()) // gives what is read meanwhile as long as patience is
}

// Stream opens one over a connection of its own.
func (b *Broker) Stream(t *testing.T, target string, header ...string) *Stream {
	t.Helper()
	return b.Socket(t, EventRequest(target, header...)).Stream(t)
}

// EventStream is the type of a stream's answer.
const EventStream = "text/event-stream; charset=utf-8"

func EventRequest(target string, header ...string) string {
	return "GET " + target + " HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n" + strings.Join(append(header, "\r\n"), "\r\n")
}

// Stream reads the answer's header.
func (w *Wire) Stream(t *testing.T) *Stream {
	t.Helper()
	res, err := http.ReadResponse(w.Reread(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := res.Header.Get("Content-Type"); res.StatusCode != http.StatusOK || got != EventStream {
		t.Fatalf("the request was answered %s %v", res.Status, res.Header)
	}
	return &Stream{t: t, Reread: bufio.NewReader(res.Body), bound: func() func() { w.Reread(t); return func() {} }}
}

// Next returns the next event, but the welcome; ok is false at the end.
func (s *Stream) Next() (ev ParsedEvent, ok bool) {
	s.t.Helper()
	defer s.bound()()
	for {
		c, err := s.Reread.ReadByte()
		if err == io.EOF {
			return ev, false
		}
		if err != nil {
			s.t.Fatalf("the stream was cut off: %v", err)
		}
		if ev, ok := s.Parser.take(c); ok && ev.Kind != "welcome" {
			return ev, true
		}
	}
}

// Expect checks the next event.
func (s *Stream) Expect(kind, data string) {
	s.t.Helper()
	if ev, ok := s.Next(); !ok || ev.Kind != kind || ev.Data != data {
		s.t.Fatalf("got %.300v, %t, want %s %.100q", ev, ok, kind, data)
	}
}

// An eventParser parses a stream of server-sent events as section 9.2.6 of the
// HTML standard says, a byte after the other.
type eventParser struct {
	LastID string
	Retry  string

	begun   bool // the first line is over
	afterCR bool
	line    []byte
	data    strings.Builder
	kind    string
	id      string // the buffer
}

type ParsedEvent struct{ Kind, Data, ID string }

// take takes a byte, and returns the event that it completes.
func (p *eventParser) take(c byte) (ev ParsedEvent, ok bool) {
	if p.afterCR && c == '\n' {
		p.afterCR = false
		return ev, false
	}
	p.afterCR = c == '\r'
	if c != '\r' && c != '\n' {
		p.line = append(p.line, c)
		return ev, false
	}
	line := string(p.line)
	p.line = p.line[:0]
	if !p.begun {
		line, p.begun = strings.TrimPrefix(line, "\ufeff"), true
	}
	if line == "" {
		return p.dispatch()
	}
	name, value, _ := strings.Cut(line, ":") // a comment has an empty name
	value = strings.TrimPrefix(value, " ")
	switch name {
	case "event":
		p.kind = value
	case "data":
		p.data.WriteString(value + "\n")
	case "id":
		if !strings.Contains(value, "\x00") {
			p.id = value
		}
	case "retry":
		p.Retry = value
	}
	return ev, false
}

func (p *eventParser) dispatch() (ev ParsedEvent, ok bool) {
	defer func() {
		p.data.Reset()
		p.kind = ""
	}()
	p.LastID = p.id
	if p.data.Len() == 0 {
		return ev, false
	}
	ev = ParsedEvent{p.kind, strings.TrimSuffix(p.data.String(), "\n"), p.LastID}
	if ev.Kind == "" {
		ev.Kind = "message"
	}
	return ev, true
}

func (ev ParsedEvent) String() string { return fmt.Sprintf("%s %q, id %s", ev.Kind, ev.Data, ev.ID) }

// Closing checks that the stream says farewell, for that reason, and ends.
func (s *Stream) Closing(reason string, again bool) {
	s.t.Helper()
	ev, ok := s.Next()
	if !ok || ev.Kind != "closing" || !strings.HasPrefix(ev.Data, `{"reason":"`+reason+`"`) ||
		strings.Contains(ev.Data, `"reconnect_after_ms":`) != again {
		s.t.Errorf("got %s, %t, want the farewell %s", ev, ok, reason)
	}
	if ev, ok := s.Next(); ok {
		s.t.Errorf("after the farewell comes %s", ev)
	}
}
