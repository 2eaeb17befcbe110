package docs_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"belfry/tests/harness"
)

// The programs of docs/guides/publishing.md, by the languages of their blocks.
var guidePrograms = map[string]struct {
	file    string
	command []string // to run it with
	needs   []string // besides
}{
	"sh":     {"publish.sh", []string{"bash"}, []string{"curl"}},
	"go":     {"main.go", []string{"go", "run"}, nil},
	"js":     {"publish.mjs", []string{"node"}, nil},
	"python": {"publish.py", []string{"python3"}, nil},
	"php":    {"publish.php", []string{"php"}, nil},
}

// TestPublishingGuide runs each program. Of what it publishes nothing is lost and
// nothing is there twice, although one answer is, and the broker is busy once.
func TestPublishingGuide(t *testing.T) {
	t.Parallel()
	blocks := fencedBlocks(t, "docs/guides/publishing.md")
	for language := range blocks {
		if _, ok := guidePrograms[language]; !ok {
			t.Errorf("nobody runs the block of %s", language)
		}
	}
	for language, program := range guidePrograms {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			for _, name := range program.needs {
				harness.Installed(t, name)
			}
			run := append([]string{harness.Installed(t, program.command[0])}, program.command[1:]...)
			file := filepath.Join(t.TempDir(), program.file)
			if err := os.WriteFile(file, []byte(blocks[language]), 0o600); err != nil {
				t.Fatal(err)
			}
			b := harness.StartKeyed(t, "keys:\n"+harness.Entry("backend", "publish, subscribe", ">"), "--history-events=2000")
			proxy := newFickleProxy(t, b.Broker)
			cmd := exec.CommandContext(t.Context(), run[0], append(run[1:], file)...)
			cmd.Env = append(os.Environ(), "BELFRY_URL="+proxy.URL, "BELFRY_KEY=backend")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if got := proxy.keyed.Load(); got < 4 {
				t.Errorf("there were %d attempts with a key, want two publishes and two that failed", got)
			}
			b.Holds(t, "orders.paid", `{"order":1204,"total":9.5}`)
			b.Holds(t, "stock.tea", `{"left":7}`)
			b.Holds(t, "stock.cups", `{"left":0}`)
			if strings.Contains(blocks[language], "orders.shipped") {
				b.Holds(t, "orders.shipped", `{"order":1204}`)
			}
			var readings []string
			for n := range 1000 {
				readings = append(readings, fmt.Sprintf(`{"n":%d}`, n+1))
			}
			b.Holds(t, "sensors.kitchen", readings...)
		})
	}
}

// TestKeysInGuide: the programs encode the same event in different bytes, so that a
// key of two of them would have the second refused.
func TestKeysInGuide(t *testing.T) {
	t.Parallel()
	key := regexp.MustCompile(`[a-z-]*(order-1204-paid|order-1204-shipped|stock-1204)`)
	users := make(map[string]string)
	for language, code := range fencedBlocks(t, "docs/guides/publishing.md") {
		found := key.FindAllString(code, -1)
		if len(found) < 2 {
			t.Errorf("%s has the keys %q", language, found)
		}
		for _, k := range found {
			if other := users[k]; other != "" && other != language {
				t.Errorf("%s and %s share the key %s", language, other, k)
			}
			users[k] = language
		}
	}
}

// fencedBlocks returns the blocks of a page by their languages, of which each has
// one.
func fencedBlocks(t *testing.T, name string) map[string]string {
	t.Helper()
	page, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	blocks := make(map[string]string)
	for i, part := range strings.Split("\n"+string(page), "\n```") {
		if i%2 == 1 {
			language, code, _ := strings.Cut(part, "\n")
			if _, twice := blocks[language]; twice || language == "" {
				t.Errorf("there is another block of %q", language)
			}
			blocks[language] = code
		}
	}
	return blocks
}

// A fickleProxy stands before a broker. Of requests with an Idempotency-Key it
// loses the answer to the first, and has the second be told that the broker is
// busy.
type fickleProxy struct {
	*httptest.Server
	keyed atomic.Int32
}

func newFickleProxy(t *testing.T, b *harness.Broker) *fickleProxy {
	t.Helper()
	target, err := url.Parse(b.URL("http", ""))
	if err != nil {
		t.Fatal(err)
	}
	p := new(fickleProxy)
	connections := new(http.Transport)
	forward := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: connections,
		ErrorLog:  log.New(io.Discard, "", 0),
	}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Idempotency-Key") == "" {
			forward.ServeHTTP(w, r)
			return
		}
		switch p.keyed.Add(1) {
		case 1:
			forward.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler) // which cuts the connection
		case 2:
			w.Header().Set("Retry-After", "0")
			http.Error(w, "busy", http.StatusServiceUnavailable)
		default:
			forward.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(func() {
		p.Close()
		connections.CloseIdleConnections()
	})
	return p
}
