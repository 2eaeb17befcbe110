package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestStartsAtOnce: what the program does before it listens waits for nothing.
// In the bubble time passes only when all wait.
func TestStartsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		idleBroker(t)
		if d := time.Since(begin); d > 0 {
			t.Errorf("making the broker has taken %v", d)
		}
	})
}

// TestStory is what the interface was first made for, one call after the
// other: a backend registers a user, the page connects and chooses topics, the
// backend publishes.
func TestStory(t *testing.T) {
	t.Parallel()
	b := start(t)

	before := time.Now()
	r := b.register(t, `{"user_id": 1}`)
	if want := regexp.MustCompile(`^[0-9a-f]{32}$`); !want.MatchString(r.ClientID) || r.Path != "/ws/"+r.ClientID || r.URL != b.url("ws", r.Path) {
		t.Errorf("registered as %+v", r)
	}
	if d := r.ExpiresAt.Sub(before).Round(time.Minute); d != 10*time.Minute || r.ExpiresAt.Location() != time.UTC {
		t.Errorf("the registration expires in %v, at %v", d, r.ExpiresAt)
	}
	p := b.connect(t, r)

	t.Log("the topic of a registration that names none is cats")
	b.publish(t, `{"topic": "cats", "user_id": 1, "message": "are awesome"}`)
	b.publish(t, `{"topic": "cats", "message": "are awesome, all of them"}`)
	b.publish(t, `{"topic": "dogs", "message": "are loyal"}`)
	p.expect(t, "are awesome", "are awesome, all of them")
	p.silent(t)

	t.Log("a page replaces its topics")
	p.send(t, `{"topics": ["dogs", "fish"]}`)
	b.publish(t, event("cats", "purr"))
	b.publish(t, event("dogs", "bark"))
	b.publish(t, event("fish", "glub"))
	p.expect(t, "bark", "glub")

	t.Log("and again, with one that it keeps")
	p.send(t, `{"topics": ["fish", "cats", "fish"]}`)
	b.publish(t, event("dogs", "bark"))
	b.publish(t, event("fish", "glub again"))
	b.publish(t, event("cats", "purr again"))
	p.expect(t, "glub again", "purr again")

	t.Log("or has none")
	p.send(t, `{"topics": []}`)
	b.publish(t, event("fish", "not heard"))
	p.silent(t)
	p.send(t, "{\n\t\"topics\" : [ \"cats\" ]\n}")

	t.Log("a ping is not answered")
	p.send(t, "ping", "ping\n")
	p.silent(t)
	if n := b.metric(t, "belfry_messages_ignored_total"); n != 0 {
		t.Errorf("%v messages were ignored", n)
	}

	t.Log("the backend ends it")
	if !b.unregister(t, r) {
		t.Error("the client was not removed")
	}
	p.closed(t, 4000, "unregistered")
	b.refused(t, r, http.StatusNotFound, "unknown_client")
	if b.unregister(t, r) {
		t.Error("the client was removed twice")
	}
	b.publish(t, event("cats", "is anybody there?"))
	if got := b.census(t); got.Clients != 0 || got.Connected != 0 {
		t.Errorf("there are %+v", got)
	}
}

func TestEventForOneUser(t *testing.T) {
	t.Parallel()
	b := start(t)
	phone := b.connect(t, b.register(t, `{"user_id": 1}`))
	laptop := b.connect(t, b.register(t, `{"user_id": "1"}`)) // the same user
	other := b.connect(t, b.register(t, `{"user_id": "01"}`))
	dogs := b.connect(t, b.register(t, `{"user_id": 1, "topic": "dogs"}`))

	for _, user := range []string{`1`, `"1"`} {
		r := b.publish(t, `{"topic": "cats", "user_id": `+user+`, "message": "for one"}`)
		if r.Matched != 2 || r.Queued != 2 {
			t.Errorf("user_id %s: %+v", user, r)
		}
	}
	b.publish(t, `{"topic": "cats", "user_id": "01", "message": "for the other"}`)
	b.publish(t, `{"topic": "cats", "user_id": null, "message": "for all"}`)
	phone.expect(t, "for one", "for one", "for all")
	laptop.expect(t, "for one", "for one", "for all")
	other.expect(t, "for the other", "for all")
	for _, p := range []*peer{phone, laptop, other, dogs} {
		p.silent(t)
	}
	if n := b.metric(t, "belfry_users"); n != 2 {
		t.Errorf("there are %v users, want 2", n)
	}
}

func TestMessageText(t *testing.T) {
	t.Parallel()
	b := start(t)
	p := b.connect(t, b.register(t, `{"user_id": 1}`))
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
		b.publish(t, `{"topic": "cats", "message": `+test.json+`}`)
		p.expect(t, test.want)
	}
	p.silent(t)
}

// TestAddAndRemoveTopic: the newer form of changing topics, by the backend.
func TestAddAndRemoveTopic(t *testing.T) {
	t.Parallel()
	b := start(t)
	change := func(method, path string, form func(id, topic string) (query, body string)) func(t *testing.T, r registration, topic string) {
		return func(t *testing.T, r registration, topic string) {
			t.Helper()
			query, body := form(r.ClientID, topic)
			got := b.call(t, method, path+query, body)
			if got.status != 200 || !strings.HasPrefix(got.header.Get("Content-Type"), "text/plain") || !strings.Contains(got.body, topic) {
				t.Errorf("%s %s%s %s: got %d %s", method, path, query, body, got.status, got.body)
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
			r := b.register(t, `{"user_id": 1}`)
			p := b.connect(t, r)
			add(t, r, "dogs")
			add(t, r, "dogs") // it has it already
			b.publish(t, event("dogs", "bark"))
			b.publish(t, event("cats", "purr"))
			p.expect(t, "bark", "purr")
			remove(t, r, "cats")
			remove(t, r, "birds") // it never had it
			b.publish(t, event("cats", "not heard"))
			b.publish(t, event("dogs", "bark again"))
			p.expect(t, "bark again")
			p.silent(t)

			b.unregister(t, r)
			for _, c := range []struct{ method, path string }{{"POST", "/add_topic"}, {"DELETE", "/remove_topic"}} {
				query, body := form(r.ClientID, "dogs")
				b.call(t, c.method, c.path+query, body).problem(t, 404, "unknown_client")
			}
		})
	}
}

// TestTakeover: a second connection of a client, say of a reloaded page whose
// first one has not ended yet.
func TestTakeover(t *testing.T) {
	t.Parallel()
	b := start(t)
	r := b.register(t, `{"user_id": 1}`)
	current := b.connect(t, r)
	for range 5 {
		next := b.connect(t, r)
		current.closed(t, 4001, "replaced")
		b.publish(t, event("cats", "purr"))
		next.expect(t, "purr")
		current = next
	}
	for range 2 {
		late := b.connect(t, r)
		late.closed(t, 4002, "takeover_limit")
	}
	if got := b.publish(t, event("cats", "still here")); got.Matched != 1 || got.Queued != 1 {
		t.Errorf("the client gets %+v", got)
	}
	current.expect(t, "still here")
	current.silent(t)
	if got := b.census(t); got.Clients != 1 || got.Connected != 1 {
		t.Errorf("there are %+v", got)
	}
}

func TestPatterns(t *testing.T) {
	t.Parallel()
	b := start(t)
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
		registered := b.connect(t, b.register(t, fmt.Sprintf(`{"user_id": 1, "topics": %s}`, list)))
		chosen := b.connect(t, b.register(t, `{"user_id": 2, "topics": []}`))
		chosen.send(t, fmt.Sprintf(`{"topics": %s}`, list))
		for _, topic := range topics {
			b.publish(t, event(topic, topic))
		}
		for _, p := range []*peer{registered, chosen} {
			p.expect(t, test.want...)
			p.silent(t)
		}
	}
}

func TestTopicsAtRegister(t *testing.T) {
	t.Parallel()
	b := start(t, "--default-topics=news,cats.>")
	for _, test := range []struct{ members, want string }{
		{``, `news cats.tom`},
		{`, "topics": null`, `news cats.tom`},
		{`, "topic": "dogs"`, `dogs`},
		{`, "topics": ["dogs"]`, `dogs`},
		{`, "topics": ["fish", "dogs", "fish", "cats.*"]`, `dogs fish cats.tom`},
		{`, "topics": []`, ``},
	} {
		p := b.connect(t, b.register(t, `{"user_id": 1`+test.members+`}`))
		for _, topic := range []string{"news", "dogs", "fish", "cats.tom", "birds"} {
			b.publish(t, event(topic, topic))
		}
		t.Log(test.members)
		p.expect(t, strings.Fields(test.want)...)
		p.silent(t)
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
		b := start(t, "--insecure", test.flag)
		w := b.socket(t, "POST /register HTTP/1.1\r\nHost: "+test.host+"\r\nContent-Length: 13\r\n\r\n{\"user_id\":1}")
		got := w.answer(t)
		var r registration
		if err := json.Unmarshal([]byte(got.body), &r); err != nil || r.URL != test.want+r.ClientID || r.ClientID == "" {
			t.Errorf("%+v: %v, %d %s", test, err, got.status, got.body)
		}
	}
}

func TestReceipts(t *testing.T) {
	t.Parallel()
	b := start(t)
	last := ""
	publish := func(body string, matched, queued int) {
		t.Helper()
		r := b.publish(t, body)
		if r.Matched != matched || r.Queued != queued || r.Scope != "node" || r.Duplicate || !strings.Contains(body, `"`+r.Topic+`"`) {
			t.Errorf("%s: %+v, want %d matched and %d queued", body, r, matched, queued)
		}
		if len(r.ID) != 36 || r.Cursor <= last || last != "" && len(r.Cursor) != len(last) {
			t.Errorf("%s: %+v after cursor %s", body, r, last)
		}
		last = r.Cursor
	}
	publish(event("cats", "nobody is here"), 0, 0)
	r := b.register(t, `{"user_id": 1}`)
	b.register(t, `{"user_id": 2, "topics": ["*", "cats"]}`)
	publish(event("cats", "nobody has connected"), 2, 0)
	p := b.connect(t, r)
	publish(event("cats", "one has connected"), 2, 1)
	publish(event("dogs", "the other wants all"), 1, 0)
	publish(`{"topic": "cats", "user_id": 1, "message": "for one"}`, 1, 1)
	publish(`{"topic": "cats", "user_id": 2, "message": "for the other"}`, 1, 0)
	publish(`{"topic": "cats", "user_id": 3, "message": "for nobody"}`, 0, 0)
	p.expect(t, "one has connected", "for one")
	p.leave()
	b.away(t)
	publish(event("cats", "one is away"), 2, 0)
	b.unregister(t, r)
	publish(event("cats", "one is gone"), 1, 0)
}

// TestRegistrationExpires: a client that never connects is forgotten, one that
// has connected is not.
func TestRegistrationExpires(t *testing.T) {
	t.Parallel()
	b := start(t, "--register-ttl="+shortTime.String())
	p := b.connect(t, b.register(t, `{"user_id": 1}`))
	away := b.register(t, `{"user_id": 1}`)
	b.connect(t, away).leave()
	never := b.register(t, `{"user_id": 1}`)
	if d := time.Until(never.ExpiresAt); d > shortTime {
		t.Errorf("the registration expires in %v", d)
	}
	eventually(t, "the client that has never connected is forgotten", func() bool { return b.census(t).Clients == 2 })
	b.refused(t, never, http.StatusNotFound, "unknown_client")
	if got := b.publish(t, event("cats", "purr")); got.Matched != 2 || got.Queued != 1 {
		t.Errorf("the others get %+v", got)
	}
	p.expect(t, "purr")
	b.connect(t, away).expect(t, "purr")
}

func TestHealth(t *testing.T) {
	t.Parallel()
	b := start(t, "--history-events=1")
	for _, step := range []struct {
		what string
		do   func()
		want census
	}{
		{"nothing", func() {}, census{0, 0, 0}},
		{"a registration", func() { b.register(t, `{"user_id": 1, "topics": ["cats", "dogs"]}`) }, census{1, 0, 2}},
		{"another, of a pattern", func() { b.register(t, `{"user_id": 1, "topics": ["cats", "fish.*"]}`) }, census{2, 0, 2}},
		{"a connection", func() { b.connect(t, b.register(t, `{"user_id": 2, "topics": ["birds"]}`)) }, census{3, 1, 3}},
		{"an event that nobody wants, but that is retained", func() { b.publish(t, event("news", "hear, hear")) }, census{3, 1, 4}},
	} {
		step.do()
		if got := b.census(t); got != step.want {
			t.Errorf("after %s: %+v, want %+v", step.what, got, step.want)
		}
	}
	got := ask[struct {
		Status  string
		Version *string
		UptimeS *int `json:"uptime_s"`
	}](t, b, "GET", "/health", "")
	if got.Status != "ok" || got.Version == nil || *got.Version == "" || got.UptimeS == nil || *got.UptimeS < 0 {
		t.Errorf("/health answers %+v", got)
	}
	for path, status := range map[string]string{"/health/live": "ok", "/health/ready": "ready"} {
		if got := ask[struct{ Status string }](t, b, "GET", path, ""); got.Status != status {
			t.Errorf("%s answers %q", path, got.Status)
		}
	}
}

// TestPagesOfOtherOrigins: any page may use every call, without credentials, if
// the configuration says so.
func TestPagesOfOtherOrigins(t *testing.T) {
	t.Parallel()
	b := start(t, "--allowed-origins=*")
	for _, path := range []string{"/register", "/register/x", "/publish", "/add_topic", "/remove_topic", "/health", "/ws/x", "/not/there"} {
		got := b.call(t, "OPTIONS", path, "", "Origin", "https://page.example", "Access-Control-Request-Method", "DELETE", "Access-Control-Request-Headers", "content-type")
		h := got.header
		if got.status != 204 || h.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(h.Get("Access-Control-Allow-Methods"), "DELETE") ||
			h.Get("Access-Control-Allow-Headers") != "content-type" || h.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("preflight of %s: %d %v", path, got.status, h)
		}
	}
	for _, call := range []struct {
		method, path, body string
		status             int
	}{
		{"POST", "/register", `{"user_id": 1}`, 200},
		{"POST", "/publish", event("cats", "purr"), 200},
		{"POST", "/publish", `{}`, 400},
		{"GET", "/not/there", ``, 404},
	} {
		got := b.call(t, call.method, call.path, call.body, "Origin", "https://page.example")
		if got.status != call.status || got.header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s %s: %d %v", call.method, call.path, got.status, got.header)
		}
	}
}
