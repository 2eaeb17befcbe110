package serve_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"belfry/cli/serve"
	"belfry/cli/serve/logging"
	"belfry/config"
	"belfry/tests/harness"
)

// A countingIssuer publishes a key, and counts how often it is asked.
type countingIssuer struct {
	url, token string
	asked      atomic.Int64
}

func newCountingIssuer(t *testing.T) *countingIssuer {
	t.Helper()
	url, private := harness.NewIssuer(t)
	set, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer set.Body.Close()
	text, err := io.ReadAll(set.Body)
	http.DefaultClient.CloseIdleConnections()
	if err != nil {
		t.Fatal(err)
	}
	i := &countingIssuer{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		i.asked.Add(1)
		_, _ = w.Write(text)
	}))
	t.Cleanup(server.Close)
	token, status := harness.Command("token", "create", "--private-key="+private, "--key-id=a", "--user=7", "--subscribe=>")
	if status != 0 {
		t.Fatal(token)
	}
	i.url, i.token = server.URL, strings.TrimSpace(token)
	return i
}

// A refusal test is a broker that does not listen: what it answers is asked of its API.
type refusalTest struct {
	*serve.Broker
	t       *testing.T
	dir     string
	args    []string
	issuers [2]*countingIssuer
	tokens  [2]string // by a secret
	folder  *harness.CertificateFolder
	pairs   [2]harness.TestCertificate
}

// file is the configuration number n, in which every part is another than in the other.
func (r *refusalTest) file(n int) string {
	name := [2]string{"one", "two"}[n]
	return "keys:\n" + harness.Entry(name, "publish, subscribe, admin", ">") + harness.Entry("operator", "admin, subscribe", ">") +
		fmt.Sprintf("jwt: {secret_file: %q, jwks_url: %q, leeway: 0s}\n", filepath.Join(r.dir, name), r.issuers[n].url) +
		fmt.Sprintf("max_message: %d\nmax_publish_rate: %d\nallowed_origins: [\"https://%s.example\"]\ntrusted_proxies: [\"10.0.0.%d\"]\nlog_level: %s\n",
			1000*(n+1), 100*(n+1), name, n+1, [2]string{"warn", "error"}[n])
}

func (r *refusalTest) write(text string) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, "belfry.yaml"), []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func newRefusalTest(t *testing.T) *refusalTest {
	t.Helper()
	r := &refusalTest{t: t, dir: t.TempDir(), issuers: [2]*countingIssuer{newCountingIssuer(t), newCountingIssuer(t)}}
	for i, name := range []string{"one", "two"} {
		secret := filepath.Join(r.dir, name)
		if err := os.WriteFile(secret, []byte(strings.Repeat(name, 20)), 0o600); err != nil {
			t.Fatal(err)
		}
		r.tokens[i], r.pairs[i] = harness.NewToken(t, secret, "--user=7", "--subscribe=>"), harness.NewTestCertificate(name)
	}
	r.folder = &harness.CertificateFolder{T: t, Dir: r.dir, Changed: time.Now()}
	r.folder.Use(r.pairs[0])
	r.write(r.file(0))
	files := r.folder.Config()
	r.args = []string{"--addr=0.0.0.0:0", "--config=" + filepath.Join(r.dir, "belfry.yaml"), "--tls-cert-file=" + files.CertFile, "--tls-key-file=" + files.KeyFile}
	cfg, err := config.Parse(r.args, nil, "", io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	log := logging.New(serve.LogOptionsOf(cfg), io.Discard)
	t.Cleanup(log.Close)
	if r.Broker, err = serve.NewBroker(cfg, log, time.Now); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { r.Hub().Run(ctx) })
	running.Go(func() { r.Transport().Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait(); r.CloseKeys() })
	return r
}

func (r *refusalTest) reload() {
	r.Broker.Reload(func(running config.Config) (config.Config, []string, error) {
		return config.Reload(running, r.args, nil)
	})
}

// state is all that a reload can change, as far as it can be seen.
func (r *refusalTest) state() (state [12]string) {
	r.t.Helper()
	ask := func(bearer, method, target, body string, header ...string) *httptest.ResponseRecorder {
		q := httptest.NewRequest(method, target, strings.NewReader(body))
		q.Host = "localhost"
		q.Header.Set("Authorization", "Bearer "+bearer)
		for i := 0; i < len(header); i += 2 {
			q.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		r.API().ServeHTTP(w, q)
		return w
	}
	for i, bearer := range []string{"one", "two", r.tokens[0], r.tokens[1], r.issuers[0].token, r.issuers[1].token} {
		state[i] = fmt.Sprint(ask(bearer, "GET", "/topics/a/events", "").Code)
	}
	for i, name := range []string{"one", "two"} {
		state[6+i] = fmt.Sprint(ask("operator", "GET", "/topics/a/events", "", "Origin", "https://"+name+".example").Code)
		if w := ask(name, "POST", "/publish", harness.Event("a", strings.Repeat("x", 1500))); w.Code != http.StatusUnauthorized {
			state[8] = fmt.Sprint(w.Code, w.Header()["Ratelimit-Policy"])
		}
	}
	state[9] = ask("operator", "GET", "/config", "").Body.String()
	state[10] = harness.CertifiedNames(r.t, r.Certificates().Config)
	state[11] = fmt.Sprint(r.Log().Level())
	return state
}

// TestRefusedReload: whatever is wrong with a configuration, and however much else in it
// is right and new, nothing of it counts, and nothing of what counts has ended.
func TestRefusedReload(t *testing.T) {
	t.Parallel()
	change := func(old, new string) func(*refusalTest) {
		return func(r *refusalTest) {
			text := strings.Replace(r.file(1), old, new, 1)
			if text == r.file(1) {
				r.t.Fatalf("there is no %s", old)
			}
			r.write(text)
		}
	}
	for name, spoil := range map[string]func(*refusalTest){
		"the rights of a key":   change("admin, subscribe]", "nonsense]"),
		"the topics of a key":   change(`topics: [">"]`, `topics: ["a..b"]`),
		"the hash of a key":     change("sha256: \"", "sha256: \"x"),
		"the file of a secret":  change(`/two"`, `/three"`),
		"a short secret":        func(r *refusalTest) { r.writeSecret("short"); r.write(r.file(1)) },
		"a public key":          change("leeway: 0s", "leeway: 0s, public_keys: [/nowhere]"),
		"the URL of an issuer":  change("http://", "ftp://"),
		"a limit":               change("max_message: 2000", "max_message: -1"),
		"a proxy":               change("10.0.0.2", "nobody"),
		"an origin":             change("https://two.example", "two.example/x"),
		"the level of the log":  change("log_level: error", "log_level: loud"),
		"a setting that is not": change("log_level", "nonsense: 1\nlog_level"),
		"no YAML":               change("keys:", "keys"),
		"a certificate":         func(r *refusalTest) { r.write(r.file(1)); r.folder.Write(map[string][]byte{"key.pem": []byte("x")}) },
		"the pair of another":   func(r *refusalTest) { r.write(r.file(1)); r.folder.Write(map[string][]byte{"key.pem": r.pairs[0].Key}) },
		"nobody is kept out":    func(r *refusalTest) { r.write("max_message: 2000\nlog_level: error\n") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRefusalTest(t)
			before, guard := r.state(), r.Guard()
			r.folder.Use(r.pairs[1])
			spoil(r)
			r.reload()
			if after := r.state(); after != before {
				t.Errorf("it was %q, and is %q", before, after)
			}
			if r.Guard() != guard {
				t.Error("another guard is in force")
			}
			asked := r.issuers[0].asked.Load()
			r.RenewKeys()
			harness.Eventually(t, "the issuer is asked as before", func() bool { return r.issuers[0].asked.Load() > asked })
			if n := r.issuers[1].asked.Load(); n > 0 {
				t.Errorf("the other issuer was asked %d times", n)
			}

			t.Log("and then all is right")
			r.writeSecret(strings.Repeat("two", 20))
			r.folder.Use(r.pairs[1])
			r.write(r.file(1))
			r.reload()
			for i, is := range r.state() {
				if is == before[i] {
					t.Errorf("part %d is what it was: %s", i, is)
				}
			}
			if first, second := r.issuers[0].asked.Load(), r.issuers[1].asked.Load(); first != asked+1 || second == 0 {
				t.Errorf("the issuers were asked %d and %d times", first, second)
			}
		})
	}
}

func (r *refusalTest) writeSecret(text string) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, "two"), []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}
