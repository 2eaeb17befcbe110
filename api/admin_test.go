package api

import (
	"net/http/httptest"
	"testing"

	"belfry/api/auth"
)

// No setting gives pages of other origins a call that is for administrators, nor
// what it answers.
func TestAdminRoutesHaveNoCORS(t *testing.T) {
	t.Parallel()
	guard, err := auth.New(auth.Options{Open: true, Origins: []string{"*"}})
	if err != nil {
		t.Fatal(err)
	}
	s := New(Options{Guard: func() *auth.Guard { return guard }, Transport: struct{ Transport }{}})
	s.public.routes = newRoutes([]*route{{method: "DELETE", pattern: "/all", right: auth.Admin, admin: true, handle: func(*exchange) (any, error) { return "done", nil }}})
	for _, c := range []struct {
		method, origin string
		status         int
	}{
		{"DELETE", "https://page.example", 403},
		{"OPTIONS", "https://page.example", 403},
		{"DELETE", "http://example.com", 200}, // the broker's own
		{"DELETE", "", 200},
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(c.method, "/all", nil)
		r.Header.Set("Access-Control-Request-Method", "DELETE")
		if c.origin != "" {
			r.Header.Set("Origin", c.origin)
		}
		s.ServeHTTP(w, r)
		if w.Code != c.status {
			t.Errorf("%+v: %d %s", c, w.Code, w.Body)
		}
	}
}
