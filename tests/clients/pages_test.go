package clients_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"belfry/tests/harness"
)

// Pages in a real browser, as the tests of the JavaScript client have them.

// A browser does what it is told. It takes seconds to start, so tests share one,
// one after another.
type browser struct {
	*harness.Stranger
	site    string             // where its pages come from: its origin
	context string             // of its pages: what tabs share, others don't
	hangs   chan chan struct{} // requests of GET /hang: they end when theirs is closed

	mu      sync.Mutex
	answers map[string]func() string // of the site, by path
}

// browsers are the programs of each kind.
var browsers = map[string][]string{
	"chromium": {"chromium", "chromium-browser", "google-chrome"},
	"firefox":  {"firefox-esr", "firefox"},
}

// newBrowser starts a browser, and a site for its pages: the folder docs, and at
// /blank a page that has what the script of a broker exports, and some help.
func newBrowser(t *testing.T, kind string) *browser {
	t.Helper()
	harness.Npm(t, "playwright-core")
	harness.Npm(t, "ws")
	node, program := harness.Installed(t, "node"), harness.Installed(t, browsers[kind]...)
	w, b := &browser{hangs: make(chan chan struct{}), answers: make(map[string]func() string)}, harness.Start(t)
	mux := http.NewServeMux()
	mux.Handle("/docs/", http.StripPrefix("/docs/", http.FileServer(http.Dir("docs"))))
	mux.HandleFunc("/blank", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, blankPage, b.Addr)
	})
	mux.HandleFunc("/hang", func(http.ResponseWriter, *http.Request) {
		end := make(chan struct{})
		w.hangs <- end
		<-end
	})
	mux.HandleFunc("/", w.serve)
	site := httptest.NewServer(mux)
	t.Cleanup(site.Close)
	w.Stranger, w.site = harness.Meet(t, node, "tests/testdata/clients/pages.mjs", kind, program), site.URL
	return w
}

// test runs a test with pages of its own.
func (w *browser) test(t *testing.T, name string, f func(t *testing.T, w *browser)) {
	t.Run(name, func(t *testing.T) {
		outer := w.T
		w.T, w.context = t, strings.ReplaceAll(name, " ", "-")
		defer func() {
			w.act("leave", "", nil)
			w.mu.Lock() // a page may have asked at last
			defer w.mu.Unlock()
			clear(w.answers)
			w.T = outer
		}()
		f(t, w)
	})
}

// answer has the site answer requests of a path until the test ends.
func (w *browser) answer(path string, text func() string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers[path] = text
}

func (w *browser) serve(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := w.answers[r.URL.Path]
	if text == nil {
		http.NotFound(rw, r)
		return
	}
	rw.Header().Set("Content-Type", "text/html")
	fmt.Fprint(rw, text())
}

const blankPage = `<!doctype html><title>blank</title><script type="module">
window.belfry = await import('http://%s/belfry.js');
window.got = [];
window.told = [];
window.begin = (url, options, topics, how) => {
	window.client = belfry.connect(url, options);
	for (const type of ['state', 'gap', 'error', 'event']) client.addEventListener(type, ({ detail }) => told.push({ type, ...detail, message: detail.message }));
	if (topics) window.sub = client.subscribe(topics, how, (e) => got.push(e.data));
};
window.until = async (cond) => {
	while (!cond()) await new Promise((over) => setTimeout(over, 5));
	return true;
};
window.ready = true;
</script>`

// A page is one of a browser.
type page struct {
	*browser
	name string
}

func (w *browser) act(act, page string, what map[string]any) (answer string) {
	w.T.Helper()
	line := map[string]any{"act": act, "page": strings.TrimSpace(w.context + " " + page)}
	for name, value := range what {
		line[name] = value
	}
	text, err := json.Marshal(line)
	if err != nil {
		w.T.Fatal(err)
	}
	if _, err := w.Tell.Write(append(text, '\n')); err != nil {
		w.T.Fatal(err)
	}
	got := w.Next()
	if got.Error != "" {
		w.T.Fatalf("%s %s %v: %s", act, page, what, got.Error)
	}
	return got.Message
}

// open opens a page of the site.
func (w *browser) open(name, path string, how map[string]any) *page {
	w.T.Helper()
	what := map[string]any{"url": w.site + path}
	for name, value := range how {
		what[name] = value
	}
	w.act("open", name, what)
	return &page{w, name}
}

// blank opens a page that has the client, and nothing else.
func (w *browser) blank(name string) *page {
	w.T.Helper()
	p := w.open(name, "/blank", nil)
	p.until("window.ready")
	return p
}

// tab opens such a page in front of the others that it has opened, which are
// hidden then, and may be frozen.
func (w *browser) tab(name string) *page {
	w.T.Helper()
	w.act("tab", name, map[string]any{"url": w.site + "/blank"})
	p := &page{w, name}
	p.until("window.ready")
	return p
}

// run runs code in the page and returns its value, as JSON.
func (p *page) run(format string, args ...any) string {
	p.T.Helper()
	return p.act("run", p.name, map[string]any{"code": fmt.Sprintf(format, args...)})
}

// begin connects the page and subscribes to topics.
func (p *page) begin(url, options, topics, how string) {
	p.T.Helper()
	p.run("begin(%q, %s, %s, %s)", url, options, topics, how)
}

// until waits for a condition of the page.
func (p *page) until(format string, args ...any) {
	p.T.Helper()
	cond := fmt.Sprintf(format, args...)
	code := fmt.Sprintf(`(async () => {
		for (const end = Date.now() + %d; !(%s); await new Promise((over) => setTimeout(over, 5))) {
			if (Date.now() > end) return JSON.stringify({ told: window.told, page: document.visibilityState, got: window.got?.slice(-5), state: window.client?.state });
		}
		return 'done';
	})()`, (2 * harness.Patience).Milliseconds(), cond)
	if got := p.run("%s", code); got != `"done"` {
		p.T.Fatalf("page %s: it has never come true: %s; %s", p.name, cond, got)
	}
}

// live waits until the page's subscription is one.
func (p *page) live() {
	p.T.Helper()
	p.until("client.state === 'live' && sub.cursor")
}

// got waits until the page has a last message, and checks that it has each from
// 0 to that, once and in order.
func (p *page) got(last int) {
	p.T.Helper()
	p.until("got.at(-1) >= %d", last)
	var have, want []string
	for i := range last + 1 {
		want = append(want, fmt.Sprint(i))
	}
	have = strings.Split(strings.Trim(p.run("got"), "[]"), ",")
	if strings.Join(have, ",") != strings.Join(want, ",") {
		p.T.Fatalf("page %s has %v, want 0 to %d; %s", p.name, have, last, p.run("told"))
	}
}

func (p *page) close() { p.T.Helper(); p.act("close", p.name, nil) }

func (p *page) freeze(state string) {
	p.T.Helper()
	p.act("freeze", p.name, map[string]any{"state": state})
}

// count publishes the numbers from one to another, both included.
func count(b *harness.Broker, t *testing.T, topic string, from, to int) {
	t.Helper()
	for i := from; i <= to; i++ {
		b.Publish(t, fmt.Sprintf(`{"topic":%q,"message":%d}`, topic, i))
	}
}
