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

// A browser does what a test tells it.
type browser struct {
	T *testing.T
	*browserProgram
	context string // of its pages: what tabs share, others don't
}

// A browserProgram takes seconds to start, so tests share one.
type browserProgram struct {
	*harness.Stranger
	site  string             // where its pages come from: its origin
	hangs chan chan struct{} // requests of GET /hang: they end when theirs is closed
	ended chan struct{}      // closed when it says nothing more

	mu      sync.Mutex
	answers map[string]func() string // of the site, by path
	told    int
	results map[int]chan result // of what it was told, by number
}

// A result is what came of something that a browser was told.
type result struct {
	Told int `json:"told"`
	harness.Said
}

// browsers are the programs of each kind.
var browsers = map[string][]string{
	"chromium":           harness.HeadlessChromium,
	"chromium with tabs": harness.ChromiumWithTabs,
	"firefox":            {"firefox-esr", "firefox"},
}

// newBrowser starts a browser, and a site for its pages: the folder docs, and at
// /blank a page that has what the script of a broker exports, and some help.
func newBrowser(t *testing.T, kind string) *browser {
	t.Helper()
	harness.Npm(t, "playwright-core")
	harness.Npm(t, "ws")
	node, program := harness.Installed(t, "node"), harness.Installed(t, browsers[kind]...)
	w, b := &browserProgram{
		hangs: make(chan chan struct{}), ended: make(chan struct{}),
		answers: make(map[string]func() string), results: make(map[int]chan result),
	}, harness.Start(t)
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
	go w.listen()
	t.Cleanup(func() {
		if t.Failed() {
			w.Limit.Reset(0)
		}
		w.Tell.Close()
		<-w.ended
	})
	return &browser{T: t, browserProgram: w}
}

// listen hands on what the browser says.
func (w *browserProgram) listen() {
	defer close(w.ended)
	for w.Lines.Scan() {
		var got result
		if err := json.Unmarshal(w.Lines.Bytes(), &got); err != nil {
			panic(fmt.Sprintf("%v: %.200s", err, w.Lines.Bytes()))
		}
		w.mu.Lock()
		of := w.results[got.Told]
		delete(w.results, got.Told)
		w.mu.Unlock()
		of <- got
	}
}

// test runs a test with pages of its own, beside others.
func (w *browser) test(t *testing.T, name string, f func(t *testing.T, w *browser)) {
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		w := &browser{t, w.browserProgram, strings.ReplaceAll(name, " ", "-")}
		defer w.act("leave", "", nil)
		f(t, w)
	})
}

// answer has the site answer requests of a path, which no other test uses.
func (w *browserProgram) answer(path string, text func() string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers[path] = text
}

func (w *browserProgram) serve(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	text := w.answers[r.URL.Path]
	w.mu.Unlock()
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
	of := make(chan result, 1)
	w.mu.Lock()
	w.told++
	line := map[string]any{"told": w.told, "act": act, "page": strings.TrimSpace(w.context + " " + page)}
	w.results[w.told] = of
	w.mu.Unlock()
	for name, value := range what {
		line[name] = value
	}
	text, err := json.Marshal(line)
	if err != nil {
		w.T.Fatal(err)
	}
	w.Limit.Reset(harness.StrangersPatience)
	if _, err := w.Tell.Write(append(text, '\n')); err != nil {
		w.T.Fatal(err)
	}
	select {
	case got := <-of:
		if got.Error != "" {
			w.T.Fatalf("%s %s %v: %s", act, page, what, got.Error)
		}
		return got.Message
	case <-w.ended:
		w.T.Fatalf("%s %s: the browser ended, or has said nothing for %v", act, page, harness.StrangersPatience)
		return ""
	}
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
