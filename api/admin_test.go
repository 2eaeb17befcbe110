package api

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
)

// No setting gives pages of other origins a call that is for administrators.
func TestAdminRoutesHaveNoCORS(t *testing.T) {
	t.Parallel()
	anyone := newOrigins([]string{"*"})
	for _, c := range []struct {
		method, origin string
		permitted      bool
	}{
		{"GET", "https://page.example", true}, // served, but not for the page to see
		{"DELETE", "https://page.example", false},
		{"OPTIONS", "https://page.example", false},
		{"DELETE", "http://example.com", true}, // the broker's own
		{"DELETE", "", true},
	} {
		w := httptest.NewRecorder()
		x := &exchange{ResponseWriter: w, r: httptest.NewRequest(c.method, "/", nil), route: &route{admin: true}}
		x.r.Header.Set("Access-Control-Request-Method", http.MethodGet)
		if c.origin != "" {
			x.r.Header.Set("Origin", c.origin)
		}
		preflight, err := anyone.check(x)
		p, _ := errors.AsType[*problem](err)
		if preflight || (err == nil) != c.permitted || !c.permitted && p.kind != originNotAllowed {
			t.Errorf("%+v: %v, %v", c, preflight, err)
		}
		if len(w.Header()) > 0 {
			t.Errorf("%+v: %v", c, w.Header())
		}
	}
}
