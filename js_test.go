package main

import "testing"

// The JavaScript client, in a real browser.

// jsFlags make for much to come back to, soon.
var jsFlags = []string{"--history-events=1000", "--reconnect-delay=20ms", "--heartbeat=500ms"}

func TestJavaScriptInChromium(t *testing.T) {
	t.Parallel()
	w := newBrowser(t)
	w.test(t, "cuts by WebSocket", func(t *testing.T, w *browser) {
		testCuts(t, w, "{ minBackoff: 20, maxBackoff: 100, shared: false }")
	})
	w.test(t, "cuts by SSE", func(t *testing.T, w *browser) {
		testCuts(t, w, "{ minBackoff: 20, maxBackoff: 100, shared: false, transport: 'sse' }")
	})
	w.test(t, "cuts, shared", func(t *testing.T, w *browser) { testCuts(t, w, quick) })
	w.test(t, "dashboard", testDashboard)
}

const quick = "{ minBackoff: 20, maxBackoff: 100 }"

func testCuts(t *testing.T, w *browser, options string) {
	b, next := start(t, jsFlags...), start(t, jsFlags...)
	x := newProxy(t, b.addr)
	p := w.blank("one")
	p.begin("http://"+x.addr+"/ws", options, "'n.*'", "{}")
	p.live()
	n := 0
	for range 5 {
		b.count(t, "n.a", n, n+39)
		x.cut()
		b.count(t, "n.b", n+40, n+79)
		n += 80
	}
	p.got(n - 1)
	b.stop()
	x.lead(next.addr)
	next.count(t, "n.a", n, n+9)
	p.got(n + 9)
	p.until("told.some((m) => m.type === 'gap' && m.reason === 'restarted')")
	if got := p.run("client.publish('n.a', %d).then((r) => r.matched)", n+10); got != "1" {
		t.Error(got)
	}
	p.got(n + 10)
}
