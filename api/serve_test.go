package api_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"belfry/api"
	"belfry/hub"
)

func TestMethods(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	for path, allow := range map[string]string{
		"/publish":         "OPTIONS, POST",
		"/register":        "OPTIONS, POST",
		"/register/x":      "OPTIONS, DELETE",
		"/register/a%2Fb":  "OPTIONS, DELETE",
		"/ws/x":            "OPTIONS, GET, HEAD",
		"/ws":              "OPTIONS, GET, HEAD",
		"/sse?topic=a":     "OPTIONS, GET, HEAD",
		"/topics/a/events": "OPTIONS, GET, HEAD",
		"/health/live":     "OPTIONS, GET, HEAD",
		"/remove_topic?x":  "OPTIONS, DELETE",
		"/metrics?x=/nope": "OPTIONS, GET, HEAD",
	} {
		w := b.call("OPTIONS", path, "")
		if w.Code != 204 || w.Header().Get("Allow") != allow || w.Body.Len() > 0 {
			t.Errorf("OPTIONS %s: %d, Allow: %s, want %s", path, w.Code, w.Header().Get("Allow"), allow)
		}
		w = b.call("BREW", path, "")
		problem(t, w, 405, "method_not_allowed")
		if w.Header().Get("Allow") != allow {
			t.Errorf("BREW %s: Allow: %s, want %s", path, w.Header().Get("Allow"), allow)
		}
	}
}

// TestIsAnybodyThere: a proxy that is told no path asks for the options of /, where there
// is nothing else.
func TestIsAnybodyThere(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	if w := b.call("OPTIONS", "/", ""); w.Code != 204 || w.Header().Get("Allow") != "OPTIONS" || w.Body.Len() > 0 {
		t.Errorf("got %d, Allow: %s", w.Code, w.Header().Get("Allow"))
	}
	problem(t, b.call("GET", "/", ""), 404, "not_found")
}

// Paths that a client can send and a router may stumble over.
func TestOddPaths(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	for _, path := range []string{"", "*", "//", "/%2F", "/wss", "/ws//", "/:client_id", "/ws/{client_id}/x", "/health/", "/héalth", "/\x00"} {
		for _, method := range []string{"GET", "OPTIONS", "CONNECT"} {
			r := httptest.NewRequest(method, "/", nil)
			r.URL.Path = path
			w := httptest.NewRecorder()
			b.ServeHTTP(w, r)
			problem(t, w, 404, "not_found")
		}
	}
}

func TestHead(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	server := httptest.NewServer(b)
	defer server.Close()
	for _, path := range []string{"/health", "/health/live", "/metrics", "/nothing"} {
		got, err := server.Client().Head(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(got.Body)
		got.Body.Close()
		if want := path != "/nothing"; (got.StatusCode == 200) != want || len(body) > 0 {
			t.Errorf("%s: %s %q", path, got.Status, body)
		}
	}
}

func TestRequestID(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	made := make(map[string]bool)
	for given, kept := range map[string]bool{
		"a": true, "A-z_0.9": true, strings.Repeat("x", 64): true,
		"": false, strings.Repeat("x", 65): false, "a b": false, "a/b": false, "é": false, "a\x00": false, `"`: false,
	} {
		w := b.call("GET", "/health", "", "X-Request-Id", given)
		got := w.Header().Get("X-Request-Id")
		if (got == given) != kept || !regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`).MatchString(got) || made[got] {
			t.Errorf("%q became %q", given, got)
		}
		made[got] = true
	}
	if got := b.call("GET", "/health", "", "X-Request-Id", "a", "X-Request-Id", "b").Header()["X-Request-Id"]; len(got) != 1 || got[0] == "a" || got[0] == "b" {
		t.Errorf("two ids became %q", got)
	}
}

// withWebSocket returns a broker whose connections are taken over by f.
func withWebSocket(t *testing.T, log *zap.Logger, f func(http.ResponseWriter, *http.Request, hub.Want, error) error) *broker {
	return newBroker(t, func(_ *hub.Options, o *api.Options) { o.Log, fake(o).accept = log, f })
}

func TestPanic(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.ErrorLevel)
	b := withWebSocket(t, zap.New(core), func(http.ResponseWriter, *http.Request, hub.Want, error) error { panic("secret") })
	w := b.call("GET", "/ws/"+nowhere, "")
	p := problem(t, w, 500, "internal")
	if strings.Contains(w.Body.String(), "secret") {
		t.Error("the client was told of the panic")
	}
	got := logs.TakeAll()
	if len(got) != 1 || got[0].ContextMap()["panic"] != "secret" || got[0].ContextMap()["request_id"] != p.RequestID ||
		!strings.Contains(got[0].ContextMap()["stack"].(string), "TestPanic") {
		t.Errorf("logged %+v", got)
	}
	if w := b.call("GET", "/health", ""); w.Code != 200 {
		t.Errorf("after it: %d", w.Code)
	}
}

// A response that was cut short must not look whole.
func TestPanicAfterWrite(t *testing.T) {
	t.Parallel()
	for _, v := range []any{"late", http.ErrAbortHandler} {
		b := withWebSocket(t, nil, func(w http.ResponseWriter, _ *http.Request, _ hub.Want, _ error) error {
			_, _ = io.WriteString(w, "half a ")
			_ = http.NewResponseController(w).Flush()
			panic(v)
		})
		server := httptest.NewServer(b)
		got, err := server.Client().Get(server.URL + "/ws/" + nowhere)
		if err == nil {
			_, err = io.ReadAll(got.Body)
			got.Body.Close()
		}
		if err == nil {
			t.Errorf("%v: the response looks whole", v)
		}
		server.Close()
	}
}

func TestInternalError(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.ErrorLevel)
	b := withWebSocket(t, zap.New(core), func(http.ResponseWriter, *http.Request, hub.Want, error) error { return errors.New("secret") })
	w := b.call("GET", "/ws/"+nowhere, "")
	problem(t, w, 500, "internal")
	if got := logs.TakeAll(); len(got) != 1 || strings.Contains(w.Body.String(), "secret") || got[0].ContextMap()["error"] != "secret" {
		t.Errorf("logged %+v, answered %s", got, w.Body)
	}
}

// A handshake is what a transport refuses with.
type handshake struct {
	status int
	header http.Header
}

func (h handshake) Error() string       { return "the handshake is not as it should be: \xff" }
func (h handshake) Status() int         { return h.status }
func (h handshake) Header() http.Header { return h.header }

func TestHandshakeRefused(t *testing.T) {
	t.Parallel()
	for status, code := range map[int]string{
		400: "bad_handshake", 403: "origin_not_allowed", 405: "method_not_allowed", 426: "upgrade_required", 404: "not_found", 411: "handshake_refused",
	} {
		header := http.Header{"Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}}
		b := withWebSocket(t, nil, func(http.ResponseWriter, *http.Request, hub.Want, error) error { return handshake{status, header} })
		w := b.call("GET", "/ws/"+nowhere, "")
		problem(t, w, status, code)
		for name := range header {
			if w.Header().Get(name) != header.Get(name) {
				t.Errorf("%d: %s: %q", status, name, w.Header().Get(name))
			}
		}
	}
}

// A transport gets the id, and the connection itself.
func TestHijack(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.InfoLevel)
	const id = "0123456789abcdef0123456789ABCDEF"
	b := withWebSocket(t, zap.New(core), func(w http.ResponseWriter, r *http.Request, got hub.Want, _ error) error {
		if !got.Registered || got.ID.String() != strings.ToLower(id) {
			t.Errorf("got %+v", got)
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return err
		}
		defer conn.Close()
		_, err = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
		return errors.Join(err, errors.New("too late to be told"))
	})
	served := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(served)
		b.ServeHTTP(w, r)
	}))
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "GET /ws/"+id+" HTTP/1.1\r\nHost: x\r\n\r\n")
	all, err := io.ReadAll(bufio.NewReader(conn))
	if string(all) != "HTTP/1.1 101 Switching Protocols\r\n\r\n" {
		t.Errorf("got %q, %v", all, err)
	}
	server.Close()
	<-served
	if lines := logs.FilterMessage("http 1xx").All(); len(lines) != 1 || lines[0].ContextMap()["status"] != int64(101) {
		t.Errorf("logged %+v", logs.All())
	}
}
