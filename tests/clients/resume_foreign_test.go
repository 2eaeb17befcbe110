package clients_test

import (
	"os/exec"
	"testing"

	"belfry/tests/harness"
)

// Clients that others wrote reconnect with a cursor. A proxy cuts them more than once, in
// the middle of messages, and they still receive everything once, in order. They use two
// URLs: one of a registration, which ends, and then one without a registration, whose
// broker is restarted.

func TestNpmEventSource(t *testing.T) {
	t.Parallel()
	harness.Npm(t, "eventsource")
	node := harness.Installed(t, "node")
	testEventSource(t, func(t *testing.T, urls ...string) *harness.Stranger {
		return harness.Meet(t, node, append([]string{"tests/testdata/clients/resume.js", "eventsource"}, urls...)...)
	})
}

func TestChromiumEventSource(t *testing.T) {
	t.Parallel()
	testEventSource(t, func(t *testing.T, urls ...string) *harness.Stranger {
		return chromiumPlays(t, "resume_chromium.mjs", append([]string{"eventsource"}, urls...)...)
	})
}

func TestNpmWSv1(t *testing.T) {
	t.Parallel()
	harness.Npm(t, "ws")
	node := harness.Installed(t, "node")
	testV1(t, func(t *testing.T, urls ...string) *harness.Stranger {
		return harness.Meet(t, node, append([]string{"tests/testdata/clients/resume.js", "websocket"}, urls...)...)
	})
}

func TestChromiumV1(t *testing.T) {
	t.Parallel()
	testV1(t, func(t *testing.T, urls ...string) *harness.Stranger {
		return chromiumPlays(t, "resume_chromium.mjs", append([]string{"websocket"}, urls...)...)
	})
}

func TestPythonWebsocketsV1(t *testing.T) {
	t.Parallel()
	python := harness.Installed(t, "/usr/bin/python3", "python3")
	if exec.Command(python, "-c", "import websockets").Run() != nil {
		harness.LeaveOut(t, "python3-websockets is not installed")
	}
	testV1(t, func(t *testing.T, urls ...string) *harness.Stranger {
		return harness.Meet(t, python, append([]string{"tests/testdata/clients/resume_websockets.py"}, urls...)...)
	})
}

// resumeFlags make for much to come back to, soon, for a page from nowhere as
// well.
var resumeFlags = []string{"--history-events=1000", "--reconnect-delay=20ms", "--heartbeat=50ms", "--allowed-origins=*"}

// few publishes some events of both topics, and of one that is not asked for,
// and returns what a client should say of them.
func few(b *harness.Broker, t *testing.T, what string) []harness.Said {
	t.Helper()
	first := harness.Tell(b, t, "cats", what+" one\n\n data: grüße \u2028 \U0001F431")
	b.Publish(t, harness.Event("birds", "not asked for"))
	return []harness.Said{first, harness.Tell(b, t, "dogs.a.b", what+" two"), harness.Tell(b, t, "cats", "")}
}

func testEventSource(t *testing.T, meet func(t *testing.T, urls ...string) *harness.Stranger) {
	b, next := harness.Start(t, resumeFlags...), harness.Start(t, resumeFlags...)
	p := harness.NewProxy(t, b.Addr)
	r := b.Register(t, `{"user_id": 1, "topics": ["cats", "dogs.>"]}`)
	s := meet(t, b.URLAt("http", p.Addr, "/sse/"+r.ClientID), b.URLAt("http", p.Addr, "/sse?topic=cats&topic=dogs.%3E"))
	away := func(cut func()) {
		t.Helper()
		p.Hold()
		cut()
		s.Says(harness.Said{Away: true})
		b.Away(t)
	}
	back := func() {
		t.Helper()
		p.Open()
		s.Says(harness.Said{Open: true})
	}

	t.Log("a registration: it comes back by itself")
	s.Says(harness.Said{Open: true})
	s.Says(few(b, t, "live")...)
	away(p.Cut)
	missed := few(b, t, "missed")
	back()
	s.Says(missed...)
	s.Says(few(b, t, "live again")...)

	t.Log("the end of the stream has it come back, 204 has it stop")
	b.Unregister(t, r)
	s.Says(harness.Said{Closing: "unregistered"}, harness.Said{Away: true})
	requests := 3
	s.Says(harness.Said{Stopped: true}, harness.Said{Open: true}) // the last with the other URL
	if requests++; b.TLS == nil && p.Requests() != requests {
		t.Errorf("there were %d requests, want %d", p.Requests(), requests)
	}

	t.Log("no registration, cut before there was any event: the cursor is all that it has")
	away(p.Cut)
	missed = few(b, t, "missed first")
	back()
	s.Says(missed...)
	last := s.Storm(b, p)

	t.Log("the broker is restarted")
	retained := few(next, t, "retained")
	p.Hold()
	b.Stop()
	s.Says(harness.Said{Closing: "draining", Again: true}, harness.Said{Away: true})
	p.Lead(next.Addr)
	back()
	s.Says(harness.Said{Gap: "restarted", Topics: "cats dogs.>", From: last.Cursor, To: harness.Beginning(retained[0].Cursor)})
	s.Says(retained...)
	s.Says(few(next, t, "live")...)
	s.Storm(next, p)
}

func testV1(t *testing.T, meet func(t *testing.T, urls ...string) *harness.Stranger) {
	b, next := harness.Start(t, resumeFlags...), harness.Start(t, resumeFlags...)
	p := harness.NewProxy(t, b.Addr)
	r := b.Register(t, `{"user_id": 1, "topics": ["cats", "dogs.>"]}`)
	at := harness.Tell(b, t, "cats", "before").Cursor
	s := meet(t, b.URLAt("ws", p.Addr, "/ws/"+r.ClientID), b.URLAt("ws", p.Addr, "/ws"))
	away := func() {
		t.Helper()
		p.Hold()
		p.Cut()
		s.Says(harness.Said{Code: 1006, Unclean: true})
		b.Away(t)
	}
	back := func(cursor string) {
		t.Helper()
		p.Open()
		s.Says(harness.Said{Open: true, Topics: "cats dogs.>", Cursor: cursor})
	}
	says := func(all []harness.Said) {
		t.Helper()
		s.Says(all...)
		at = all[len(all)-1].Cursor
	}

	t.Log("a registration")
	back(at)
	says(few(b, t, "live"))
	away()
	missed := few(b, t, "missed")
	back(at)
	says(missed)
	again := few(b, t, "live again")
	says(again)
	b.Unregister(t, r)
	s.Says(harness.Said{Code: 4000, Reason: "unregistered"})

	t.Log("no registration: it subscribes, with what there was")
	s.Says(harness.Said{Open: true, Cursor: at}, harness.Said{Ack: 1, Cursor: at})
	s.Says(replayed(missed[1], again...)...)
	s.Says(harness.Said{Live: 1, Cursor: at})
	says(few(b, t, "live"))
	away()
	missed = few(b, t, "missed")
	back(at)
	says(missed)
	at = s.Storm(b, p).Cursor

	t.Log("the broker is restarted")
	retained := few(next, t, "retained")
	p.Hold()
	b.Stop()
	s.Says(harness.Said{Closing: "draining", Again: true, Cursor: at}, harness.Said{Code: 1012, Reason: "draining"})
	p.Lead(next.Addr)
	back(at)
	s.Says(harness.Said{Gap: "restarted", Topics: "cats dogs.>", From: at, To: harness.Beginning(retained[0].Cursor)})
	says(retained)
	says(few(next, t, "live"))
	s.Storm(next, p)
}

// replayed are events as a replay has them: without cursors.
func replayed(first harness.Said, others ...harness.Said) []harness.Said {
	all := append([]harness.Said{first}, others...)
	for i := range all {
		all[i].Cursor, all[i].Replay = "", true
	}
	return all
}
