package protocol_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"belfry/tests/harness"
)

// Cursors mean the same on every transport.

// A reading connects to the topics cats and dogs.>, with a further query. It returns what
// comes up to an event with the text end, which is published when it is connected.
type reading func(t *testing.T, query, end string) []string

// readings are those by each transport, for a registered user or "".
func readings(b *harness.Broker, user string) map[string]reading {
	connect := func(t *testing.T, kind string) string {
		t.Helper()
		if user == "" {
			return "/" + kind + "?topic=cats&topic=dogs.%3E&"
		}
		return "/" + kind + "/" + b.Register(t, `{"user_id": "`+user+`", "topics": ["cats", "dogs.>"]}`).ClientID + "?"
	}
	return map[string]reading{
		"bare": func(t *testing.T, query, end string) (got []string) {
			w := b.Socket(t, harness.Opening(connect(t, "ws")+query))
			w.Accepted(t)
			b.Publish(t, harness.Event("dogs.x", end))
			for len(got) == 0 || got[len(got)-1] != end {
				op, message := w.Frame(t)
				if op == harness.Closing {
					return append(got, fmt.Sprint("closed ", message[2:]))
				}
				got = append(got, message)
			}
			return got
		},
		"belfry.v1": func(t *testing.T, query, end string) (got []string) {
			w := b.WireV1(t, connect(t, "ws")+query)
			b.Publish(t, harness.Event("dogs.x", end))
			for len(got) == 0 || got[len(got)-1] != end {
				m := w.V1(t)
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
			s := b.Stream(t, connect(t, "sse")+query)
			b.Publish(t, harness.Event("dogs.x", end))
			for len(got) == 0 || got[len(got)-1] != end {
				ev, ok := s.Next()
				if !ok {
					return append(got, "end")
				}
				if ev.Kind == "gap" {
					var m harness.V1Message
					if err := json.Unmarshal([]byte(ev.Data), &m); err != nil {
						t.Fatal(err)
					}
					ev.Data = "gap " + m.Reason + " " + strings.Join(m.Topics, " ") + " " + m.From + " " + m.To
				}
				got = append(got, ev.Data)
			}
			return got
		},
	}
}

// TestCursorsEverywhere: a cursor from any transport works on each, and the same events
// follow it.
func TestCursorsEverywhere(t *testing.T) {
	t.Parallel()
	for _, user := range []string{"", "1"} {
		for name := range readings((*harness.Broker)(nil), user) {
			t.Run(name+", user "+user, func(t *testing.T) {
				t.Parallel()
				b := harness.Start(t)
				read := readings(b, user)[name]
				var texts, cursors []string
				say := func(body, text string, visible bool) {
					cursors = append(cursors, b.Publish(t, body).Cursor)
					if visible {
						texts = append(texts, text)
					} else {
						texts = append(texts, "")
					}
				}
				for i := range 5 {
					say(harness.Event("cats", fmt.Sprint("cat ", i)), fmt.Sprint("cat ", i), true)
					say(harness.Event("birds", "not asked for"), "", false)
					say(harness.Event(fmt.Sprintf("dogs.%d", i), fmt.Sprint("dog ", i)), fmt.Sprint("dog ", i), true)
					say(`{"topic": "cats", "user_id": 1, "message": "for one"}`, "for one", user != "")
					say(`{"topic": "dogs.x", "user_id": 2, "message": "for another"}`, "", false)
				}
				for i, cursor := range append([]string{harness.Beginning(cursors[0])}, cursors...) {
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
	for name := range readings((*harness.Broker)(nil), "") {
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
				b := harness.Start(t)
				for i := range 5 {
					b.Publish(t, harness.Event("cats", fmt.Sprint("cat", i)))
					b.Publish(t, `{"topic": "cats", "user_id": 2, "message": "for another"}`)
					if i < 4 {
						dog := string("ba"[i%2])
						b.Publish(t, harness.Event("dogs."+dog, fmt.Sprintf("dog.%s%d", dog, i)))
					}
				}
				want := append(strings.Fields(test.want), "live")
				if got := readings(b, "")[name](t, test.query, "live"); !slices.Equal(got, want) {
					t.Errorf("%s: got %q, want %q", test.query, got, want)
				}
			}
		})
	}
}

// TestOddCursors: a text that is not a cursor of this log counts as one of a lost log.
func TestOddCursors(t *testing.T) {
	t.Parallel()
	const zeros = "000000000000000000000000"
	b := harness.Start(t)
	at := b.Publish(t, harness.Event("cats", "one")).Cursor
	future := at[:12] + "ffffffffffff"
	head := func() string { return b.Publish(t, harness.Event("birds", "")).Cursor }
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
		for name, read := range readings(b, "") {
			to := harness.Beginning(at)
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
	b := harness.Start(t)
	r := b.Register(t, `{"user_id": 1}`)
	s := b.Stream(t, "/sse/"+r.ClientID)
	for range 5 {
		next := b.Stream(t, "/sse/"+r.ClientID)
		s.Closing("replaced", false)
		b.Publish(t, harness.Event("cats", "purr"))
		next.Expect("message", "purr")
		s = next
	}
	if got := b.Call(t, "GET", "/sse/"+r.ClientID, "", "Accept", "text/event-stream"); got.Status != 204 || got.Body != "" {
		t.Errorf("the sixth got %d %s", got.Status, got.Body)
	}
	b.Socket(t, harness.V1Opening(r.Path)).RefusedV1(t, 4002, "takeover_limit")
	b.Publish(t, harness.Event("cats", "still here"))
	s.Expect("message", "still here")
}

// TestReplayCutShort: a client that is cut in the middle of a replay is not
// subscribed to what was new in it, and begins again where it did.
func TestReplayCutShort(t *testing.T) {
	t.Parallel()
	b := harness.Start(t, "--history-events=1000")
	r := b.Register(t, `{"user_id": 1, "topics": ["cats"]}`)
	const many = 200
	first := ""
	for i := range many {
		if got := b.Publish(t, harness.Event("n", harness.Padded(i+1))); i == 0 {
			first = harness.Beginning(got.Cursor)
		}
	}
	w := b.SocketFrom(t, harness.SmallBuffer, harness.V1Opening(r.Path))
	w.AcceptedV1(t)
	at := w.V1(t).Cursor
	subscribe := harness.Say(`{"op":"subscribe","topics":["n"],"after":"` + first + `","ref":1}`)
	w.Send(t, subscribe)
	for _, want := range []string{"ack", "event", "event"} {
		if m := w.V1(t); m.Type != want || m.Type == "event" && (!m.Replay || m.Cursor != "") {
			t.Fatalf("got %+v, want %s", m, want)
		}
	}
	b.Publish(t, harness.Event("cats", "after the replay"))
	w.Reset(t)
	b.Away(t)

	w = b.Socket(t, harness.V1Opening(r.Path+"?after="+at))
	w.AcceptedV1(t)
	if m := w.V1(t); !slices.Equal(m.Topics, []string{"cats"}) {
		t.Errorf("it is subscribed to %q", m.Topics)
	}
	if m := w.V1(t); string(m.Data) != `"after the replay"` {
		t.Errorf("got %+v", m)
	}
	w.Send(t, subscribe)
	if m := w.V1(t); m.Type != "ack" {
		t.Errorf("got %+v", m)
	}
	b.Publish(t, harness.Event("cats", "live"))
	for last := 0; last < many; {
		var text string
		if err := json.Unmarshal(w.V1(t).Data, &text); err != nil {
			t.Fatal(err)
		}
		last = harness.Number(t, text, last)
	}
	if m := w.V1(t); m.Type != "live" {
		t.Errorf("got %+v", m)
	}
	if m := w.V1(t); string(m.Data) != `"live"` || m.Replay {
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
			b := harness.Start(t, "--history-events=100000", "--heartbeat=10ms")
			r := b.Register(t, `{"user_id": 1, "topics": ["`+list[0]+`"]}`)
			c := &subscriber{t: t, b: b, random: rand.New(rand.NewPCG(1, 2)), path: r.Path, topics: list[:1]}
			c.begin = harness.Beginning(b.Publish(t, harness.Event("zero", "")).Cursor)
			c.Wire = b.WireV1(t, r.Path)
			s := b.PublishNumbers(t)
			for range 40 {
				c.read(c.random.IntN(20))
				switch c.random.IntN(4) {
				case 0:
					c.cut()
				case 1:
					c.replayed(list[c.random.IntN(3)])
				default:
					s.Wait(c.random.IntN(20))
				}
			}
		})
	}
}

// A subscriber is a client of belfry.v1 that gets the numbers of a source.
type subscriber struct {
	t      *testing.T
	b      *harness.Broker
	random *rand.Rand
	path   string
	begin  string // the cursor of the beginning
	*harness.Wire
	topics []string
	cursor string
	last   int // that has come live
}

// covers reports whether a subscription covers a number's topic.
func covers(topic string, n int) bool {
	return strings.ContainsAny(topic, "*>") || topic == fmt.Sprint("n.", n%3)
}

// after returns the next number after n that the topics cover.
func after(topics []string, n int) int {
	for n++; !slices.ContainsFunc(topics, func(topic string) bool { return covers(topic, n) }); n++ {
	}
	return n
}

func (c *subscriber) message() harness.V1Message {
	c.t.Helper()
	m := c.V1(c.t)
	if m.Cursor != "" {
		if m.Cursor < c.cursor {
			c.t.Fatalf("after %s comes %+v", c.cursor, m)
		}
		c.cursor = m.Cursor
	}
	return m
}

func valueOf(m harness.V1Message) int {
	n, _ := strconv.Atoi(strings.Trim(string(m.Data), `"`)) // what is no number is not the next
	return n
}

// take checks that a message is the next number.
func (c *subscriber) take(m harness.V1Message) {
	c.t.Helper()
	n := valueOf(m)
	if want := after(c.topics, c.last); m.Type != "event" || m.Replay || n != want && c.last > 0 {
		c.t.Fatalf("after %d comes %+v, want %d", c.last, m, want)
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
	c.Reset(c.t)
	c.b.Away(c.t)
	c.Wire = c.b.Socket(c.t, harness.V1Opening(c.path+"?after="+c.cursor))
	c.AcceptedV1(c.t)
	if m := c.message(); m.Type != "welcome" || !slices.Equal(m.Topics, c.topics) || m.Cursor != c.cursor {
		c.t.Fatalf("came back to %+v, want %q from %s", m, c.topics, c.cursor)
	}
}

// replayed subscribes to a topic with all that there is of it, and checks that
// this is everything up to the ack.
func (c *subscriber) replayed(topic string) {
	c.t.Helper()
	c.Send(c.t, harness.Say(`{"op":"subscribe","topics":["`+topic+`"],"after":"`+c.begin+`","ref":1}`))
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
			c.t.Fatalf("of the replay of %s after %d comes %+v", topic, last, m)
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
	// What comes next is after all that has come.
	c.last = max(c.last, last)
}
