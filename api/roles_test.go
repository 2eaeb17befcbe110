package api_test

import (
	"crypto/sha256"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/zap"

	"belfry/api"
	"belfry/api/auth"
	"belfry/hub"
)

var tokenSecret = []byte("0123456789abcdef0123456789abcdef")

// testToken is a token of user 7.
func testToken(t *testing.T, expires time.Time, subscribe, publish []string) string {
	t.Helper()
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"sub": "7", "exp": expires.Unix(), "belfry": map[string]any{"subscribe": subscribe, "publish": publish},
	}).SignedString(tokenSecret)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func testGuard(t *testing.T) func() *auth.Guard {
	t.Helper()
	tokens, err := auth.NewTokens(auth.TokenOptions{Secret: tokenSecret, MaxTopics: 8})
	if err != nil {
		t.Fatal(err)
	}
	key := func(name string, rights auth.Right, topics ...string) auth.Key {
		return auth.Key{Name: name, SHA256: sha256.Sum256([]byte("bk_" + name)), Rights: rights, Topics: topics}
	}
	const all = auth.Publish | auth.Register | auth.Subscribe | auth.Admin
	guard, err := auth.New(auth.Options{Origins: []string{"auto"}, Tokens: tokens, Keys: []auth.Key{
		key("publisher", auth.Publish, "orders.>"), key("registrar", auth.Register, "orders.>"), key("viewer", auth.Subscribe, "orders.>"),
		key("operator", auth.Admin, "orders.>"), key("everything", all, ">"), key("nothing", 0, ">"), key("nowhere", all),
	}})
	if err != nil {
		t.Fatal(err)
	}
	return func() *auth.Guard { return guard }
}

// Every role with every operation on every topic: what is not listed is denied.
func TestRoles(t *testing.T) {
	t.Parallel()
	b := newBroker(t, withHistory, func(_ *hub.Options, o *api.Options) { o.Guard = testGuard(t) })
	within, beyond := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	bearers := map[string]string{
		"stranger": "", "liar": "bk_liar", "publisher": "bk_publisher", "registrar": "bk_registrar", "viewer": "bk_viewer", "operator": "bk_operator",
		"everything": "bk_everything", "nothing": "bk_nothing", "nowhere": "bk_nowhere",
		"token":      testToken(t, within, []string{"orders.>"}, []string{"orders.1"}),
		"late token": testToken(t, beyond, []string{">"}, []string{">"}),
	}
	const handle = "0123456789abcdef" // of nobody
	operations := map[string]func(topic string) (method, target, body string){
		"publish": func(topic string) (_, _, _ string) {
			return "POST", "/publish", `{"topic":"` + topic + `","message":1}`
		},
		"publish to": func(topic string) (_, _, _ string) {
			return "POST", "/publish", `{"topic":"` + topic + `","user_id":7,"message":1}`
		},
		"register": func(topic string) (_, _, _ string) {
			return "POST", "/register", `{"user_id":1,"topic":"` + topic + `"}`
		},
		"allow": func(topic string) (_, _, _ string) {
			return "POST", "/register", `{"user_id":1,"topics":[],"allow":["` + topic + `"]}`
		},
		"expel":   func(string) (_, _, _ string) { return "DELETE", "/users/nobody/clients", "" },
		"socket":  func(topic string) (_, _, _ string) { return "GET", "/ws?topic=" + topic, "" },
		"stream":  func(topic string) (_, _, _ string) { return "GET", "/sse?topic=" + topic, "" },
		"history": func(topic string) (_, _, _ string) { return "GET", "/topics/" + topic + "/events", "" },
		"metrics": func(string) (_, _, _ string) { return "GET", "/metrics", "" },
		"figures": func(string) (_, _, _ string) { return "GET", "/stats", "" },
		"clients": func(string) (_, _, _ string) { return "GET", "/clients", "" },
		"client":  func(string) (_, _, _ string) { return "GET", "/clients/" + handle, "" },
		"explain": func(string) (_, _, _ string) { return "GET", "/clients/" + handle + "/explain?topic=orders.1", "" },
		"cut":     func(string) (_, _, _ string) { return "DELETE", "/clients/" + handle, "" },
		"topics":  func(string) (_, _, _ string) { return "GET", "/topics", "" },
		"topic":   func(string) (_, _, _ string) { return "GET", "/topics/orders.1", "" },
		"present": func(string) (_, _, _ string) { return "GET", "/topics/orders.1/presence", "" },
		"config":  func(string) (_, _, _ string) { return "GET", "/config", "" },
		"console": func(string) (_, _, _ string) { return "GET", "/console", "" },
		"script":  func(string) (_, _, _ string) { return "GET", "/console/app.js", "" },
		"$stats":  func(string) (_, _, _ string) { return "GET", "/ws?topic=$stats", "" },
		"watch":   func(string) (_, _, _ string) { return "GET", "/sse?topic=$presence.orders.1", "" },
		"health":  func(string) (_, _, _ string) { return "GET", "/health", "" },
	}
	free := map[string]bool{"health": true, "console": true, "script": true} // they tell nobody anything
	topics := []string{"orders.1", "orders.2", "orders", "cats"}
	patterns := []string{"orders.*", "orders.>", "*.1", ">"}
	const wide = "orders.1 orders.2 orders.* orders.>"
	permitted := map[string]map[string]string{ // by role and operation: the topics; "any" is all
		"publisher":  {"publish": "orders.1 orders.2", "publish to": "orders.1 orders.2"},
		"registrar":  {"register": wide, "allow": wide, "expel": "any"},
		"viewer":     {"socket": wide, "stream": wide, "history": "orders.1 orders.2"},
		"operator":   {"metrics": "any", "clients": "any", "client": "any", "cut": "any", "explain": "any", "topics": "any", "topic": "any", "present": "any", "config": "any", "figures": "any"},
		"everything": {"publish": "any", "publish to": "any", "register": "any", "allow": "any", "expel": "any", "socket": "any", "stream": "any", "history": "any", "metrics": "any", "$stats": "any", "watch": "any", "clients": "any", "client": "any", "cut": "any", "explain": "any", "topics": "any", "topic": "any", "present": "any", "config": "any", "figures": "any"},
		"nowhere":    {"expel": "any", "metrics": "any", "$stats": "any", "clients": "any", "client": "any", "cut": "any", "explain": "any", "topics": "any", "topic": "any", "present": "any", "config": "any", "figures": "any"},
		"token":      {"publish": "orders.1", "publish to": "orders.1", "socket": wide, "stream": wide, "history": "orders.1 orders.2"},
	}
	rows := 0
	for role, bearer := range bearers {
		for operation, request := range operations {
			for _, topic := range append(slices.Clone(topics), patterns...) {
				if strings.ContainsAny(topic, "*>") && (strings.HasPrefix(operation, "publish") || operation == "history") {
					continue // no topic to publish to, whoever asks
				}
				rows++
				method, target, body := request(topic)
				w := b.call(method, target, body, "Authorization", "Bearer "+bearer)
				want := deniedStatus(role)
				if may := strings.Fields(permitted[role][operation]); free[operation] || slices.Contains(may, "any") || slices.Contains(may, topic) {
					want = 200
					if operation == "client" || operation == "cut" {
						want = 404
					}
				} else if operation == "$stats" || operation == "watch" {
					want = 403 // whoever asks
				}
				if w.Code != want {
					t.Errorf("%s, %s %s: %d, want %d: %s", role, operation, topic, w.Code, want, w.Body)
				}
				if want == 401 && w.Header().Get("WWW-Authenticate") != "Bearer" {
					t.Errorf("%s, %s: WWW-Authenticate %q", role, operation, w.Header().Get("WWW-Authenticate"))
				}
			}
		}
	}
	if rows < 200 {
		t.Errorf("%d rows only", rows)
	}
}

func deniedStatus(role string) int {
	switch role {
	case "stranger", "liar", "late token":
		return 401
	}
	return 403
}

// A ticket is a registered client's id: with it alone, within what was allowed.
func TestTickets(t *testing.T) {
	t.Parallel()
	b := newBroker(t, withHistory, func(_ *hub.Options, o *api.Options) { o.Guard = testGuard(t) })
	register := func(body string) string {
		var got struct {
			ClientID string `json:"client_id"`
		}
		w := b.call("POST", "/register", body, "Authorization", "Bearer bk_registrar")
		if w.Code != 200 {
			t.Fatalf("%s: %d %s", body, w.Code, w.Body)
		}
		b.answer(w, &got)
		return got.ClientID
	}
	whole := register(`{"user_id":1,"topics":["orders.1"]}`)
	narrow := register(`{"user_id":1,"topics":["orders.1"],"allow":["orders.*"]}`)
	empty := register(`{"user_id":1,"topics":[],"allow":[]}`)
	for _, row := range []struct {
		ticket, topic string
		status        int
	}{
		{whole, "orders.2", 200}, {whole, "orders.>", 200}, {whole, "cats", 403}, {whole, ">", 403},
		{narrow, "orders.2", 200}, {narrow, "orders.*", 200}, {narrow, "orders.>", 403}, {narrow, "orders.1.2", 403}, {narrow, "cats", 403},
		{empty, "orders.1", 403},
		{strings.Repeat("0", 32), "orders.1", 404},
	} {
		w := b.call("POST", "/add_topic", fmt.Sprintf(`{"client_id":%q,"topic":%q}`, row.ticket, row.topic))
		if w.Code != row.status {
			t.Errorf("add %s: %d, want %d: %s", row.topic, w.Code, row.status, w.Body)
		}
	}
	for _, body := range []string{
		`{"user_id":1,"topics":["orders.1"],"allow":["orders.2"]}`, `{"user_id":1,"topics":["orders.>"],"allow":["orders.*"]}`,
		`{"user_id":1,"topics":[],"allow":["orders.1","cats"]}`, `{"user_id":1}`,
	} {
		problem(t, b.call("POST", "/register", body, "Authorization", "Bearer bk_registrar"), 403, "forbidden")
	}
	problem(t, b.call("POST", "/register", `{"user_id":1,"allow":"orders.1"}`, "Authorization", "Bearer bk_registrar"), 400, "malformed_json")
	problem(t, b.call("POST", "/register", `{"user_id":1,"allow":["a..b"]}`, "Authorization", "Bearer bk_registrar"), 400, "invalid_topic")

	for _, ticket := range []string{whole, narrow, empty} {
		for _, call := range [][2]string{{"GET", "/ws/"}, {"GET", "/sse/"}, {"DELETE", "/register/"}} {
			if w := b.call(call[0], call[1]+ticket, ""); w.Code != 200 {
				t.Errorf("%s %s: %d %s", call[0], call[1], w.Code, w.Body)
			}
		}
	}
}

// What a client is told of a denial is a code; the log has the reason and no
// secret.
func TestDenialsAreLogged(t *testing.T) {
	t.Parallel()
	b, logs := logged(t, zap.NewAtomicLevelAt(zap.DebugLevel), func(_ *hub.Options, o *api.Options) { o.Guard = testGuard(t) })
	secret := testToken(t, time.Now().Add(-time.Hour), nil, nil)
	for _, target := range []string{"/metrics", "/ws?topic=a", "/metrics?access_token=" + secret, "/sse?topic=a&access_token=" + secret} {
		w := b.call("GET", target, "", "Authorization", "Bearer "+secret)
		if p := problem(t, w, 401, "token_expired"); strings.Contains(p.Detail, "claims") {
			t.Errorf("the client is told %s", p.Detail)
		}
	}
	denied := logs.FilterMessage("denied").All()
	if len(denied) != 4 {
		t.Fatalf("%d lines", len(denied))
	}
	for _, line := range denied {
		if fields := line.ContextMap(); !strings.HasPrefix(fields["reason"].(string), "exp: ") || fields["code"] != "token_expired" || fields["request_id"] == "" {
			t.Errorf("logged %+v", fields)
		}
	}
	for _, line := range logs.All() {
		if strings.Contains(fmt.Sprint(line.Message, line.ContextMap()), secret) {
			t.Errorf("the log holds the token: %+v", line)
		}
	}
}

// TestDenialsOfPublishersAreLogged: also of those that are told in another way than by
// a status.
func TestDenialsOfPublishersAreLogged(t *testing.T) {
	t.Parallel()
	guard := testGuard(t)
	b, logs := logged(t, zap.NewAtomicLevelAt(zap.InfoLevel), func(_ *hub.Options, o *api.Options) { o.Guard = guard })
	const key = "Bearer bk_publisher"
	b.stream(strings.NewReader(`{"topic":"cats","message":1}`), "Authorization", key)
	who, err := guard().Identify(request("GET", "/ws", nil, "Authorization", key))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := receiptOf(b.Publisher(who), hub.PublishRequest{Topic: "cats", Message: []byte("1")}); err == nil {
		t.Error("it was published")
	}
	denied := logs.FilterMessage("denied").All()
	if len(denied) != 2 {
		t.Fatalf("%d lines, want one of the stream and one of the operation", len(denied))
	}
	for _, line := range denied {
		if fields := line.ContextMap(); fields["code"] != "forbidden" || fields["reason"] != "publisher may not publish to this topic" {
			t.Errorf("logged %+v", fields)
		}
	}
	if op := denied[1].ContextMap()["op"]; op != "publish" {
		t.Errorf("the operation is logged as %v", op)
	}
}

// A page must be able to read why it is denied, and its preflight needs no
// credentials.
func TestDenialsAndCORS(t *testing.T) {
	t.Parallel()
	b := newBroker(t, func(_ *hub.Options, o *api.Options) { o.Guard = testGuard(t) })
	w := b.call("POST", "/publish", "", "Origin", "https://app.example")
	problem(t, w, 401, "credentials_missing")
	if w.Header().Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("header %v", w.Header())
	}
	w = b.call("OPTIONS", "/publish", "", "Origin", "https://app.example", "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization")
	if w.Code != 204 || w.Header().Get("Access-Control-Allow-Headers") != "authorization" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

// Without a guard's consent nothing is looked at, a preflight least of all.
func TestForeignPagesOfAnOpenBroker(t *testing.T) {
	t.Parallel()
	guard, err := auth.New(auth.Options{Open: true, Local: true, Origins: []string{"auto"}})
	if err != nil {
		t.Fatal(err)
	}
	b := newBroker(t, func(_ *hub.Options, o *api.Options) { o.Guard = func() *auth.Guard { return guard } })
	for _, path := range []string{"/publish", "/register", "/ws?topic=a", "/sse?topic=a", "/health", "/metrics", "/nothing"} {
		for _, method := range []string{"GET", "POST", "OPTIONS"} {
			for _, header := range [][]string{
				{"Host", "localhost", "Origin", "https://evil.example", "Access-Control-Request-Method", "POST"},
				{"Host", "evil.example"},
				{"Host", "localhost", "X-Forwarded-For", "1.2.3.4"},
			} {
				w := b.call(method, path, "{}", header...)
				if w.Code != 403 || len(w.Header()["Access-Control-Allow-Origin"]) > 0 {
					t.Errorf("%s %s %q: %d %v", method, path, header, w.Code, w.Header())
				}
			}
		}
	}
	if w := httptest.NewRecorder(); true {
		b.ServeHTTP(w, request("GET", "/health", nil, "Host", "localhost:8000", "Origin", "http://localhost:3000"))
		if w.Code != 200 {
			t.Errorf("a page of this machine: %d %s", w.Code, w.Body)
		}
	}
}
