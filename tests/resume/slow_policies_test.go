package resume_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"belfry/tests/harness"
)

// What becomes of clients that read too slowly and say so by ?slow=.

func TestSlowParameter(t *testing.T) {
	t.Parallel()
	b := harness.Start(t)
	for _, c := range []struct {
		request string
		status  int
		code    string // "": it is accepted
	}{
		{harness.Opening("/ws?topic=cats&slow=close"), 101, ""},
		{harness.Opening("/ws?topic=cats&slow=latest"), 101, ""},
		{harness.Opening("/ws?topic=cats&slow="), 101, ""},
		{harness.Opening("/ws?topic=cats&slow=drop_oldest"), 400, "bad_handshake"}, // which can't be told what it has lost
		{harness.Opening("/ws?topic=cats&slow=oldest"), 400, "invalid_slow"},
		{harness.Opening("/ws?topic=cats&slow=LATEST"), 400, "invalid_slow"},
		{harness.V1Opening("/ws?topic=cats&slow=drop_oldest"), 101, ""},
		{cloudOpening("/ws?topic=cats&slow=drop_oldest"), 101, ""},
		{harness.EventRequest("/sse?topic=cats&slow=drop_oldest"), 200, ""},
		{harness.EventRequest("/sse?topic=cats&slow=latest"), 200, ""},
		{strings.Replace(harness.EventRequest("/sse?topic=cats&slow=no"), "text/event-stream", "*/*", 1), 400, "invalid_slow"},
	} {
		w := b.Socket(t, c.request)
		line, err := w.Reread(t).ReadString('\n')
		if err != nil || !strings.HasPrefix(line, fmt.Sprintf("HTTP/1.1 %d ", c.status)) {
			t.Errorf("%.60s: %q %v, want %d", c.request, line, err, c.status)
			continue
		}
		for body := ""; c.code != "" && !strings.Contains(body, `"code":"`+c.code+`"`); {
			more, err := w.Reread(t).ReadString('\n')
			if body += more; err != nil {
				t.Fatalf("%.60s: %s, want %s", c.request, body, c.code)
			}
		}
	}
	b.Socket(t, harness.V1Opening("/ws?topic=cats&slow=oldest")).RefusedV1(t, 1008, "invalid_slow: slow must be one of close, drop_oldest, latest")
	dropping := harness.Start(t, "--slow-policy=drop_oldest") // the bare protocol can't be told, and is closed as ever
	dropping.Socket(t, harness.Opening("/ws?topic=cats")).Accepted(t)
}

func cloudOpening(path string) string {
	return strings.Replace(harness.Opening(path), "\r\n", "\r\nSec-WebSocket-Protocol: cloudevents.json\r\n", 1)
}

// A told is an event at its position, or a gap, from any protocol that reports gaps.
type told struct {
	topic, data string
	cursor      string
	gap, from   string // the reason
}

// position is the number of a cursor's event in the log.
func position(t *testing.T, cursor string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(cursor[len(cursor)/2:], 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// tellers read what slow clients are told, by protocol.
var tellers = []struct {
	name   string
	opens  func(path string) string // path is that of the WebSocket
	reader func(t *testing.T, w *harness.Wire) func() told
}{
	{"belfry.v1", harness.V1Opening, func(t *testing.T, w *harness.Wire) func() told {
		w.AcceptedV1(t)
		return func() told {
			for {
				switch m := w.V1(t); m.Type {
				case "event":
					return told{topic: m.Topic, data: strings.Trim(string(m.Data), `" `), cursor: m.Cursor}
				case "gap":
					return told{gap: m.Reason, from: m.From, cursor: m.To}
				case "welcome":
				default:
					t.Fatalf("got %+v", m)
				}
			}
		}
	}},
	{"cloudevents.json", cloudOpening, func(t *testing.T, w *harness.Wire) func() told {
		skipHeader(t, w)
		return func() told {
			for {
				op, message := w.Frame(t)
				if op == harness.Ping {
					continue
				}
				var m struct {
					Type, Subject, Sequence string
					Data                    json.RawMessage
				}
				if err := json.Unmarshal([]byte(message), &m); err != nil || op != harness.Text {
					t.Fatalf("got %#x %.200q: %v", op, message, err)
				}
				if m.Type != "belfry.gap" {
					return told{topic: m.Subject, data: strings.Trim(string(m.Data), `" `), cursor: m.Sequence}
				}
				var gap struct{ From, To, Reason string }
				if err := json.Unmarshal(m.Data, &gap); err != nil {
					t.Fatal(err)
				}
				return told{gap: gap.Reason, from: gap.From, cursor: gap.To}
			}
		}
	}},
	{"sse", func(path string) string { return harness.EventRequest(strings.Replace(path, "/ws", "/sse", 1)) }, func(t *testing.T, w *harness.Wire) func() told {
		s := w.Stream(t)
		return func() told {
			ev, ok := s.Next()
			if !ok || ev.Kind == "closing" {
				t.Fatalf("got %+v", ev)
			}
			if ev.Kind != "gap" {
				return told{data: strings.TrimSpace(ev.Data), cursor: s.Parser.LastID}
			}
			var gap struct{ From, To, Reason string }
			if err := json.Unmarshal([]byte(ev.Data), &gap); err != nil {
				t.Fatal(err)
			}
			return told{gap: gap.Reason, from: gap.From, cursor: gap.To}
		}
	}},
}

func skipHeader(t *testing.T, w *harness.Wire) {
	t.Helper()
	for line := ""; line != "\r\n"; {
		var err error
		if line, err = w.Reread(t).ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDropOldest: a client that is too slow is told what was dropped, receives everything
// else in order, is not closed, and returns exactly after a gap.
func TestDropOldest(t *testing.T) {
	t.Parallel()
	for _, teller := range tellers {
		t.Run(teller.name, func(t *testing.T) {
			t.Parallel()
			b := harness.Start(t, "--history-events=100000", "--client-queue-bytes=65536", "--max-message=8192")
			const count = 300
			w := b.SocketFrom(t, harness.SmallBuffer, teller.opens("/ws?topic=cats&slow=drop_oldest"))
			next := teller.reader(t, w)
			for i := range count {
				b.Publish(t, harness.Event("cats", harness.Padded(i+1)))
				if i%20 > 0 {
					continue
				}
				if waits := b.Metric(t, "belfry_client_queue_bytes"); waits > 300_000 {
					t.Fatalf("%v bytes wait", waits)
				}
			}
			gaps, upTo, cursor := 0, int64(0), ""
			for upTo < count {
				got := next()
				at := position(t, got.cursor)
				switch {
				case got.gap == "":
					if at != upTo+1 || got.data != fmt.Sprint(at) {
						t.Fatalf("after %d comes %+v", upTo, got)
					}
				case got.gap != "dropped" || position(t, got.from) != upTo || at <= upTo:
					t.Fatalf("after %d comes %+v", upTo, got)
				default:
					gaps++
				}
				upTo, cursor = at, got.cursor
			}
			if dropped := b.Metric(t, "belfry_events_dropped_total"); gaps == 0 || dropped == 0 {
				t.Errorf("%d gaps, %v events dropped", gaps, dropped)
			}
			live := b.Publish(t, harness.Event("cats", "live"))
			if got := next(); got.data != "live" || got.cursor != live.Cursor {
				t.Errorf("at last comes %+v", got)
			}
			w.Close()
			missed := b.Publish(t, harness.Event("cats", "missed"))
			next = teller.reader(t, b.Socket(t, teller.opens("/ws?topic=cats&slow=drop_oldest&after="+cursor)))
			for _, want := range []harness.Receipt{live, missed} {
				if got := next(); got.cursor != want.Cursor || got.gap != "" {
					t.Errorf("back after %s comes %+v", cursor, got)
				}
			}
		})
	}
}

// TestLatest: a client that wants only the newest events receives newer and newer ones of
// each topic, at last the newest. It is never closed, however slow it is, and little waits
// for it.
func TestLatest(t *testing.T) {
	t.Parallel()
	for _, teller := range tellers {
		t.Run(teller.name, func(t *testing.T) {
			t.Parallel()
			const topics, rounds = 20, 40
			b := harness.Start(t, harness.SlowFlags...)
			w := b.SocketFrom(t, harness.SmallBuffer, teller.opens("/ws?topic=t.*&slow=latest"))
			next := teller.reader(t, w)
			for round := range rounds {
				for i := range topics {
					// A topic's value tells the topic, for SSE does not.
					b.Publish(t, harness.Event(fmt.Sprint("t.", i), harness.Padded(round*topics+i)))
				}
				if waits := b.Metric(t, "belfry_client_queue_bytes"); waits > 100_000 {
					t.Fatalf("%v bytes wait", waits)
				}
			}
			seen, had := make(map[int]int), 0
			for fresh := 0; fresh < topics; had++ {
				got := next()
				n, err := strconv.Atoi(got.data)
				if err != nil || got.gap != "" {
					t.Fatalf("got %+v", got)
				}
				topic, round := n%topics, n/topics
				if before, ok := seen[topic]; ok && round <= before {
					t.Fatalf("topic %d: after value %d comes %d", topic, before, round)
				}
				if seen[topic] = round; round == rounds-1 {
					fresh++
				}
			}
			if had >= topics*rounds/2 {
				t.Errorf("of %d events it had %d", topics*rounds, had)
			}
			harness.Eventually(t, "it is live", func() bool { return strings.Contains(b.Call(t, "GET", "/clients", "").Body, `"state":"live"`) })
			live := b.Publish(t, harness.Event("t.0", "live"))
			if got := next(); got.data != "live" || got.cursor != live.Cursor {
				t.Errorf("at last comes %+v", got)
			}
		})
	}
}
