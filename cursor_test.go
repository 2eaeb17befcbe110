package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Cursors mean the same on every transport.

// A reading connects to the topics cats and dogs.>, with a query besides, and
// returns what has come up to an event with the text end, which is published
// when it is connected.
type reading func(t *testing.T, query, end string) []string

// readings are those by each transport, for a registered user or "".
func (b *testBroker) readings(user string) map[string]reading {
	connect := func(t *testing.T, kind string) string {
		t.Helper()
		if user == "" {
			return "/" + kind + "?topic=cats&topic=dogs.%3E&"
		}
		return "/" + kind + "/" + b.register(t, `{"user_id": "`+user+`", "topics": ["cats", "dogs.>"]}`).ClientID + "?"
	}
	return map[string]reading{
		"bare": func(t *testing.T, query, end string) (got []string) {
			w := b.socket(t, opening(connect(t, "ws")+query))
			w.accepted(t)
			b.publish(t, event("dogs.x", end))
			for len(got) == 0 || got[len(got)-1] != end {
				op, message := w.frame(t)
				if op == closing {
					return append(got, fmt.Sprint("closed ", message[2:]))
				}
				got = append(got, message)
			}
			return got
		},
		"belfry.v1": func(t *testing.T, query, end string) (got []string) {
			w := b.wireV1(t, connect(t, "ws")+query)
			b.publish(t, event("dogs.x", end))
			for len(got) == 0 || got[len(got)-1] != end {
				m := w.v1(t)
				var text string
				if m.Type == "event" {
					_ = json.Unmarshal(m.Data, &text) // of another kind it is not the end
				} else {
					text = m.Type + " " + m.Reason + " " + strings.Join(m.Topics, " ") + " " + m.From + " " + m.To
				}
				got = append(got, text)
			}
			return got
		},
		"server-sent events": func(t *testing.T, query, end string) (got []string) {
			s := b.stream(t, connect(t, "sse")+query)
			b.publish(t, event("dogs.x", end))
			for len(got) == 0 || got[len(got)-1] != end {
				ev, ok := s.next()
				if !ok {
					return append(got, "end")
				}
				if ev.kind == "gap" {
					var m v1Message
					if err := json.Unmarshal([]byte(ev.data), &m); err != nil {
						t.Fatal(err)
					}
					ev.data = "gap " + m.Reason + " " + strings.Join(m.Topics, " ") + " " + m.From + " " + m.To
				}
				got = append(got, ev.data)
			}
			return got
		},
	}
}

// TestCursorsEverywhere: whatever transport told a cursor, behind it there is
// the same on each.
func TestCursorsEverywhere(t *testing.T) {
	t.Parallel()
	for _, user := range []string{"", "1"} {
		for name := range (*testBroker)(nil).readings(user) {
			t.Run(name+", user "+user, func(t *testing.T) {
				t.Parallel()
				b := start(t)
				read := b.readings(user)[name]
				var texts, cursors []string
				say := func(body, text string, visible bool) {
					cursors = append(cursors, b.publish(t, body).Cursor)
					if visible {
						texts = append(texts, text)
					} else {
						texts = append(texts, "")
					}
				}
				for i := range 5 {
					say(event("cats", fmt.Sprint("cat ", i)), fmt.Sprint("cat ", i), true)
					say(event("birds", "not asked for"), "", false)
					say(event(fmt.Sprintf("dogs.%d", i), fmt.Sprint("dog ", i)), fmt.Sprint("dog ", i), true)
					say(`{"topic": "cats", "user_id": 1, "message": "for one"}`, "for one", user != "")
					say(`{"topic": "dogs.x", "user_id": 2, "message": "for another"}`, "", false)
				}
				for i, cursor := range append([]string{beginning(cursors[0])}, cursors...) {
					want := slices.DeleteFunc(slices.Clone(texts[i:]), func(s string) bool { return s == "" })
					for _, query := range []string{"after=" + cursor, "last_event_id=" + cursor + "&after=nonsense&last=1"} {
						end := query[:5] + cursor
						texts, want = append(texts, end), append(want, end)
						if got := read(t, query, end); !slices.Equal(got, want) {
							t.Fatalf("%s (%d): got %q, want %q", query, i, got, want)
						}
					}
				}
			})
		}
	}
}

// TestLastEverywhere: the newest of each topic, which for a pattern is each
// topic that it covers.
func TestLastEverywhere(t *testing.T) {
	t.Parallel()
	for name := range (*testBroker)(nil).readings("") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, test := range []struct{ query, want string }{
				{"", ""},
				{"last=1", "dog.b2 dog.a3 cat4"},
				{"last=2", "dog.b0 dog.a1 dog.b2 cat3 dog.a3 cat4"},
				{"last=3", "dog.b0 dog.a1 cat2 dog.b2 cat3 dog.a3 cat4"},
				{"last=1000", "cat0 dog.b0 cat1 dog.a1 cat2 dog.b2 cat3 dog.a3 cat4"},
				{"last=1&after=", "dog.b2 dog.a3 cat4"},
			} {
				b := start(t)
				for i := range 5 {
					b.publish(t, event("cats", fmt.Sprint("cat", i)))
					b.publish(t, `{"topic": "cats", "user_id": 2, "message": "for another"}`)
					if i < 4 {
						dog := string("ba"[i%2])
						b.publish(t, event("dogs."+dog, fmt.Sprintf("dog.%s%d", dog, i)))
					}
				}
				want := append(strings.Fields(test.want), "live")
				if got := b.readings("")[name](t, test.query, "live"); !slices.Equal(got, want) {
					t.Errorf("%s: got %q, want %q", test.query, got, want)
				}
			}
		})
	}
}

// TestOddCursors: what is no cursor of this log is one of a log that is gone.
func TestOddCursors(t *testing.T) {
	t.Parallel()
	const zeros = "000000000000000000000000"
	b := start(t)
	at := b.publish(t, event("cats", "one")).Cursor
	future := at[:12] + "ffffffffffff"
	head := func() string { return b.publish(t, event("birds", "")).Cursor }
	for _, test := range []struct {
		after, from string
		retained    bool // is what follows
	}{
		{"now", zeros, true},
		{"0", zeros, true},
		{zeros, zeros, true},
		{"A" + at[1:], zeros, true}, // lower case it is
		{"%22%0d%0aX", zeros, true},
		{strings.Repeat("0", 5000), zeros, true},
		{"ffffffffffffffffffffffff", "ffffffffffffffffffffffff", true},
		{future, future, false},
	} {
		for name, read := range b.readings("") {
			to := beginning(at)
			if !test.retained {
				to = head()
			}
			got := read(t, "after="+test.after, name+test.after)
			switch {
			case name == "bare":
				if !slices.Equal(got, []string{"closed gap"}) {
					t.Errorf("%.30s: got %q, want the end for a gap", test.after, got)
				}
			case got[0] != "gap restarted cats dogs.> "+test.from+" "+to || (got[1] == "one") != test.retained || got[len(got)-1] != name+test.after:
				t.Errorf("%.30s, %s: got %q, want a gap from %s to %s", test.after, name, got, test.from, to)
			}
		}
	}
}

// TestStreamTakeover: pages that share the URL of a stream do not fight for
// ever: the sixth to take over is told to stop, and the fifth goes on.
func TestStreamTakeover(t *testing.T) {
	t.Parallel()
	b := start(t)
	r := b.register(t, `{"user_id": 1}`)
	s := b.stream(t, "/sse/"+r.ClientID)
	for range 5 {
		next := b.stream(t, "/sse/"+r.ClientID)
		s.closing("replaced", false)
		b.publish(t, event("cats", "purr"))
		next.expect("message", "purr")
		s = next
	}
	if got := b.call(t, "GET", "/sse/"+r.ClientID, "", "Accept", "text/event-stream"); got.status != 204 || got.body != "" {
		t.Errorf("the sixth got %d %s", got.status, got.body)
	}
	b.socket(t, v1Opening(r.Path)).refusedV1(t, 4002, "takeover_limit")
	b.publish(t, event("cats", "still here"))
	s.expect("message", "still here")
}

// TestReplayCutShort: a client that is cut in the middle of a replay is not
// subscribed to what was new in it, and begins again where it did.
func TestReplayCutShort(t *testing.T) {
	t.Parallel()
	b := start(t, "--history-events=1000")
	r := b.register(t, `{"user_id": 1, "topics": ["cats"]}`)
	const many = 200
	first := ""
	for i := range many {
		if got := b.publish(t, event("n", padded(i+1))); i == 0 {
			first = beginning(got.Cursor)
		}
	}
	w := b.socketFrom(t, smallBuffer, v1Opening(r.Path))
	w.acceptedV1(t)
	at := w.v1(t).Cursor
	subscribe := say(`{"op":"subscribe","topics":["n"],"after":"` + first + `","ref":1}`)
	w.send(t, subscribe)
	for _, want := range []string{"ack", "event", "event"} {
		if m := w.v1(t); m.Type != want || m.Type == "event" && (!m.Replay || m.Cursor != "") {
			t.Fatalf("got %+v, want %s", m, want)
		}
	}
	b.publish(t, event("cats", "behind the replay"))
	w.reset(t)
	b.away(t)

	w = b.socket(t, v1Opening(r.Path+"?after="+at))
	w.acceptedV1(t)
	if m := w.v1(t); !slices.Equal(m.Topics, []string{"cats"}) {
		t.Errorf("it is subscribed to %q", m.Topics)
	}
	if m := w.v1(t); string(m.Data) != `"behind the replay"` {
		t.Errorf("got %+v", m)
	}
	w.send(t, subscribe)
	if m := w.v1(t); m.Type != "ack" {
		t.Errorf("got %+v", m)
	}
	b.publish(t, event("cats", "live"))
	for last := 0; last < many; {
		var text string
		if err := json.Unmarshal(w.v1(t).Data, &text); err != nil {
			t.Fatal(err)
		}
		last = number(t, text, last)
	}
	if m := w.v1(t); m.Type != "live" {
		t.Errorf("got %+v", m)
	}
	if m := w.v1(t); string(m.Data) != `"live"` || m.Replay {
		t.Errorf("got %+v", m)
	}
}

// TestSubscribeNoHole: while numbers are published as fast as can be, a client
// subscribes with a replay, unsubscribes, is cut and comes back, in any order.
// Of the topics that it has it gets every number, once, in order.
func TestSubscribeNoHole(t *testing.T) {
	t.Parallel()
	for _, list := range [][]string{{"n.0", "n.1", "n.2"}, {"n.*", "n.1", "n.>"}} {
		t.Run(list[0], func(t *testing.T) {
			t.Parallel()
			b := start(t, "--history-events=100000", "--heartbeat=10ms")
			r := b.register(t, `{"user_id": 1, "topics": ["`+list[0]+`"]}`)
			c := &subscriber{t: t, b: b, random: rand.New(rand.NewPCG(1, 2)), path: r.Path, topics: list[:1]}
			c.begin = beginning(b.publish(t, event("zero", "")).Cursor)
			c.wire = b.wireV1(t, r.Path)
			s := b.publishNumbers(t)
			for range 40 {
				c.read(c.random.IntN(20))
				switch c.random.IntN(4) {
				case 0:
					c.cut()
				case 1:
					c.replayed(list[c.random.IntN(3)])
				default:
					s.wait(c.random.IntN(20))
				}
			}
		})
	}
}

// A subscriber is a client of belfry.v1 that gets the numbers of a source.
type subscriber struct {
	t      *testing.T
	b      *testBroker
	random *rand.Rand
	path   string
	begin  string // the cursor of the beginning
	*wire
	topics []string
	cursor string
	last   int // that has come live
}

// covers reports whether a subscription covers a number's topic.
func covers(topic string, n int) bool {
	return strings.ContainsAny(topic, "*>") || topic == fmt.Sprint("n.", n%3)
}

// after returns the next number behind n that the topics cover.
func after(topics []string, n int) int {
	for n++; !slices.ContainsFunc(topics, func(topic string) bool { return covers(topic, n) }); n++ {
	}
	return n
}

func (c *subscriber) message() v1Message {
	c.t.Helper()
	m := c.v1(c.t)
	if m.Cursor != "" {
		if m.Cursor < c.cursor {
			c.t.Fatalf("behind %s comes %+v", c.cursor, m)
		}
		c.cursor = m.Cursor
	}
	return m
}

func valueOf(m v1Message) int {
	n, _ := strconv.Atoi(strings.Trim(string(m.Data), `"`)) // what is no number is not the next
	return n
}

// take checks that a message is the next number.
func (c *subscriber) take(m v1Message) {
	c.t.Helper()
	n := valueOf(m)
	if want := after(c.topics, c.last); m.Type != "event" || m.Replay || n != want && c.last > 0 {
		c.t.Fatalf("behind %d comes %+v, want %d", c.last, m, want)
	}
	c.last = n
}

func (c *subscriber) read(count int) {
	c.t.Helper()
	for range count {
		c.take(c.message())
	}
}

// cut has the line break, and comes back.
func (c *subscriber) cut() {
	c.t.Helper()
	c.reset(c.t)
	c.b.away(c.t)
	c.wire = c.b.socket(c.t, v1Opening(c.path+"?after="+c.cursor))
	c.acceptedV1(c.t)
	if m := c.message(); m.Type != "welcome" || !slices.Equal(m.Topics, c.topics) || m.Cursor != c.cursor {
		c.t.Fatalf("came back to %+v, want %q from %s", m, c.topics, c.cursor)
	}
}

// replayed subscribes to a topic with all that there is of it, and checks that
// this is everything up to the ack.
func (c *subscriber) replayed(topic string) {
	c.t.Helper()
	c.send(c.t, say(`{"op":"subscribe","topics":["`+topic+`"],"after":"`+c.begin+`","ref":1}`))
	m := c.message()
	for ; m.Type == "event"; m = c.message() {
		c.take(m)
	}
	if m.Type != "ack" {
		c.t.Fatalf("got %+v, want an ack", m)
	}
	last := 0
	for m = c.message(); m.Type == "event"; m = c.message() {
		if n := valueOf(m); !m.Replay || m.Cursor != "" || n != after([]string{topic}, last) {
			c.t.Fatalf("of the replay of %s behind %d comes %+v", topic, last, m)
		} else {
			last = n
		}
	}
	if m.Type != "live" {
		c.t.Fatalf("got %+v, want the end of the replay", m)
	}
	if !slices.Contains(c.topics, topic) {
		c.topics = append(slices.Clone(c.topics), topic)
	}
	// What comes next is behind all that has come.
	c.last = max(c.last, last)
}
