package main

import (
	"fmt"
	"os/exec"
	"testing"
)

// Clients that others wrote come back with a cursor: they are cut by a proxy,
// more than once and in the middle of it all, and have everything all the
// same, once, in order. They are given two URLs: that of a registration, which
// ends, and then that of nobody in particular, who sees the broker restarted.

func TestNpmEventSource(t *testing.T) {
	t.Parallel()
	npm(t, "eventsource")
	node := installed(t, "node")
	testEventSource(t, func(t *testing.T, urls ...string) *stranger {
		return meet(t, node, append([]string{"testdata/clients/resume.js", "eventsource"}, urls...)...)
	})
}

func TestChromiumEventSource(t *testing.T) {
	t.Parallel()
	testEventSource(t, func(t *testing.T, urls ...string) *stranger {
		return chromiumPlays(t, "resume_chromium.mjs", append([]string{"eventsource"}, urls...)...)
	})
}

func TestNpmWSv1(t *testing.T) {
	t.Parallel()
	npm(t, "ws")
	node := installed(t, "node")
	testV1(t, func(t *testing.T, urls ...string) *stranger {
		return meet(t, node, append([]string{"testdata/clients/resume.js", "websocket"}, urls...)...)
	})
}

func TestChromiumV1(t *testing.T) {
	t.Parallel()
	testV1(t, func(t *testing.T, urls ...string) *stranger {
		return chromiumPlays(t, "resume_chromium.mjs", append([]string{"websocket"}, urls...)...)
	})
}

func TestPythonWebsocketsV1(t *testing.T) {
	t.Parallel()
	python := installed(t, "/usr/bin/python3", "python3")
	if exec.Command(python, "-c", "import websockets").Run() != nil {
		leaveOut(t, "python3-websockets is not installed")
	}
	testV1(t, func(t *testing.T, urls ...string) *stranger {
		return meet(t, python, append([]string{"testdata/clients/resume_websockets.py"}, urls...)...)
	})
}

// resumeFlags make for much to come back to, soon, for a page from nowhere as
// well.
var resumeFlags = []string{"--history-events=1000", "--reconnect-delay=20ms", "--heartbeat=50ms", "--allowed-origins=*"}

// tell publishes an event, and returns what a client should say of it.
func (b *testBroker) tell(t *testing.T, topic, text string) said {
	t.Helper()
	return said{Message: text, Cursor: b.publish(t, event(topic, text)).Cursor}
}

// few publishes some events of both topics, and of one that is not asked for,
// and returns what a client should say of them.
func (b *testBroker) few(t *testing.T, what string) []said {
	t.Helper()
	first := b.tell(t, "cats", what+" one\n\n data: grüße \u2028 \U0001F431")
	b.publish(t, event("birds", "not asked for"))
	return []said{first, b.tell(t, "dogs.a.b", what+" two"), b.tell(t, "cats", "")}
}

// beginning returns the cursor at which the log of an event with a cursor
// begins.
func beginning(cursor string) string { return cursor[:12] + "000000000000" }

// coming reports whether a line tells of a connection and not of an event.
func (got said) coming() bool { return got.Open || got.Away || got.Code == 1006 }

// storm publishes while the client is cut again and again.
func (s *stranger) storm(b *testBroker, p *proxy) (last said) {
	s.t.Helper()
	var want []said
	for i := range 300 {
		if i%50 == 25 {
			p.cut()
		}
		want = append(want, b.tell(s.t, "cats", fmt.Sprint("number ", i)))
	}
	cuts := 0
	for _, w := range want {
		got := s.next()
		for ; got.coming(); got = s.next() {
			if got.Open {
				cuts++
			}
		}
		if got != w {
			s.t.Fatalf("the client says %+v, want %+v", got, w)
		}
	}
	if cuts == 0 {
		s.t.Error("the client was not cut")
	}
	return want[len(want)-1]
}

func testEventSource(t *testing.T, meet func(t *testing.T, urls ...string) *stranger) {
	b, next := start(t, resumeFlags...), start(t, resumeFlags...)
	p := newProxy(t, b.addr)
	r := b.register(t, `{"user_id": 1, "topics": ["cats", "dogs.>"]}`)
	s := meet(t, b.urlAt("http", p.addr, "/sse/"+r.ClientID), b.urlAt("http", p.addr, "/sse?topic=cats&topic=dogs.%3E"))
	away := func(cut func()) {
		t.Helper()
		p.hold()
		cut()
		s.says(said{Away: true})
		b.away(t)
	}
	back := func() {
		t.Helper()
		p.open()
		s.says(said{Open: true})
	}

	t.Log("a registration: it comes back by itself")
	s.says(said{Open: true})
	s.says(b.few(t, "live")...)
	away(p.cut)
	missed := b.few(t, "missed")
	back()
	s.says(missed...)
	s.says(b.few(t, "live again")...)

	t.Log("the end of the stream has it come back, 204 has it stop")
	b.unregister(t, r)
	s.says(said{Closing: "unregistered"}, said{Away: true})
	requests := 3
	s.says(said{Stopped: true}, said{Open: true}) // the last with the other URL
	if requests++; b.tls == nil && p.requests() != requests {
		t.Errorf("there were %d requests, want %d", p.requests(), requests)
	}

	t.Log("no registration, cut before there was any event: the cursor is all that it has")
	away(p.cut)
	missed = b.few(t, "missed first")
	back()
	s.says(missed...)
	last := s.storm(b, p)

	t.Log("the broker is restarted")
	retained := next.few(t, "retained")
	p.hold()
	b.stop()
	s.says(said{Closing: "draining", Again: true}, said{Away: true})
	p.lead(next.addr)
	back()
	s.says(said{Gap: "restarted", Topics: "cats dogs.>", From: last.Cursor, To: beginning(retained[0].Cursor)})
	s.says(retained...)
	s.says(next.few(t, "live")...)
	s.storm(next, p)
}

func testV1(t *testing.T, meet func(t *testing.T, urls ...string) *stranger) {
	b, next := start(t, resumeFlags...), start(t, resumeFlags...)
	p := newProxy(t, b.addr)
	r := b.register(t, `{"user_id": 1, "topics": ["cats", "dogs.>"]}`)
	at := b.tell(t, "cats", "before").Cursor
	s := meet(t, b.urlAt("ws", p.addr, "/ws/"+r.ClientID), b.urlAt("ws", p.addr, "/ws"))
	away := func() {
		t.Helper()
		p.hold()
		p.cut()
		s.says(said{Code: 1006, Unclean: true})
		b.away(t)
	}
	back := func(cursor string) {
		t.Helper()
		p.open()
		s.says(said{Open: true, Topics: "cats dogs.>", Cursor: cursor})
	}
	says := func(all []said) {
		t.Helper()
		s.says(all...)
		at = all[len(all)-1].Cursor
	}

	t.Log("a registration")
	back(at)
	says(b.few(t, "live"))
	away()
	missed := b.few(t, "missed")
	back(at)
	says(missed)
	again := b.few(t, "live again")
	says(again)
	b.unregister(t, r)
	s.says(said{Code: 4000, Reason: "unregistered"})

	t.Log("no registration: it subscribes, with what there was")
	s.says(said{Open: true, Cursor: at}, said{Ack: 1, Cursor: at})
	s.says(replayed(missed[1], again...)...)
	s.says(said{Live: 1, Cursor: at})
	says(b.few(t, "live"))
	away()
	missed = b.few(t, "missed")
	back(at)
	says(missed)
	at = s.storm(b, p).Cursor

	t.Log("the broker is restarted")
	retained := next.few(t, "retained")
	p.hold()
	b.stop()
	s.says(said{Closing: "draining", Again: true, Cursor: at}, said{Code: 1012, Reason: "draining"})
	p.lead(next.addr)
	back(at)
	s.says(said{Gap: "restarted", Topics: "cats dogs.>", From: at, To: beginning(retained[0].Cursor)})
	says(retained)
	says(next.few(t, "live"))
	s.storm(next, p)
}

// replayed are events as a replay has them: without cursors.
func replayed(first said, others ...said) []said {
	all := append([]said{first}, others...)
	for i := range all {
		all[i].Cursor, all[i].Replay = "", true
	}
	return all
}
