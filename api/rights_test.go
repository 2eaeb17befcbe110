package api_test

import (
	"crypto/sha256"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"belfry/api"
	"belfry/api/auth"
	"belfry/hub"
)

// A changing guard is one that another takes the place of.
type changingGuard struct{ now atomic.Pointer[auth.Guard] }

func (g *changingGuard) setup(_ *hub.Options, o *api.Options) {
	o.Guard, o.Clock = g.now.Load, time.Now
}

// use has keys and tokens of a secret count, and none other.
func (g *changingGuard) use(t *testing.T, secret []byte, keys ...auth.Key) {
	t.Helper()
	opts := auth.Options{Keys: keys, Open: true}
	if secret != nil {
		var err error
		if opts.Tokens, err = auth.NewTokens(auth.TokenOptions{Secret: secret, MaxTopics: 8}); err != nil {
			t.Fatal(err)
		}
	}
	guard, err := auth.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	g.now.Store(guard)
}

func (b *broker) recheck() {
	b.t.Helper()
	if _, err := b.Recheck(); err != nil {
		b.t.Fatal(err)
	}
}

func testKey(text string, rights auth.Right, topics ...string) auth.Key {
	return auth.Key{Name: text, SHA256: sha256.Sum256([]byte(text)), Rights: rights, Topics: topics}
}

// begin makes a request that takes a while, and returns where its answer comes.
func (b *broker) begin(method, target string, body io.Reader, header ...string) <-chan *httptest.ResponseRecorder {
	answered := make(chan *httptest.ResponseRecorder, 1)
	go func() { answered <- serve(b, request(method, target, body, header...)) }()
	return answered
}

// A pipedBody is a request's body that comes over a pipe, whose deadlines the server
// can move.
type pipedBody struct {
	*httptest.ResponseRecorder
	out net.Conn
}

func (b *pipedBody) SetReadDeadline(at time.Time) error { return b.out.SetReadDeadline(at) }

// beginStream begins a stream of lines that are written to the pipe.
func (b *broker) beginStream(header ...string) (in net.Conn, answered <-chan *httptest.ResponseRecorder) {
	in, out := net.Pipe()
	w, done := &pipedBody{httptest.NewRecorder(), out}, make(chan *httptest.ResponseRecorder, 1)
	go func() {
		b.ServeHTTP(w, request("POST", "/publish", out, append(header, "Content-Type", "application/x-ndjson")...))
		out.Close()
		done <- w.ResponseRecorder
	}()
	return in, done
}

// What comes of a poll and of a stream whose right goes: when it ends, and what both
// are told. The stream's next line would come much later.
func TestRightsOfThoseThatWait(t *testing.T) {
	t.Parallel()
	const all = auth.Publish | auth.Subscribe
	other := []byte(strings.Repeat("x", 32))
	for name, row := range map[string]struct {
		bearer string // "": a token of a minute
		secret []byte // of before
		keys   []auth.Key
		change func(*testing.T, *changingGuard) // after ten seconds
		ends   time.Duration
		status int // of the poll
		code   string
	}{
		"the token ends":             {"", tokenSecret, nil, nil, time.Minute, 401, "token_expired"},
		"its secret goes":            {"", tokenSecret, nil, func(t *testing.T, g *changingGuard) { g.use(t, other) }, 10 * time.Second, 401, "credentials_invalid"},
		"tokens go":                  {"", tokenSecret, nil, func(t *testing.T, g *changingGuard) { g.use(t, nil, testKey("k", all, ">")) }, 10 * time.Second, 401, "credentials_invalid"},
		"the key goes":               {"k", nil, []auth.Key{testKey("k", all, ">"), testKey("l", all, ">")}, func(t *testing.T, g *changingGuard) { g.use(t, nil, testKey("l", all, ">")) }, 10 * time.Second, 401, "credentials_invalid"},
		"the key's rights go":        {"k", nil, []auth.Key{testKey("k", all, ">")}, func(t *testing.T, g *changingGuard) { g.use(t, nil, testKey("k", auth.Admin, ">")) }, 10 * time.Second, 403, "forbidden"},
		"an open broker is no more":  {"none", nil, nil, func(t *testing.T, g *changingGuard) { g.use(t, nil, testKey("k", all, ">")) }, 10 * time.Second, 401, "credentials_missing"},
		"nothing that matters to it": {"k", nil, []auth.Key{testKey("k", all, ">")}, func(t *testing.T, g *changingGuard) { g.use(t, other, testKey("k", all, "cats", "dogs")) }, 2 * time.Minute, 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var g changingGuard
				g.use(t, row.secret, row.keys...)
				b := newBroker(t, withHistory, showing, g.setup, func(_ *hub.Options, o *api.Options) {
					o.MaxWait, o.BodyTimeout, o.WriteTimeout = time.Hour, time.Hour, time.Hour
				})
				begun := time.Now()
				bearer := "Bearer " + row.bearer
				if row.bearer == "" {
					bearer += testToken(t, begun.Add(time.Minute), []string{">"}, []string{">"})
				}
				poll := b.begin("GET", "/topics/dogs/events?wait=2m", nil, "Authorization", bearer)
				in, stream := b.beginStream("Authorization", bearer)
				if _, err := io.WriteString(in, line(1)+"\n"); err != nil {
					t.Fatal(err)
				}
				time.Sleep(10 * time.Second)
				if row.change != nil {
					row.change(t, &g)
					b.recheck()
				}
				w := <-poll
				if took := time.Since(begun); took != row.ends || w.Code != row.status || row.code != "" && !strings.Contains(w.Body.String(), row.code) {
					t.Errorf("after %v the poll is answered %d %s", took, w.Code, w.Body)
				}
				synctest.Wait()
				if row.code != "" && len(stream) == 0 {
					t.Error("the stream goes on")
				}
				time.Sleep(2*time.Minute - time.Since(begun))
				in.Close()
				var got summary
				b.answer(<-stream, &got)
				want := []string(nil)
				if row.code != "" {
					want = []string{"2 " + row.code}
				}
				if !reflect.DeepEqual(got.lines(), want) || got.Accepted != 1 {
					t.Errorf("the stream is answered %+v, want %q", got, want)
				}
				b.stop()
			})
		})
	}
}

// A key's patterns become fewer during a stream: lines that it may no longer publish are
// skipped.
func TestStreamOfANarrowerKey(t *testing.T) {
	t.Parallel()
	var g changingGuard
	g.use(t, nil, testKey("k", auth.Publish, ">"))
	b := newBroker(t, showing, g.setup, func(_ *hub.Options, o *api.Options) { o.BodyTimeout, o.WriteTimeout = time.Hour, time.Hour })
	in, stream := b.beginStream("Authorization", "Bearer k")
	send := func(text string) {
		t.Helper()
		if _, err := io.WriteString(in, text); err != nil {
			t.Fatal(err)
		}
	}
	send(line(1) + "\n" + `{"topic":"dogs","message":1}` + "\n{")
	for b.stats().Published < 2 {
		runtime.Gosched()
	}
	g.use(t, nil, testKey("k", auth.Publish, "cats"))
	b.recheck()
	send("}\n" + `{"topic":"dogs","message":2}` + "\n" + line(2))
	in.Close()
	var got summary
	b.answer(<-stream, &got)
	if want := []string{"3 invalid_message", "4 forbidden"}; got.Accepted != 3 || got.Rejected != 2 || !reflect.DeepEqual(got.lines(), want) {
		t.Errorf("%+v, want %q", got, want)
	}
}

// A request whose body takes a while is served by the rights at its arrival.
func TestRightsBehindASlowBody(t *testing.T) {
	t.Parallel()
	for target, body := range map[string]string{"/publish": catsBody, "/register": `{"user_id":1,"topics":["cats"]}`} {
		for code, keys := range map[string][]auth.Key{
			"credentials_invalid": {testKey("l", auth.Publish|auth.Register, ">")},
			"forbidden":           {testKey("k", auth.Publish|auth.Register, "dogs")},
		} {
			var g changingGuard
			g.use(t, nil, testKey("k", auth.Publish|auth.Register, ">"))
			b := newBroker(t, g.setup)
			in, out := io.Pipe()
			answered := b.begin("POST", target, in, "Authorization", "Bearer k")
			if _, err := io.WriteString(out, body[:3]); err != nil {
				t.Fatal(err)
			}
			g.use(t, nil, keys...)
			b.recheck()
			go func() {
				_, _ = io.WriteString(out, body[3:])
				out.Close()
			}()
			if w := <-answered; !strings.Contains(w.Body.String(), code) {
				t.Errorf("%s: %d %s, want %s", target, w.Code, w.Body, code)
			}
			if st := b.stats(); st.Published > 0 || st.Registered > 0 {
				t.Errorf("%s, %s: it was done", target, code)
			}
		}
	}
}

// Operators without a key publish at their address as long as the broker runs, whatever
// keys the others have.
func TestOperatorsPublish(t *testing.T) {
	t.Parallel()
	operators, err := auth.New(auth.Options{Open: true, Ours: true})
	if err != nil {
		t.Fatal(err)
	}
	var g changingGuard
	g.use(t, nil, testKey("k", auth.Publish, ">"))
	var want hub.Want
	b := newBroker(t, withHistory, showing, g.setup, func(_ *hub.Options, o *api.Options) {
		o.AdminGuard = func() *auth.Guard { return operators }
		fake(o).accept = func(_ http.ResponseWriter, _ *http.Request, w hub.Want, invalid error) error {
			want = w
			return invalid
		}
	})
	admin := &broker{Server: b.Server, t: t, hub: b.hub}
	ask := func(method, target, body string, header ...string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		admin.Admin().ServeHTTP(w, request(method, target, strings.NewReader(body), header...))
		return w
	}
	for range 2 {
		var got summary
		b.answer(ask("POST", "/publish", line(1)+"\n"+line(2), "Content-Type", "application/x-ndjson"), &got)
		if got.Accepted != 2 {
			t.Errorf("%+v", got)
		}
		if w := ask("POST", "/publish", catsBody); w.Code != 200 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if w := ask("GET", "/ws?topic=cats", ""); w.Code != 200 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if _, err := receiptOf(want.Publish, hub.PublishRequest{Topic: "cats", Message: []byte("1")}); err != nil {
			t.Errorf("over a connection: %v", err)
		}
		g.use(t, nil, testKey("l", auth.Publish, ">"))
		b.recheck()
	}
}

// A profile that takes time is not sent to a caller that has lost the right meanwhile.
func TestProfileOfAnOperatorNoMore(t *testing.T) {
	t.Parallel()
	var g changingGuard
	g.use(t, nil, testKey("k", auth.Admin, ">"))
	looked := make(chan struct{}, 1) // somebody is looked at who has been let in
	b := newBroker(t, g.setup, func(_ *hub.Options, o *api.Options) {
		o.AdminGuard = g.now.Load
		o.Guard = func() *auth.Guard {
			select {
			case looked <- struct{}{}:
			default:
			}
			return g.now.Load()
		}
	})
	for code, keys := range map[string][]auth.Key{"credentials_invalid": {testKey("l", auth.Admin, ">")}, "forbidden": {testKey("k", auth.Publish, ">")}} {
		g.use(t, nil, testKey("k", auth.Admin, ">"))
		answered := make(chan *httptest.ResponseRecorder, 1)
		go func() {
			w := httptest.NewRecorder()
			b.Admin().ServeHTTP(w, request("GET", "/debug/pprof/heap?seconds=3600", nil, "Authorization", "Bearer k"))
			answered <- w
		}()
		<-looked
		g.use(t, nil, keys...)
		b.recheck()
		if w := <-answered; !strings.Contains(w.Body.String(), code) || strings.Contains(w.Body.String(), "heap") {
			t.Errorf("%d %s, want %s", w.Code, w.Body, code)
		}
		select { // the last look
		case <-looked:
		default:
		}
	}
}

// What an image, a script or a link of a foreign page gets, which is nothing that costs.
func TestPagesWithoutAName(t *testing.T) {
	t.Parallel()
	open, err := auth.New(auth.Options{Open: true, Local: true, Origins: []string{"auto"}})
	if err != nil {
		t.Fatal(err)
	}
	ours, err := auth.New(auth.Options{Open: true, Local: true, Ours: true})
	if err != nil {
		t.Fatal(err)
	}
	setup := func(_ *hub.Options, o *api.Options) {
		o.Guard, fake(o).event = func() *auth.Guard { return open }, appendMessage
		o.Documents = []api.Document{{Path: "/belfry.js", Type: "text/javascript", Content: []byte("1")}}
	}
	whole := newBroker(t, setup)
	apart := newBroker(t, setup, func(_ *hub.Options, o *api.Options) { o.AdminGuard = func() *auth.Guard { return ours } })
	for _, at := range []struct {
		http.Handler
		paths map[string]string // and which of the four are served
	}{
		{whole, map[string]string{
			"/sse?topic=a": "", "/ws?topic=a": "", "/topics/a/events": "", "/publish": "", "/health": "", "/metrics": "", "/stats": "", "/clients": "", "/nothing": "",
			"/belfry.js": "image script link frame", "/console": "link", "/console/app.js": "link",
		}},
		{apart.Admin(), map[string]string{"/debug/pprof/": "", "/debug/pprof/heap?gc=1": "", "/debug/pprof/profile?seconds=30": "", "/stats": "", "/ws?topic=$stats": "", "/console": "link"}},
	} {
		for path, served := range at.paths {
			for what, dest := range map[string]string{"image": "image", "script": "script", "link": "document", "frame": "iframe"} {
				mode := "no-cors"
				if what == "link" || what == "frame" {
					mode = "navigate"
				}
				w := httptest.NewRecorder()
				at.ServeHTTP(w, request("GET", path, nil, "Host", "localhost:8000", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", mode, "Sec-Fetch-Dest", dest))
				if strings.Contains(served, what) != (w.Code == 200) || w.Code != 200 && w.Code != 403 {
					t.Errorf("%s of %s: %d %s", what, path, w.Code, w.Body)
				}
			}
		}
	}
}
