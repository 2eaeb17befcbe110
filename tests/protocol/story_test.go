package protocol_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"belfry/tests/harness"
)

// TestStory is what the interface was first made for, one call after the
// other: a backend registers a user, the page connects and chooses topics, the
// backend publishes.
func TestStory(t *testing.T) {
	t.Parallel()
	b := harness.Start(t)

	before := time.Now()
	r := b.Register(t, `{"user_id": 1}`)
	if want := regexp.MustCompile(`^[0-9a-f]{32}$`); !want.MatchString(r.ClientID) || r.Path != "/ws/"+r.ClientID || r.URL != b.URL("ws", r.Path) {
		t.Errorf("registered as %+v", r)
	}
	if d := r.ExpiresAt.Sub(before).Round(time.Minute); d != 10*time.Minute || r.ExpiresAt.Location() != time.UTC {
		t.Errorf("the registration expires in %v, at %v", d, r.ExpiresAt)
	}
	p := b.Connect(t, r)

	t.Log("the topic of a registration that names none is cats")
	b.Publish(t, `{"topic": "cats", "user_id": 1, "message": "are awesome"}`)
	b.Publish(t, `{"topic": "cats", "message": "are awesome, all of them"}`)
	b.Publish(t, `{"topic": "dogs", "message": "are loyal"}`)
	p.Expect(t, "are awesome", "are awesome, all of them")
	p.Silent(t)

	t.Log("a page replaces its topics")
	p.Send(t, `{"topics": ["dogs", "fish"]}`)
	b.Publish(t, harness.Event("cats", "purr"))
	b.Publish(t, harness.Event("dogs", "bark"))
	b.Publish(t, harness.Event("fish", "glub"))
	p.Expect(t, "bark", "glub")

	t.Log("and again, with one that it keeps")
	p.Send(t, `{"topics": ["fish", "cats", "fish"]}`)
	b.Publish(t, harness.Event("dogs", "bark"))
	b.Publish(t, harness.Event("fish", "glub again"))
	b.Publish(t, harness.Event("cats", "purr again"))
	p.Expect(t, "glub again", "purr again")

	t.Log("or has none")
	p.Send(t, `{"topics": []}`)
	b.Publish(t, harness.Event("fish", "not heard"))
	p.Silent(t)
	p.Send(t, "{\n\t\"topics\" : [ \"cats\" ]\n}")

	t.Log("a ping is not answered")
	p.Send(t, "ping", "ping\n")
	p.Silent(t)
	if n := b.Metric(t, "belfry_messages_ignored_total"); n != 0 {
		t.Errorf("%v messages were ignored", n)
	}

	t.Log("the backend ends it")
	if !b.Unregister(t, r) {
		t.Error("the client was not removed")
	}
	p.Closed(t, 4000, "unregistered")
	b.Refused(t, r, http.StatusNotFound, "unknown_client")
	if b.Unregister(t, r) {
		t.Error("the client was removed twice")
	}
	b.Publish(t, harness.Event("cats", "is anybody there?"))
	if got := b.Census(t); got.Clients != 0 || got.Connected != 0 {
		t.Errorf("there are %+v", got)
	}
}

func TestEventForOneUser(t *testing.T) {
	t.Parallel()
	b := harness.Start(t)
	phone := b.Connect(t, b.Register(t, `{"user_id": 1}`))
	laptop := b.Connect(t, b.Register(t, `{"user_id": "1"}`)) // the same user
	other := b.Connect(t, b.Register(t, `{"user_id": "01"}`))
	dogs := b.Connect(t, b.Register(t, `{"user_id": 1, "topic": "dogs"}`))

	for _, user := range []string{`1`, `"1"`} {
		r := b.Publish(t, `{"topic": "cats", "user_id": `+user+`, "message": "for one"}`)
		if r.Matched != 2 || r.Queued != 2 {
			t.Errorf("user_id %s: %+v", user, r)
		}
	}
	b.Publish(t, `{"topic": "cats", "user_id": "01", "message": "for the other"}`)
	b.Publish(t, `{"topic": "cats", "user_id": null, "message": "for all"}`)
	phone.Expect(t, "for one", "for one", "for all")
	laptop.Expect(t, "for one", "for one", "for all")
	other.Expect(t, "for the other", "for all")
	for _, p := range []*harness.Peer{phone, laptop, other, dogs} {
		p.Silent(t)
	}
	if n := b.Metric(t, "belfry_users"); n != 2 {
		t.Errorf("there are %v users, want 2", n)
	}
}

func TestMessageText(t *testing.T) {
	t.Parallel()
	b := harness.Start(t)
	p := b.Connect(t, b.Register(t, `{"user_id": 1}`))
	for _, test := range []struct{ json, want string }{
		{`"are awesome"`, `are awesome`},
		{`""`, ``},
		{`" \u0000\n\"\\ \ud83d\ude00 é"`, " \x00\n\"\\ 😀 é"},
		{`"{\"not\": \"parsed\"}"`, `{"not": "parsed"}`},
		{`{"b" : 1, "a": [ 1.50, -0, 1e400, 12345678901234567890123 ]}`, `{"b":1,"a":[1.50,-0,1e400,12345678901234567890123]}`},
		{"[\n]", `[]`},
		{`{"html": "<b>&amp; \u00e9\/ and  spaces"}`, `{"html":"<b>&amp; \u00e9\/ and  spaces"}`},
		{` 1.0 `, `1.0`},
		{`true`, `true`},
		{`null`, `null`},
		{`"` + strings.Repeat("x", 65536) + `"`, strings.Repeat("x", 65536)},
	} {
		b.Publish(t, `{"topic": "cats", "message": `+test.json+`}`)
		p.Expect(t, test.want)
	}
	p.Silent(t)
}

// TestAddAndRemoveTopic: the newer form of changing topics, by the backend.
func TestAddAndRemoveTopic(t *testing.T) {
	t.Parallel()
	b := harness.Start(t)
	change := func(method, path string, form func(id, topic string) (query, body string)) func(t *testing.T, r harness.Registration, topic string) {
		return func(t *testing.T, r harness.Registration, topic string) {
			t.Helper()
			query, body := form(r.ClientID, topic)
			got := b.Call(t, method, path+query, body)
			if got.Status != 200 || !strings.HasPrefix(got.Header.Get("Content-Type"), "text/plain") || !strings.Contains(got.Body, topic) {
				t.Errorf("%s %s%s %s: got %d %s", method, path, query, body, got.Status, got.Body)
			}
		}
	}
	for name, form := range map[string]func(id, topic string) (query, body string){
		"JSON": func(id, topic string) (string, string) {
			return "", `{"client_id": "` + id + `", "topic": "` + topic + `"}`
		},
		"query": func(id, topic string) (string, string) { return "?client_id=" + id + "&topic=" + topic, "" },
		"both":  func(id, topic string) (string, string) { return "?client_id=" + id, `{"topic": "` + topic + `"}` },
	} {
		t.Run(name, func(t *testing.T) {
			add, remove := change("POST", "/add_topic", form), change("DELETE", "/remove_topic", form)
			r := b.Register(t, `{"user_id": 1}`)
			p := b.Connect(t, r)
			add(t, r, "dogs")
			add(t, r, "dogs") // it has it already
			b.Publish(t, harness.Event("dogs", "bark"))
			b.Publish(t, harness.Event("cats", "purr"))
			p.Expect(t, "bark", "purr")
			remove(t, r, "cats")
			remove(t, r, "birds") // it never had it
			b.Publish(t, harness.Event("cats", "not heard"))
			b.Publish(t, harness.Event("dogs", "bark again"))
			p.Expect(t, "bark again")
			p.Silent(t)

			b.Unregister(t, r)
			for _, c := range []struct{ method, path string }{{"POST", "/add_topic"}, {"DELETE", "/remove_topic"}} {
				query, body := form(r.ClientID, "dogs")
				b.Call(t, c.method, c.path+query, body).Problem(t, 404, "unknown_client")
			}
		})
	}
}

// TestTakeover: a second connection of a client, say of a reloaded page whose
// first one has not ended yet.
func TestTakeover(t *testing.T) {
	t.Parallel()
	b := harness.Start(t)
	r := b.Register(t, `{"user_id": 1}`)
	current := b.Connect(t, r)
	for range 5 {
		next := b.Connect(t, r)
		current.Closed(t, 4001, "replaced")
		b.Publish(t, harness.Event("cats", "purr"))
		next.Expect(t, "purr")
		current = next
	}
	for range 2 {
		late := b.Connect(t, r)
		late.Closed(t, 4002, "takeover_limit")
	}
	if got := b.Publish(t, harness.Event("cats", "still here")); got.Matched != 1 || got.Queued != 1 {
		t.Errorf("the client gets %+v", got)
	}
	current.Expect(t, "still here")
	current.Silent(t)
	if got := b.Census(t); got.Clients != 1 || got.Connected != 1 {
		t.Errorf("there are %+v", got)
	}
}

func TestPatterns(t *testing.T) {
	t.Parallel()
	b := harness.Start(t)
	topics := []string{"orders", "orders.eu", "orders.eu.paid", "orders.us.paid", "orders.eu.paid.late", "Orders.eu.paid", "ordersx.eu.paid", "a*.b>"}
	for _, test := range []struct {
		patterns []string
		want     []string
	}{
		{[]string{"orders.*.paid"}, []string{"orders.eu.paid", "orders.us.paid"}},
		{[]string{"orders.>"}, []string{"orders.eu", "orders.eu.paid", "orders.us.paid", "orders.eu.paid.late"}},
		{[]string{"*"}, []string{"orders"}},
		{[]string{"*.*"}, []string{"orders.eu", "a*.b>"}},
		{[]string{">"}, topics},
		{[]string{"orders.eu.*", "*.eu.paid", "orders.eu.paid", ">"}, topics}, // each event once
		{[]string{"a*.b>"}, []string{"a*.b>"}},                                // no wildcard: it is not the level
		{[]string{"orders.eu.paid.late.*"}, nil},
	} {
		list, _ := json.Marshal(test.patterns)
		registered := b.Connect(t, b.Register(t, fmt.Sprintf(`{"user_id": 1, "topics": %s}`, list)))
		chosen := b.Connect(t, b.Register(t, `{"user_id": 2, "topics": []}`))
		chosen.Send(t, fmt.Sprintf(`{"topics": %s}`, list))
		for _, topic := range topics {
			b.Publish(t, harness.Event(topic, topic))
		}
		for _, p := range []*harness.Peer{registered, chosen} {
			p.Expect(t, test.want...)
			p.Silent(t)
		}
	}
}

func TestTopicsAtRegister(t *testing.T) {
	t.Parallel()
	b := harness.Start(t, "--default-topics=news,cats.>")
	for _, test := range []struct{ members, want string }{
		{``, `news cats.tom`},
		{`, "topics": null`, `news cats.tom`},
		{`, "topic": "dogs"`, `dogs`},
		{`, "topics": ["dogs"]`, `dogs`},
		{`, "topics": ["fish", "dogs", "fish", "cats.*"]`, `dogs fish cats.tom`},
		{`, "topics": []`, ``},
	} {
		p := b.Connect(t, b.Register(t, `{"user_id": 1`+test.members+`}`))
		for _, topic := range []string{"news", "dogs", "fish", "cats.tom", "birds"} {
			b.Publish(t, harness.Event(topic, topic))
		}
		t.Log(test.members)
		p.Expect(t, strings.Fields(test.want)...)
		p.Silent(t)
	}
}

func TestRegisterURL(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ flag, host, want string }{
		{"--public-url=", "events.example.com", "ws://events.example.com/ws/"},
		{"--public-url=", "[::1]:8000", "ws://[::1]:8000/ws/"},
		{"--public-url=https://events.example.com/live/", "10.0.0.1", "wss://events.example.com/live/ws/"},
		{"--public-url=ws://events.example.com:81", "10.0.0.1", "ws://events.example.com:81/ws/"},
	} {
		b := harness.Start(t, "--insecure", test.flag)
		w := b.Socket(t, "POST /register HTTP/1.1\r\nHost: "+test.host+"\r\nContent-Length: 13\r\n\r\n{\"user_id\":1}")
		got := w.Answer(t)
		var r harness.Registration
		if err := json.Unmarshal([]byte(got.Body), &r); err != nil || r.URL != test.want+r.ClientID || r.ClientID == "" {
			t.Errorf("%+v: %v, %d %s", test, err, got.Status, got.Body)
		}
	}
}

func TestReceipts(t *testing.T) {
	t.Parallel()
	b := harness.Start(t)
	last := ""
	publish := func(body string, matched, queued int) {
		t.Helper()
		r := b.Publish(t, body)
		if r.Matched != matched || r.Queued != queued || r.Scope != "node" || r.Duplicate || !strings.Contains(body, `"`+r.Topic+`"`) {
			t.Errorf("%s: %+v, want %d matched and %d queued", body, r, matched, queued)
		}
		if len(r.ID) != 36 || r.Cursor <= last || last != "" && len(r.Cursor) != len(last) {
			t.Errorf("%s: %+v after cursor %s", body, r, last)
		}
		last = r.Cursor
	}
	publish(harness.Event("cats", "nobody is here"), 0, 0)
	r := b.Register(t, `{"user_id": 1}`)
	b.Register(t, `{"user_id": 2, "topics": ["*", "cats"]}`)
	publish(harness.Event("cats", "nobody has connected"), 2, 0)
	p := b.Connect(t, r)
	publish(harness.Event("cats", "one has connected"), 2, 1)
	publish(harness.Event("dogs", "the other wants all"), 1, 0)
	publish(`{"topic": "cats", "user_id": 1, "message": "for one"}`, 1, 1)
	publish(`{"topic": "cats", "user_id": 2, "message": "for the other"}`, 1, 0)
	publish(`{"topic": "cats", "user_id": 3, "message": "for nobody"}`, 0, 0)
	p.Expect(t, "one has connected", "for one")
	p.Leave()
	b.Away(t)
	publish(harness.Event("cats", "one is away"), 2, 0)
	b.Unregister(t, r)
	publish(harness.Event("cats", "one is gone"), 1, 0)
}

// TestRegistrationExpires: a client that never connects is forgotten, one that
// has connected is not.
func TestRegistrationExpires(t *testing.T) {
	t.Parallel()
	b := harness.Start(t, "--register-ttl="+harness.ShortTime.String())
	p := b.Connect(t, b.Register(t, `{"user_id": 1}`))
	away := b.Register(t, `{"user_id": 1}`)
	b.Connect(t, away).Leave()
	never := b.Register(t, `{"user_id": 1}`)
	if d := time.Until(never.ExpiresAt); d > harness.ShortTime {
		t.Errorf("the registration expires in %v", d)
	}
	harness.Eventually(t, "the client that has never connected is forgotten", func() bool { return b.Census(t).Clients == 2 })
	b.Refused(t, never, http.StatusNotFound, "unknown_client")
	if got := b.Publish(t, harness.Event("cats", "purr")); got.Matched != 2 || got.Queued != 1 {
		t.Errorf("the others get %+v", got)
	}
	p.Expect(t, "purr")
	b.Connect(t, away).Expect(t, "purr")
}

func TestHealth(t *testing.T) {
	t.Parallel()
	b := harness.Start(t, "--history-events=1")
	for _, step := range []struct {
		what string
		do   func()
		want harness.Census
	}{
		{"nothing", func() {}, harness.Census{Clients: 0, Connected: 0, Topics: 0}},
		{"a registration", func() { b.Register(t, `{"user_id": 1, "topics": ["cats", "dogs"]}`) }, harness.Census{Clients: 1, Connected: 0, Topics: 2}},
		{"another, of a pattern", func() { b.Register(t, `{"user_id": 1, "topics": ["cats", "fish.*"]}`) }, harness.Census{Clients: 2, Connected: 0, Topics: 2}},
		{"a connection", func() { b.Connect(t, b.Register(t, `{"user_id": 2, "topics": ["birds"]}`)) }, harness.Census{Clients: 3, Connected: 1, Topics: 3}},
		{"an event that nobody wants, but that is retained", func() { b.Publish(t, harness.Event("news", "hear, hear")) }, harness.Census{Clients: 3, Connected: 1, Topics: 4}},
	} {
		step.do()
		if got := b.Census(t); got != step.want {
			t.Errorf("after %s: %+v, want %+v", step.what, got, step.want)
		}
	}
	got := harness.Ask[struct {
		Status  string
		Version *string
		UptimeS *int `json:"uptime_s"`
	}](t, b, "GET", "/health", "")
	if got.Status != "ok" || got.Version == nil || *got.Version == "" || got.UptimeS == nil || *got.UptimeS < 0 {
		t.Errorf("/health answers %+v", got)
	}
	for path, status := range map[string]string{"/health/live": "ok", "/health/ready": "ready"} {
		if got := harness.Ask[struct{ Status string }](t, b, "GET", path, ""); got.Status != status {
			t.Errorf("%s answers %q", path, got.Status)
		}
	}
}

// TestPagesOfOtherOrigins: any page may use every call, without credentials, if
// the configuration says so.
func TestPagesOfOtherOrigins(t *testing.T) {
	t.Parallel()
	b := harness.Start(t, "--allowed-origins=*")
	for _, path := range []string{"/register", "/register/x", "/publish", "/add_topic", "/remove_topic", "/health", "/ws/x", "/not/there"} {
		got := b.Call(t, "OPTIONS", path, "", "Origin", "https://page.example", "Access-Control-Request-Method", "DELETE", "Access-Control-Request-Headers", "content-type")
		h := got.Header
		if got.Status != 204 || h.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(h.Get("Access-Control-Allow-Methods"), "DELETE") ||
			h.Get("Access-Control-Allow-Headers") != "content-type" || h.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("preflight of %s: %d %v", path, got.Status, h)
		}
	}
	for _, call := range []struct {
		method, path, body string
		status             int
	}{
		{"POST", "/register", `{"user_id": 1}`, 200},
		{"POST", "/publish", harness.Event("cats", "purr"), 200},
		{"POST", "/publish", `{}`, 400},
		{"GET", "/not/there", ``, 404},
	} {
		got := b.Call(t, call.method, call.path, call.body, "Origin", "https://page.example")
		if got.Status != call.status || got.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s %s: %d %v", call.method, call.path, got.Status, got.Header)
		}
	}
}
