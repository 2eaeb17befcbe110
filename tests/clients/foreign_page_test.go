package clients_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"belfry/tests/harness"
)

// TestForeignPagesInChromium has pages of several origins try all that a page can do with
// brokers that are set up in several ways, in a real browser.
func TestForeignPagesInChromium(t *testing.T) {
	t.Parallel()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<!doctype html>") }))
	defer web.Close()
	_, port, _ := net.SplitHostPort(web.Listener.Addr().String())
	evil, near := "http://evil.example:"+port, "http://localhost:"+port

	open, anyPage := harness.Start(t), harness.Start(t, "--allowed-origins=*")
	keyed, secret := harness.WithTokens(t)
	strict, strictSecret := harness.WithTokens(t, "--allowed-origins="+near)
	token := func(secret string) string {
		return harness.NewToken(t, secret, "--user=7", "--subscribe=cats", "--publish=cats")
	}
	_, openPort, _ := net.SplitHostPort(open.Addr)
	const (
		nothing = "websocket failed eventsource failed history failed json failed simple failed form failed"
		denied  = "websocket failed eventsource failed history 401 json 401 simple 401 form 401"
		all     = "websocket open eventsource open history 200 json 200 simple 415 form 200"
		asked   = "websocket open eventsource open history 200 json 200 simple 401 form 401" // the last two bring no token
	)
	rows := []struct {
		what      string
		Page      string `json:"page"`
		Broker    string `json:"broker"`
		Token     string `json:"token,omitempty"`
		want      string
		b         *harness.Broker
		published int // in all, by then
	}{
		{"a foreign page, no keys", evil, open.Addr, "", "200 " + nothing, open, 0},
		{"a foreign page, no keys, by name", evil, "localhost:" + openPort, "", "200 " + nothing, open, 0},
		{"DNS rebinding", "http://evil.example:" + openPort + "/health", "evil.example:" + openPort, "", "403 " + nothing, open, 0}, // and what it got in place of the page may load nothing,
		{"a page of this machine, no keys", near, open.Addr, "", "200 " + all, open, 3},
		{"a foreign page where any may", evil, anyPage.Addr, "", "200 " + all, anyPage, 3},
		{"a foreign page without a token", evil, keyed.Addr, "", "200 " + denied, keyed, 0},
		{"a foreign page with a token", evil, keyed.Addr, token(secret), "200 " + asked, keyed, 1},
		{"a foreign page with a token that is not permitted", evil, strict.Addr, token(strictSecret), "200 " + nothing, strict, 0},
		{"the page that is permitted", near, strict.Addr, token(strictSecret), "200 " + asked, strict, 1},
	}
	cases, err := json.Marshal(rows)
	if err != nil {
		t.Fatal(err)
	}
	published := make(map[*harness.Broker]int) // in the end
	s := chromiumPlays(t, "foreign_page.mjs", string(cases))
	for _, row := range rows {
		got := s.Next().Message
		if !strings.HasPrefix(got, row.want+" blind "+map[bool]string{true: "failed", false: "opaque"}[row.what == "DNS rebinding"]) {
			t.Errorf("%s: %s, want %s", row.what, got, row.want)
		}
		published[row.b] = row.published // the pages do not wait to be looked at
	}
	for b, want := range published {
		if n := retained(b, t, map[*harness.Broker]string{keyed: token(secret), strict: token(strictSecret)}[b]); n != want {
			t.Errorf("%d events are published, want %d", n, want)
		}
	}
}

// retained returns how many events of the topic cats there are.
func retained(b *harness.Broker, t *testing.T, token string) int {
	t.Helper()
	status, answer := b.Ask(t, token, "GET", "/topics/cats/events?last=100", "")
	if status != 200 {
		t.Fatalf("%d %s", status, answer)
	}
	return strings.Count(answer, `"id":`)
}
