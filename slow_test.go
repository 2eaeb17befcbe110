package main

import (
	"bufio"
	"encoding/json"
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

var slowFlags = []string{"--history-events=100000", "--client-queue-bytes=262144"}

// flood publishes numbers to cats until a client is closed for being slow, and
// returns the last one.
func (b *testBroker) flood(t *testing.T) (published int) {
	t.Helper()
	for b.metric(t, `belfry_disconnects_total{reason="slow_consumer"}`) == 0 {
		for range 10 {
			published++
			b.publish(t, event("cats", padded(published)))
		}
		if waits := b.metric(t, "belfry_client_queue_bytes"); waits > 300000 {
			t.Fatalf("%v bytes wait", waits)
		}
		if published > 10000 {
			t.Fatal("the client that does not read is not closed")
		}
	}
	return published
}

// number checks that a padded number is the next one.
func number(t *testing.T, message string, last int) int {
	t.Helper()
	got, err := strconv.Atoi(strings.TrimLeft(message, " "))
	if err != nil || got != last+1 {
		t.Fatalf("behind %d comes %q", last, message)
	}
	return got
}

func TestSlowV1(t *testing.T) {
	t.Parallel()
	b := start(t, slowFlags...)
	w := b.socketFrom(t, smallBuffer, v1Opening("/ws?topic=cats"))
	w.acceptedV1(t)
	published := b.flood(t)
	last, cursor, again := 0, "", 0
	for again == 0 {
		m := w.v1(t)
		switch m.Type {
		case "event":
			var text string
			if err := json.Unmarshal(m.Data, &text); err != nil {
				t.Fatal(err)
			}
			last = number(t, text, last)
		case "closing":
			if again = m.ReconnectAfterMS; m.Reason != "slow_consumer" {
				t.Errorf("the reason is %q", m.Reason)
			}
		}
		if m.Cursor != "" {
			cursor = m.Cursor
		}
	}
	w.closed(t, 4100, "slow_consumer")
	if last == 0 || last == published {
		t.Errorf("of %d events the slow client had %d", published, last)
	}
	w = b.wireV1(t, "/ws?topic=cats&after="+cursor)
	for last < published {
		var text string
		if err := json.Unmarshal(w.v1(t).Data, &text); err != nil {
			t.Fatal(err)
		}
		last = number(t, text, last)
	}
	w.send(t, say(`{"op":"ping"}`))
	if m := w.v1(t); m.Type != "pong" {
		t.Errorf("at last came %+v", m)
	}
}

// TestSilentV1: who does not answer pings is told to come back, and from where.
func TestSilentV1(t *testing.T) {
	t.Parallel()
	b := start(t, "--ping-interval=50ms", "--pong-timeout="+shortTime.String())
	w := b.wireV1(t, "/ws?topic=cats")
	at := b.publish(t, event("cats", "one")).Cursor
	if m := w.v1(t); m.Cursor != at {
		t.Errorf("got %+v", m)
	}
	at = b.publish(t, event("dogs", "not asked for")).Cursor
	if m := w.v1(t); m.Type != "closing" || m.Reason != "pong_timeout" || m.Cursor != at || m.ReconnectAfterMS < 1000 {
		t.Errorf("got %+v, want to be told to come back behind %s", m, at)
	}
	w.closed(t, 4101, "pong_timeout")
}

// TestHeartbeatsBesidePings: a page sees neither pings nor pongs, so a line that
// has nothing else has heartbeats.
func TestHeartbeatsBesidePings(t *testing.T) {
	t.Parallel()
	b := start(t, "--heartbeat=100ms", "--ping-interval=10ms", "--max-control-rate=100000")
	w := b.wireV1(t, "/ws?topic=cats")
	at := b.publish(t, event("dogs", "not asked for")).Cursor
	for {
		w.send(t, masked(final|ping, ""))
		switch op, message := w.frame(t); {
		case op == closing:
			t.Fatalf("there was no heartbeat: %q", message)
		case op == text && strings.Contains(message, "heartbeat") && strings.Contains(message, at):
			return
		}
	}
}

// TestManyReplays: replays that wait are as few as subscriptions may be, also
// for a client that reads quickly.
func TestManyReplays(t *testing.T) {
	t.Parallel()
	const limit, count = 4, 1000
	b := start(t, "--history-events=1000", fmt.Sprint("--max-subscriptions=", limit))
	begin := beginning(b.publish(t, event("cats", "purr")).Cursor)
	for range 200 {
		b.publish(t, event("cats", "purr"))
	}
	w := b.wireV1(t, "/ws")
	var subscribe strings.Builder
	for range count {
		subscribe.WriteString(say(`{"op":"subscribe","topics":["cats"],"after":"` + begin + `"}`))
	}
	go func() { _, _ = io.WriteString(w, subscribe.String()+say(`{"op":"ping"}`)) }() // or the answers lack
	acks, lives, refusals := 0, 0, 0
	for pong := false; !pong || lives < acks; {
		switch m := w.v1(t); {
		case m.Type == "ack":
			acks++
		case m.Type == "live":
			lives++
		case m.Type == "pong":
			pong = true
		case m.Type == "error" && m.Code == "too_many_replays":
			refusals++
		case m.Type != "event" || !m.Replay:
			t.Fatalf("got %+v", m)
		}
		if acks-lives > limit {
			t.Fatalf("%d replays wait", acks-lives)
		}
	}
	if acks+refusals != count || refusals == 0 || acks < limit {
		t.Errorf("of %d there were %d done and %d refused", count, acks, refusals)
	}
	w.send(t, say(`{"op":"subscribe","topics":["cats"],"last":1}`))
	for _, want := range []string{"ack", "event", "live"} {
		if m := w.v1(t); m.Type != want {
			t.Errorf("at last came %+v, want %s", m, want)
		}
	}
}

// A stream is a stream of server-sent events that is read.
type stream struct {
	t      *testing.T
	reader *bufio.Reader
	parser eventParser
	bound  func() (over func()) // gives what is read meanwhile as long as patience is
}

// stream opens one over a connection of its own.
func (b *testBroker) stream(t *testing.T, target string, header ...string) *stream {
	t.Helper()
	return b.socket(t, eventRequest(target, header...)).stream(t)
}

// eventStream is the type of a stream's answer.
const eventStream = "text/event-stream; charset=utf-8"

func eventRequest(target string, header ...string) string {
	return "GET " + target + " HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n" + strings.Join(append(header, "\r\n"), "\r\n")
}

// stream reads the answer's header.
func (w *wire) stream(t *testing.T) *stream {
	t.Helper()
	res, err := http.ReadResponse(w.reader(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := res.Header.Get("Content-Type"); res.StatusCode != http.StatusOK || got != eventStream {
		t.Fatalf("the request was answered %s %v", res.Status, res.Header)
	}
	return &stream{t: t, reader: bufio.NewReader(res.Body), bound: func() func() { w.reader(t); return func() {} }}
}

// next returns the next event, but the welcome; ok is false at the end.
func (s *stream) next() (ev parsedEvent, ok bool) {
	s.t.Helper()
	defer s.bound()()
	for {
		c, err := s.reader.ReadByte()
		if err == io.EOF {
			return ev, false
		}
		if err != nil {
			s.t.Fatalf("the stream was cut off: %v", err)
		}
		if ev, ok := s.parser.take(c); ok && ev.kind != "welcome" {
			return ev, true
		}
	}
}

// expect checks the next event.
func (s *stream) expect(kind, data string) {
	s.t.Helper()
	if ev, ok := s.next(); !ok || ev.kind != kind || ev.data != data {
		s.t.Fatalf("got %.300v, %t, want %s %.100q", ev, ok, kind, data)
	}
}

func TestSlowEventStream(t *testing.T) {
	t.Parallel()
	b := start(t, slowFlags...)
	by := b.connect(t, b.register(t, `{"user_id": "bystander"}`))
	slow := b.socketFrom(t, smallBuffer, eventRequest("/sse?topic=cats"))
	published := b.flood(t)
	for i := range published {
		by.expect(t, padded(i+1))
	}
	s, last := slow.stream(t), 0
	for {
		ev, ok := s.next()
		if !ok {
			t.Fatal("the stream ended without a farewell")
		}
		if ev.kind == "closing" {
			if !strings.HasPrefix(ev.data, `{"reason":"slow_consumer","reconnect_after_ms":`) {
				t.Errorf("the farewell is %s", ev.data)
			}
			break
		}
		last = number(t, ev.data, last)
	}
	if ev, ok := s.next(); ok {
		t.Errorf("behind the farewell comes %+v", ev)
	}
	if last == 0 || last == published {
		t.Errorf("of %d events the slow client had %d", published, last)
	}
	s = b.stream(t, "/sse?topic=cats", "Last-Event-ID: "+s.parser.lastID)
	for last < published {
		ev, _ := s.next()
		last = number(t, ev.data, last)
	}
	b.publish(t, event("cats", "live"))
	s.expect("message", "live")
}

// TestDeafEventStream: who reads nothing at all is cut off after the time that
// it has to read its farewell.
func TestDeafEventStream(t *testing.T) {
	t.Parallel()
	b := start(t, append(slowFlags, "--close-timeout=10ms")...)
	deaf := b.socketFrom(t, smallBuffer, eventRequest("/sse?topic=cats"))
	b.flood(t)
	eventually(t, "it is cut off", func() bool { return b.metric(t, "belfry_connections") == 0 })
	if waits := b.metric(t, "belfry_client_queue_bytes"); waits != 0 {
		t.Errorf("%v bytes wait", waits)
	}
	if _, err := io.Copy(io.Discard, deaf.reader(t)); err == nil {
		t.Error("the client that read nothing was closed in order")
	}
}

// An eventParser parses a stream of server-sent events as section 9.2.6 of the
// HTML standard says, a byte after the other.
type eventParser struct {
	lastID string
	retry  string

	begun   bool // the first line is over
	afterCR bool
	line    []byte
	data    strings.Builder
	kind    string
	id      string // the buffer
}

type parsedEvent struct{ kind, data, id string }

// take takes a byte, and returns the event that it completes.
func (p *eventParser) take(c byte) (ev parsedEvent, ok bool) {
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
		p.retry = value
	}
	return ev, false
}

func (p *eventParser) dispatch() (ev parsedEvent, ok bool) {
	defer func() {
		p.data.Reset()
		p.kind = ""
	}()
	p.lastID = p.id
	if p.data.Len() == 0 {
		return ev, false
	}
	ev = parsedEvent{p.kind, strings.TrimSuffix(p.data.String(), "\n"), p.lastID}
	if ev.kind == "" {
		ev.kind = "message"
	}
	return ev, true
}

func (ev parsedEvent) String() string { return fmt.Sprintf("%s %q, id %s", ev.kind, ev.data, ev.id) }
