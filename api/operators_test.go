package api_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"belfry/api"
	"belfry/hub"
)

// A listed is what GET /clients and GET /topics answer, as far as it matters here.
type listed struct {
	Clients []struct {
		Handle string `json:"handle"`
	} `json:"clients"`
	Topics []struct {
		Topic string `json:"topic"`
	} `json:"topics"`
	Next string `json:"next"`
}

func (b *broker) list(path string, query url.Values) (got listed) {
	b.t.Helper()
	b.answer(b.call("GET", path+"?"+query.Encode(), ""), &got)
	return got
}

func many(o *hub.Options, _ *api.Options) { o.MaxClients, o.MaxConnections = 20_000, 20_000 }

func idOf(i int) (id hub.ID) {
	copy(id[:], fmt.Sprint(i))
	return id
}

// A caller that pages through 5,000 clients meets each one that stays exactly once, while
// others come and go.
func TestPagesOfClients(t *testing.T) {
	t.Parallel()
	b := newBroker(t, many)
	const clients = 5000
	register := func(i int) {
		if _, err := b.hub.Register(hub.Registration{ID: idOf(i), User: fmt.Sprint(i % 10), Topics: []string{"cats"}}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range clients {
		register(i)
	}
	stays := func(i int) bool { return i%5 != 0 }
	for _, query := range []url.Values{{"limit": {"37"}}, {}, {"limit": {"1000"}, "topic": {"cats"}}} {
		met, pages, gone := make(map[string]int), 0, 0
		for next := ""; pages == 0 || next != ""; pages++ {
			query.Set("after", next)
			got := b.list("/clients", query)
			for _, c := range got.Clients {
				met[c.Handle]++
			}
			next = got.Next
			for range 10 { // fewer than a page go and come back after the others
				i := gone % clients / 5 * 5
				if _, err := b.hub.Unregister(idOf(i)); err != nil {
					t.Fatal(err)
				}
				register(i)
				gone += 5
			}
			if pages > clients {
				t.Fatal("there is no end")
			}
		}
		for i := range clients {
			if n := met[idOf(i).Handle().String()]; stays(i) && n != 1 {
				t.Fatalf("%v: client %d is met %d times", query, i, n)
			}
		}
	}
}

// A search is answered in parts too. An empty part may have others after it.
func TestSearchOfClients(t *testing.T) {
	t.Parallel()
	b := newBroker(t, many)
	for i := range 3000 {
		if _, err := b.hub.Register(hub.Registration{ID: idOf(i), User: fmt.Sprint(i), Topics: []string{fmt.Sprint("t", i%7)}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		query string
		found int
	}{
		{"user_id=2999", 1}, {"user_id=x", 0}, {"topic=t3&limit=1000", 429}, {"handle=" + idOf(2998).Handle().String()[:9], 1}, {"state=live", 0},
		{"state=new&user_id=7&topic=t0", 1}, {"address=127", 0},
	} {
		query, err := url.ParseQuery(c.query)
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for first, next := true, ""; first || next != ""; first = false {
			query.Set("after", next)
			got := b.list("/clients", query)
			found += len(got.Clients)
			next = got.Next
		}
		if found != c.found {
			t.Errorf("%s: %d found, want %d", c.query, found, c.found)
		}
	}
	for _, query := range []string{"limit=0", "limit=1001", "limit=x", "after=-1", "after=x", "limit=%zz"} {
		problem(t, b.call("GET", "/clients?"+query, ""), 400, "malformed_request")
		problem(t, b.call("GET", "/topics?"+query, ""), 400, "malformed_request")
	}
	problem(t, b.call("GET", "/topics?pattern=a..b", ""), 400, "invalid_topic")
}

func TestTopicsAndPresence(t *testing.T) {
	t.Parallel()
	b := newBroker(t, withHistory)
	for i, topics := range []string{`["a.b"]`, `["a.b","a.*"]`, `["c"]`} {
		b.connect(b.register(fmt.Sprintf(`{"user_id":"u%d","topics":%s}`, i, topics)))
	}
	for range 3 {
		b.answer(b.call("POST", "/publish", `{"topic":"a.b","message":1}`), new(any))
	}
	names := func(query url.Values) (names []string) {
		for _, topic := range b.list("/topics", query).Topics {
			names = append(names, topic.Topic)
		}
		return names
	}
	if got := names(url.Values{"pattern": {"a.>"}}); !slices.Equal(got, []string{"a.b"}) {
		t.Errorf("a.>: %q", got)
	}
	if got := names(nil); !slices.Equal(got, []string{"a.b", "c"}) {
		t.Errorf("all: %q", got)
	}
	var topic struct {
		Subscribers int      `json:"subscribers"`
		Published   int      `json:"published"`
		Retained    int      `json:"retained"`
		Patterns    []string `json:"patterns"`
		LastEvent   string   `json:"last_event_at"`
	}
	b.answer(b.call("GET", "/topics/a.b", ""), &topic)
	if topic.Subscribers != 2 || topic.Published != 3 || topic.Retained != 3 || !slices.Equal(topic.Patterns, []string{"a.*"}) || topic.LastEvent == "" {
		t.Errorf("%+v", topic)
	}
	if w := b.call("GET", "/topics/a.b/presence", ""); strings.TrimSpace(w.Body.String()) != `{"topic":"a.b","users":[{"user_id":"u0","clients":1},{"user_id":"u1","clients":1}]}` {
		t.Errorf("%s", w.Body)
	}
	problem(t, b.call("GET", "/topics/a.*", ""), 400, "invalid_topic")
	problem(t, b.call("GET", "/topics/a..b/presence", ""), 400, "invalid_topic")
}

// An explanation says each check, and what it comes to.
func TestExplainCall(t *testing.T) {
	t.Parallel()
	written := hub.Position(0)
	b := newBroker(t, withHistory, func(_ *hub.Options, o *api.Options) {
		fake(o).inspect = func(_ context.Context, conns []*hub.Conn) []hub.ConnInfo {
			found := make([]hub.ConnInfo, len(conns))
			for i := range found {
				found[i] = hub.ConnInfo{QueueBytes: 1, Written: written}
			}
			return found
		}
	})
	handle := func(id string) string {
		key, _ := hub.ParseID(id)
		return key.Handle().String()
	}
	publish := func(body string) (id string) {
		var r struct {
			ID string `json:"id"`
		}
		b.answer(b.call("POST", "/publish", body), &r)
		return r.ID
	}
	early := publish(`{"topic":"cats","message":1}`)
	live, fresh, other := b.register(`{"user_id":1,"topics":["cats"]}`), b.register(`{"user_id":1,"topics":["c*ts","cats"]}`), b.register(`{"user_id":1,"topics":["dogs"]}`)
	b.connect(live)
	b.connect(other)
	event, foreign := publish(`{"topic":"cats","message":1}`), publish(`{"topic":"cats","user_id":2,"message":1}`)
	b.answerText(b.call("POST", "/add_topic?topic=cats&client_id="+other, ""))
	for _, c := range []struct {
		client, query string
		written       hub.Position
		verdict       string
		checks        string // registered, connected, subscribed, permitted, queued, written
	}{
		{live, "topic=cats", 0, "would_get", "yyyy--"},
		{live, "topic=dogs", 0, "not_subscribed", "yyny--"},
		{live, "event=" + event, 0, "queued", "yyyyyn"},
		{live, "event=" + event, 9, "written", "yyyyyy"},
		{live, "event=" + foreign, 9, "other_user", "yyynnn"},
		{live, "event=" + early, 9, "subscribed_later", "yyyynn"},
		{live, "event=none", 9, "unknown_event", "yy----"},
		{fresh, "topic=cats", 0, "never_connected", "ynyy--"},
		{fresh, "event=" + event, 0, "never_connected", "ynyynn"},
		{other, "event=" + event, 0, "subscribed_later", "yyyynn"},
		{strings.Repeat("0", 32), "topic=cats", 0, "unknown_client", "n-----"},
		{strings.Repeat("0", 32), "event=" + event, 0, "unknown_client", "n-----"},
	} {
		written = c.written
		var got struct {
			Verdict string `json:"verdict"`
			Detail  string `json:"detail"`
			Checks  []struct {
				Check  string `json:"check"`
				Passed *bool  `json:"passed"`
			} `json:"checks"`
		}
		b.answer(b.call("GET", "/clients/"+handle(c.client)+"/explain?"+c.query, ""), &got)
		checks, names := "", ""
		for _, check := range got.Checks {
			names += check.Check + " "
			switch {
			case check.Passed == nil:
				checks += "-"
			case *check.Passed:
				checks += "y"
			default:
				checks += "n"
			}
		}
		if got.Verdict != c.verdict || checks != c.checks || len(got.Detail) < 20 || names != "registered connected subscribed permitted queued written " {
			t.Errorf("%s: %+v, want %s %s", c.query, got, c.verdict, c.checks)
		}
	}
	for _, query := range []string{"", "topic=a&event=b", "topic=%zz"} {
		problem(t, b.call("GET", "/clients/"+handle(live)+"/explain?"+query, ""), 400, "malformed_request")
	}
	problem(t, b.call("GET", "/clients/"+handle(live)+"/explain?topic=a..b", ""), 400, "invalid_topic")
}

func (b *broker) answerText(w interface{ Result() *http.Response }) {
	b.t.Helper()
	if res := w.Result(); res.StatusCode != 200 {
		b.t.Fatal(res.Status)
	}
}

// A client is found by its handle and, where somebody has that, by its id.
func TestClientCall(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	id := b.register(`{"user_id":"u"}`)
	key, _ := hub.ParseID(id)
	for _, name := range []string{id, key.Handle().String()} {
		w := b.call("GET", "/clients/"+name, "")
		var got struct {
			User string `json:"user_id"`
		}
		if b.answer(w, &got); got.User != "u" || strings.Contains(w.Body.String(), id) {
			t.Errorf("%s", w.Body)
		}
	}
	b.answer(b.call("DELETE", "/clients/"+key.Handle().String(), ""), new(any))
	for _, name := range []string{id, key.Handle().String(), "x", strings.Repeat("g", 16)} {
		problem(t, b.call("GET", "/clients/"+name, ""), 404, "unknown_client")
		problem(t, b.call("DELETE", "/clients/"+name, ""), 404, "unknown_client")
	}
}

// The console is as it was built in: its own scripts alone, asked for again only if
// they have changed.
func TestConsoleFiles(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	for path, kind := range map[string]string{
		"/console": "text/html", "/console/app.js": "text/javascript", "/console/console.css": "text/css", "/console/icon.svg": "image/svg+xml",
	} {
		w := b.call("GET", path, "")
		policy, tag := w.Header().Get("Content-Security-Policy"), w.Header().Get("ETag")
		if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), kind) || w.Body.Len() < 100 {
			t.Errorf("%s: %d %v", path, w.Code, w.Header())
		}
		if strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") || !strings.Contains(policy, "default-src 'none'; script-src 'self';") || !strings.Contains(policy, "frame-ancestors 'none'") {
			t.Errorf("%s: %s", path, policy)
		}
		for given, status := range map[string]int{tag: 304, `"x", W/` + tag: 304, "*": 304, `"x"`: 200} {
			if w := b.call("GET", path, "", "If-None-Match", given); w.Code != status || (status == 304) != (w.Body.Len() == 0) {
				t.Errorf("%s, %s: %d with %d bytes", path, given, w.Code, w.Body.Len())
			}
		}
		problem(t, b.call("GET", path, "", "Origin", "https://page.example"), 403, "origin_not_allowed")
	}
	for _, path := range []string{"/console/none.js", "/console/index.html", "/console/console.go", "/console/..%2fapi.go", "/console/"} {
		problem(t, b.call("GET", path, ""), 404, "not_found")
	}
}

func TestConfigCall(t *testing.T) {
	t.Parallel()
	b := newBroker(t, func(_ *hub.Options, o *api.Options) {
		o.Settings = func() []api.Setting { return []api.Setting{{Group: "g", Name: "n", Value: "v", Reload: true}} }
	})
	if w := b.call("GET", "/config", ""); strings.TrimSpace(w.Body.String()) != `{"settings":[{"group":"g","name":"n","value":"v","default":false,"reload":true}]}` {
		t.Errorf("%s", w.Body)
	}
}

// Figures are delivered only to subscribers.
func TestStatsTopic(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); b.PublishStats(ctx) }()
	defer func() { stop(); <-done }()
	if err := b.hub.Connect(hub.Registration{ID: idOf(1), Topics: []string{hub.StatsTopic}}, &hub.Conn{}, hub.From{}); err != nil {
		t.Fatal(err)
	}
	select {
	case frame := <-b.frames:
		if !strings.Contains(frame, `"version":"1.2.3"`) || !strings.Contains(frame, `"publish_ms":{`) {
			t.Error(frame)
		}
	case <-time.After(time.Minute):
		t.Fatal("no figures are told in a minute")
	}
}
