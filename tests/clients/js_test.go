package clients_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	neturl "net/url"
	"strings"
	"sync/atomic"
	"testing"

	"belfry/tests/harness"
)

// The JavaScript client, in a real browser.

// jsFlags make for much to come back to, soon.
var jsFlags = []string{"--history-events=1000", "--reconnect-delay=20ms"}

func TestJavaScriptInChromium(t *testing.T) {
	t.Parallel()
	testJavaScript(t, newBrowser(t, "chromium"))
}

func TestFrozenPageInChromium(t *testing.T) {
	t.Parallel()
	newBrowser(t, "chromium with tabs").test(t, "a frozen page", testFrozen)
}

func TestJavaScriptInFirefox(t *testing.T) {
	t.Parallel()
	testJavaScript(t, newBrowser(t, "firefox"))
}

// testJavaScript is what all browsers have to do.
func testJavaScript(t *testing.T, w *browser) {
	w.test(t, "cuts by WebSocket", func(t *testing.T, w *browser) {
		testCuts(t, w, "{ minBackoff: 20, maxBackoff: 100, shared: false }")
	})
	w.test(t, "cuts by SSE", func(t *testing.T, w *browser) {
		testCuts(t, w, "{ minBackoff: 20, maxBackoff: 100, shared: false, transport: 'sse' }")
	})
	w.test(t, "cuts, shared", func(t *testing.T, w *browser) { testCuts(t, w, soon) })
	w.test(t, "tabs", testTabs)
	w.test(t, "no tabs to share with", testRefused)
	w.test(t, "WebSocket is blocked", testFallback)
	w.test(t, "tokens", testRenewal)
	w.test(t, "examples", testExamples)
	w.test(t, "dashboard", testDashboard)
}

const soon = "{ minBackoff: 20, maxBackoff: 100 }"

func testCuts(t *testing.T, w *browser, options string) {
	b, next := harness.Start(t, jsFlags...), harness.Start(t, jsFlags...)
	x := harness.NewProxy(t, b.Addr)
	p := w.blank("one")
	p.begin("http://"+x.Addr+"/ws", options, "'n.*'", "{}")
	p.live()
	n := 0
	for range 5 {
		count(b, t, "n.a", n, n+39)
		x.Cut()
		count(b, t, "n.b", n+40, n+79)
		n += 80
	}
	p.got(n - 1)
	b.Stop()
	x.Lead(next.Addr)
	count(next, t, "n.a", n, n+9)
	p.got(n + 9)
	p.until("told.some((m) => m.type === 'gap' && m.reason === 'restarted')")
	if got := p.run("client.publish('n.a', %d).then((r) => r.matched)", n+10); got != "1" {
		t.Error(got)
	}
	p.got(n + 10)
}

// testTabs: tabs share one connection, and have all events once, whichever of
// them goes.
func testTabs(t *testing.T, w *browser) {
	b := harness.Start(t, jsFlags...)
	addr := "ws://" + b.Addr + "/ws"
	var tabs []*page
	for _, name := range []string{"one", "two", "three", "four"} {
		p := w.blank(name)
		p.begin(addr, soon, "'n.*'", "{}")
		p.live()
		tabs = append(tabs, p)
	}
	n := 0
	for len(tabs) > 1 {
		harness.Eventually(t, "the tabs have one connection", func() bool { return b.Census(t).Connected == 1 })
		// The first leads.
		count(b, t, "n.a", n, n+49)
		tabs[0].close()
		tabs = tabs[1:]
		count(b, t, "n.b", n+50, n+99)
		n += 100
		for _, p := range tabs {
			p.got(n - 1)
		}
	}
	if got := tabs[0].run("client.publish('n.a', %d).then((r) => r.matched)", n); got != "1" {
		t.Error(got)
	}
	tabs[0].got(n)

	t.Log("a tab that joins late has what it asks for")
	late := w.blank("late")
	late.begin(addr, soon, "'n.b'", "{ last: 2 }")
	late.until("got.length === 2")
	if got := late.run("got"); got != fmt.Sprintf("[%d,%d]", n-2, n-1) {
		t.Error(got)
	}
	if got := late.run("client.publish('n.b', 'from here').then((r) => r.queued)"); got != "1" {
		t.Error(got)
	}
	late.until("got.length === 3")

	t.Log("a topic is kept for the tabs that still want it")
	tabs[0].run("sub.unsubscribe()")
	b.Publish(t, harness.Event("n.b", "kept"))
	late.until("got.at(-1) === 'kept'")
	late.close()
	harness.Eventually(t, "nobody wants it any more", func() bool { return b.Publish(t, harness.Event("n.b", "for nobody")).Matched == 0 })
}

// testRefused: where the browser refuses locks and channels, a page has its own
// connection.
func testRefused(t *testing.T, w *browser) {
	b := harness.Start(t, append([]string{"--allowed-origins=*"}, jsFlags...)...)
	w.answer("/frame", func() string { return fmt.Sprintf(refusedFrame, b.Addr) })
	other := strings.Replace(w.site, "127.0.0.1", "localhost", 1)
	w.answer("/refused", func() string {
		return `<!doctype html><script>got = []; onmessage = ({ data }) => got.push(data)</script>
			<iframe sandbox="allow-scripts" src="/frame#sandboxed"></iframe><iframe src="` + other + `/frame#foreign"></iframe>`
	})
	p := w.open("refused", "/refused", nil)
	p.until("got.includes('sandboxed live') && got.includes('foreign live')")
	b.Publish(t, harness.Event("n", "purr"))
	p.until("got.includes('sandboxed purr') && got.includes('foreign purr')")
	if got := p.run("got.length"); got != "4" {
		t.Error(p.run("got"))
	}
	if n := b.Census(t).Connected; n != 2 {
		t.Errorf("there are %d connections, want 2", n)
	}
}

const refusedFrame = `<!doctype html><script type="module">
const say = (what) => parent.postMessage(location.hash.slice(1) + ' ' + what, '*');
const { connect } = await import('http://%[1]s/belfry.js');
const client = connect('http://%[1]s/ws');
client.addEventListener('error', ({ detail }) => say(detail.message));
const sub = client.subscribe('n', ({ data }) => say(data));
while (!sub.cursor) await new Promise((over) => setTimeout(over, 5));
say(client.state);
</script>`

// testFrozen: a page that was frozen has everything when it goes on; other tabs
// don't wait for it, nor for one that hangs.
func testFrozen(t *testing.T, w *browser) {
	b := harness.Start(t, append([]string{"--heartbeat=500ms"}, jsFlags...)...)
	addr := "ws://" + b.Addr + "/ws"
	p := w.tab("one")
	p.begin(addr, soon, "'n.*'", "{}")
	p.live()
	count(b, t, "n.a", 0, 9)
	p.got(9)
	other := w.tab("two")
	p.freeze("frozen")
	b.Away(t)
	count(b, t, "n.a", 10, 19)
	p.freeze("active")
	p.got(19)

	t.Log("a tab that leads is frozen")
	other.begin(addr, soon, "'n.*'", "{ last: 20 }")
	other.got(19)
	p.freeze("frozen")
	count(b, t, "n.a", 20, 29)
	other.got(29)
	p.freeze("active")
	p.got(29)
	count(b, t, "n.a", 30, 39)
	p.got(39)
	other.got(39)

	t.Log("a tab that leads and hangs")
	other.run("setTimeout(() => { const r = new XMLHttpRequest(); r.open('GET', '/hang', false); r.send(); })")
	hang := <-w.hangs
	count(b, t, "n.a", 40, 49)
	p.got(49)
	close(hang)
	other.got(49)
	count(b, t, "n.a", 50, 59)
	p.got(59)
	other.got(59)
	harness.Eventually(t, "the connection of the one that hung ends", func() bool { return b.Census(t).Connected == 1 })
}

// testFallback: where a proxy refuses upgrades the events come as a stream, and
// by WebSocket again when it doesn't.
func testFallback(t *testing.T, w *browser) {
	b := harness.Start(t, jsFlags...)
	target := &neturl.URL{Scheme: "http", Host: b.Addr}
	var strict atomic.Bool
	strict.Store(true)
	pass := &httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	middle := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strict.Load() && r.Header.Get("Upgrade") != "" {
			rw.WriteHeader(http.StatusForbidden)
			return
		}
		pass.ServeHTTP(rw, r)
	}))
	t.Cleanup(middle.Close)
	series := func(code, route, client string) string {
		if client != "" {
			route += "/{client_id}"
		}
		return fmt.Sprintf("belfry_http_requests_total{code=%q,method=\"GET\",route=%q}", code, route)
	}
	for _, client := range []string{"", "registered"} {
		strict.Store(true)
		path := "/ws?topic=base"
		if client != "" {
			path = b.Register(t, `{"user_id":1,"topic":"base"}`).Path
		}
		p := w.blank("one" + client)
		p.begin(middle.URL+path, "{ minBackoff: 20, maxBackoff: 100, retryWebSocket: 200 }", "['n.a', 'n.b']", "{}")
		p.live()
		p.run("window.more = []; client.subscribe('n.b', {}, (e) => more.push(e.data)); client.subscribe('n.>', { last: 1000 }, (e) => more.push(e.topic))")
		harness.Eventually(t, "the topics", func() bool { return b.Publish(t, harness.Event("n.b.c", "")).Matched > 0 })
		if b.Metric(t, series("200", "/sse", client)) == 0 {
			t.Error("there is no stream")
		}
		p.run("until(() => more.includes('n.b.c'))")
		count(b, t, "n.a", 0, 9)
		count(b, t, "n.b", 10, 19)
		b.Publish(t, harness.Event("base", "of the URL"))
		p.got(19)
		p.until("more.filter((m) => m >= 10).length === 10")
		p.until("told.some((m) => m.type === 'event' && m.data === 'of the URL')")
		if got := p.run("client.publish('n.a', 20).then((r) => r.topic)"); got != `"n.a"` {
			t.Error(got)
		}
		strict.Store(false)
		harness.Eventually(t, "a WebSocket", func() bool {
			return strings.Contains(b.Call(t, "GET", "/metrics", "").Body, series("101", "/ws", client))
		})
		count(b, t, "n.a", 21, 29)
		p.got(29)
		p.close()
	}
}

// testRenewal: tokens are renewed while the connection goes on.
func testRenewal(t *testing.T, w *browser) {
	b, secret := harness.WithTokens(t, jsFlags...)
	w.answer("/short", func() string {
		return harness.NewToken(t, secret, "--user=7", "--subscribe=n.*", "--publish=n.*", "--expires=10s")
	})
	options := "{ minBackoff: 20, maxBackoff: 100, token: async () => (await fetch('/short')).text() }"
	p := w.blank("renews")
	p.begin("ws://"+b.Addr+"/ws", options, "'n.*'", "{}")
	p.live()
	asked := p.run("performance.getEntriesByName(new URL('/short', location)).length")
	if asked != "1" {
		t.Errorf("it has asked for %s tokens", asked)
	}
	p.until("performance.getEntriesByName(new URL('/short', location)).length > 2")
	if got := p.run("client.publish('n.a', 0).then((r) => r.queued)"); got != "1" {
		t.Error(got)
	}
	p.got(0)
	if got := p.run("told"); got != `[{"type":"state","state":"live"}]` {
		t.Error(got)
	}
	p.close()

	t.Log("a function that gets an address with a token")
	p = w.blank("ticket")
	p.run("begin(async () => ({ url: 'ws://%s/ws', token: await (await fetch('/short')).text() }), { minBackoff: 20, shared: false }, 'n.*', {})", b.Addr)
	p.live()
	p.run("client.publish('n.a', 0)")
	p.got(0)
}
