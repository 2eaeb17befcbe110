package api_test

import (
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"belfry/api"
	"belfry/api/auth"
	"belfry/hub"
)

// withOrigins returns a broker that everybody may use, but only pages of these
// origins.
func withOrigins(t *testing.T, allowed ...string) *broker {
	t.Helper()
	guard, err := auth.New(auth.Options{Open: true, Origins: allowed})
	if err != nil {
		t.Fatal(err)
	}
	return newBroker(t, func(_ *hub.Options, o *api.Options) { o.Guard = func() *auth.Guard { return guard } })
}

// corsHeaders are those that permit something.
func corsHeaders(w *httptest.ResponseRecorder) (names []string) {
	for name := range w.Header() {
		if strings.HasPrefix(name, "Access-Control-") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func TestAnyOrigin(t *testing.T) {
	t.Parallel()
	b := withOrigins(t, "*")
	const origin = "https://page.example"
	for _, path := range []string{"/publish", "/register/x", "/health", "/nothing", "/"} {
		w := b.call("OPTIONS", path, "", "Origin", origin, "Access-Control-Request-Method", "DELETE", "Access-Control-Request-Headers", "content-type,x-y")
		h := w.Header()
		if w.Code != 204 || h.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(h.Get("Access-Control-Allow-Methods"), "DELETE") ||
			h.Get("Access-Control-Allow-Headers") != "content-type,x-y" || h.Get("Access-Control-Max-Age") == "" || w.Body.Len() > 0 {
			t.Errorf("preflight of %s: %d %v", path, w.Code, h)
		}
	}
	for _, w := range []*httptest.ResponseRecorder{
		b.call("POST", "/publish", `{"topic":"cats","message":1}`, "Origin", origin),
		b.call("POST", "/publish", `{`, "Origin", "null"),
		b.call("GET", "/nothing", "", "Origin", origin),
		b.call("OPTIONS", "/publish", "", "Origin", origin),
	} {
		if h := w.Header(); h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Access-Control-Allow-Credentials") != "" || h.Get("Access-Control-Expose-Headers") == "" {
			t.Errorf("%d: %v", w.Code, h)
		}
	}
	if got := corsHeaders(b.call("GET", "/health", "")); got != nil {
		t.Errorf("without an origin: %v", got)
	}
}

func TestSomeOrigins(t *testing.T) {
	t.Parallel()
	b := withOrigins(t, "https://page.example", "http://localhost:3000")
	const body = `{"topic":"cats","message":1}`
	for _, c := range []struct {
		origin  string
		allowed bool
	}{
		{"https://page.example", true}, {"http://localhost:3000", true},
		{"http://page.example", false}, {"https://page.example:444", false}, {"https://sub.page.example", false},
		{"https://page.example.evil", false}, {"null", false}, {"x", false},
	} {
		w := b.call("POST", "/publish", body, "Origin", c.origin)
		if c.allowed && (w.Code != 200 || w.Header().Get("Access-Control-Allow-Origin") != c.origin) {
			t.Errorf("%s: %d %v", c.origin, w.Code, w.Header())
		}
		if !c.allowed {
			problem(t, w, 403, "origin_not_allowed")
			problem(t, b.call("OPTIONS", "/publish", "", "Origin", c.origin, "Access-Control-Request-Method", "POST"), 403, "origin_not_allowed")
			problem(t, b.call("POST", "/nothing", body, "Origin", c.origin), 403, "origin_not_allowed")
			w = b.call("GET", "/health", "", "Origin", c.origin)
			if problem(t, w, 403, "origin_not_allowed"); corsHeaders(w) != nil {
				t.Errorf("GET from %s: %v", c.origin, w.Header())
			}
		}
		if w.Header().Get("Vary") != "Origin" {
			t.Errorf("%s: Vary: %s", c.origin, w.Header().Get("Vary"))
		}
	}
	if n := b.stats().Published; n != 2 {
		t.Errorf("%d published, want the two of allowed origins", n)
	}
}

// A page of the broker's own needs no permission, whichever origins are
// allowed.
func TestSameOrigin(t *testing.T) {
	t.Parallel()
	b := withOrigins(t)
	for origin, want := range map[string]int{"http://me.example:80": 200, "https://ME.example:80": 200, "http://me.example": 403, "me.example:80": 403} {
		w := b.call("POST", "/publish", `{"topic":"cats","message":1}`, "Host", "me.example:80", "Origin", origin)
		if w.Code != want || corsHeaders(w) != nil {
			t.Errorf("%s: %d %v", origin, w.Code, w.Header())
		}
	}
}

// A browser does not keep the frames of a WebSocket from a page, so a page of
// another origin must not get one.
func TestOriginOfSocket(t *testing.T) {
	t.Parallel()
	b := withOrigins(t, "https://a.example")
	path := "/ws/" + b.register(`{"user_id":1}`)
	problem(t, b.call("GET", path, "", "Origin", "https://b.example"), 403, "origin_not_allowed")
	for _, origin := range []string{"https://a.example", "http://example.com"} { // the other is the request's host
		if w := b.call("GET", path, "", "Origin", origin); w.Code != 200 {
			t.Errorf("%s: %d %s", origin, w.Code, w.Body)
		}
	}
}

// Which pages may is a matter of the guard in force, which can change while the
// broker runs.
func TestOriginsCanChange(t *testing.T) {
	t.Parallel()
	var guards []*auth.Guard
	for _, allowed := range [][]string{{"https://a.example"}, {"https://b.example"}, {}, {"*"}} {
		guard, err := auth.New(auth.Options{Open: true, Origins: allowed})
		if err != nil {
			t.Fatal(err)
		}
		guards = append(guards, guard)
	}
	var inForce *auth.Guard
	b := newBroker(t, func(_ *hub.Options, o *api.Options) { o.Guard = func() *auth.Guard { return inForce } })
	for i, want := range []string{"https://a.example", "", "", "*"} {
		inForce = guards[i]
		w := b.call("GET", "/health", "", "Origin", "https://a.example")
		if got := w.Header().Get("Access-Control-Allow-Origin"); got != want || (w.Code == 200) != (want != "") {
			t.Errorf("guard %d: %d, allowed is %q, want %q", i, w.Code, got, want)
		}
	}
}
