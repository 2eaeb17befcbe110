package docs_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"belfry/tests/harness"
)

// operation finds what the document says of a call; ok is false if the path has
// no such method, or there is no such path.
func (s *spec) operation(method, target string) (op node, ok bool) {
	path, _, _ := strings.Cut(target, "?")
	segments := strings.Split(path, "/")
	paths := s.node().get("paths")
	for _, pattern := range paths.names() {
		fits := slices.EqualFunc(strings.Split(pattern, "/"), segments, func(want, got string) bool {
			return want == got || strings.HasPrefix(want, "{") && got != ""
		})
		if op := paths.get(pattern, strings.ToLower(method)); fits && op.exists() {
			return op, true
		}
	}
	return node{}, false
}

// An auditor compares answers with what the document says of them, and notes
// which codes there were.
type auditor struct {
	t     *testing.T
	doc   *spec
	codes map[string]bool
}

// described are the headers that an answer has only where the document says so.
var described = []string{"Retry-After", "Ratelimit", "Ratelimit-Policy", "Www-Authenticate", "Allow", "Accept", "Accept-Encoding", "Upgrade", "Etag"}

// audit checks an answer to a call.
func (a *auditor) audit(method, target string, got harness.Answer) {
	a.t.Helper()
	op, ok := a.doc.operation(method, target)
	response := op.get("responses", strconv.Itoa(got.Status))
	switch {
	case !ok && got.Status == http.StatusNotFound:
		response = a.doc.node().get("components", "responses", "NotFound")
	case !ok:
		response = a.doc.node().get("components", "responses", "MethodNotAllowed")
	case !response.exists():
		response = op.get("responses", "default")
	}
	if !response.exists() {
		a.t.Errorf("%s %s: nothing is said of an answer with %d: %s", method, target, got.Status, got.Body)
		return
	}
	if err := response.admitsBody(got); err != nil {
		a.t.Errorf("%s %s: %s: %v: %s", method, target, response.at, err, got.Body)
	}
	if err := response.admitsHeader(got.Header); err != nil {
		a.t.Errorf("%s %s: %s: %v", method, target, response.at, err)
	}
	var problem struct{ Code string }
	if got.Status >= 400 && json.Unmarshal([]byte(got.Body), &problem) == nil {
		a.codes[problem.Code] = true
	}
}

// admitsBody reports how the body of an answer is not as described.
func (n node) admitsBody(got harness.Answer) error {
	content := n.get("content")
	if !content.exists() {
		if got.Body != "" {
			return fmt.Errorf("there is a body")
		}
		return nil
	}
	media, _, err := mime.ParseMediaType(got.Header.Get("Content-Type"))
	schema := content.get(media, "schema")
	switch {
	case err != nil:
		return err
	case !schema.exists():
		return fmt.Errorf("nothing is said of a body of type %s", media)
	case strings.HasSuffix(media, "json"):
		return schema.admitsJSON(got.Body)
	}
	return schema.admits(got.Body)
}

// admitsHeader reports how the header of an answer is not as described.
func (n node) admitsHeader(got http.Header) error {
	headers := n.get("headers")
	known := make(map[string]bool)
	for _, name := range headers.names() {
		known[http.CanonicalHeaderKey(name)] = true
		schema := headers.get(name, "schema")
		for _, text := range got.Values(name) {
			var value any = text
			if number, err := strconv.Atoi(text); err == nil && schema.get("type").text() == "integer" {
				value = number
			}
			if err := schema.admits(value); err != nil {
				return fmt.Errorf("the header %s: %w", name, err)
			}
		}
	}
	for _, name := range described {
		if got.Get(name) != "" && !known[name] {
			return fmt.Errorf("nothing is said of the header %s", name)
		}
	}
	for _, name := range []string{"Retry-After", "Www-Authenticate", "Allow", "Etag"} {
		if known[name] && got.Get(name) == "" {
			return fmt.Errorf("there is no header %s", name)
		}
	}
	if got.Get("X-Request-Id") == "" {
		return fmt.Errorf("there is no X-Request-Id")
	}
	return nil
}

// notProvoked are the codes that TestOpenAPIAnswers does not bring about: those
// of an overload, a fault or the last moments of the broker, which other tests
// of the packages do.
var notProvoked = []string{"busy", "draining", "handshake_refused", "host_not_allowed", "internal", "not_ready", "over_capacity", "request_timeout", "stopped",
	"token_expired", "too_many_address_connections", "too_many_connections", "too_many_handshakes", "unresponsive",
	"commit_failed", "not_stored", "idempotency_key_pending"}

// TestOpenAPIAnswers: what the broker answers is described: the status, the
// headers, the body and its code.
func TestOpenAPIAnswers(t *testing.T) {
	t.Parallel()
	a := &auditor{t: t, doc: loadOpenAPI(t), codes: make(map[string]bool)}
	a.auditOpen()
	a.auditOperators()
	a.auditTokens()
	a.auditLimits()
	all := slices.Collect(maps.Keys(a.codes))
	all = slices.Sorted(slices.Values(append(all, notProvoked...)))
	if want := a.doc.node().get("components", "schemas", "Code", "enum").texts(); !slices.Equal(all, want) {
		t.Errorf("there were, or are known to be missing,\n%v, and described are\n%v", all, want)
	}
}

// A request is one of those tables.
type request struct {
	method, target, body string
	header               []string
	status               int
	code                 string // "" if it is served
}

// calls makes calls and checks their answers.
func (a *auditor) calls(b *harness.Broker, all []request, fill *strings.Replacer) {
	a.t.Helper()
	for _, r := range all {
		target := fill.Replace(r.target)
		got := b.Call(a.t, r.method, target, fill.Replace(r.body), r.header...)
		a.audit(r.method, target, got)
		var problem struct{ Code string }
		_ = json.Unmarshal([]byte(got.Body), &problem) // what is no object has no code
		if got.Status != r.status || problem.Code != r.code {
			a.t.Errorf("%s %s %.100s: got %d %s, want %d %s", r.method, target, r.body, got.Status, got.Body, r.status, r.code)
		}
	}
}

// auditOpen asks a broker that anybody may use.
func (a *auditor) auditOpen() {
	b := harness.Start(a.t, "--max-subscriptions=2", "--max-message=100", "--max-body=1000", "--max-depth=4", "--history-events=1")
	r := b.Register(a.t, `{"user_id":17,"topics":["a"]}`)
	first := b.Publish(a.t, harness.Event("cats", "one")).Cursor
	fill := strings.NewReplacer("CLIENT", r.ClientID, "FIRST", first, "NOBODY", strings.Repeat("0", 32), "LONG", strings.Repeat("x", 200))
	sse := []string{"Accept", "text/event-stream"}
	a.calls(b, []request{
		{"POST", "/publish", `{"topic":"cats","message":"two","id":"1","expires_in":60,"user_id":null}`, nil, 200, ""},
		{"POST", "/publish", `{"topic":"cats","message":{"n":3}}`, []string{"Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}, 200, ""},
		{"POST", "/publish", `[{"topic":"cats","message":1}]`, []string{"Content-Type", "application/json"}, 200, ""},
		{"POST", "/publish", "{\"topic\":\"cats\",\"message\":1}\n\n{\n", []string{"Content-Type", "application/ndjson"}, 200, ""},
		{"POST", "/publish", "", []string{"Content-Type", "application/x-ndjson"}, 200, ""},
		{"POST", "/publish?topic=cats", "\xff\x00", []string{"Ce-Specversion", "1.0", "Ce-Id", "1", "Ce-Source", "/x", "Ce-Type", "t", "Content-Type", "image/png"}, 200, ""},
		{"POST", "/publish", `{"topic":"cats","message":1}`, []string{"Idempotency-Key", `"k"`}, 200, ""},
		{"POST", "/publish", `{"topic":"cats","message":1}`, []string{"Idempotency-Key", `"k"`}, 200, ""},
		{"POST", "/publish", `{"topic":"cats","message":2}`, []string{"Idempotency-Key", `"k"`}, 422, "idempotency_key_reused"},
		{"POST", "/publish", `{"topic":"cats","message":2}`, []string{"Idempotency-Key", ``}, 400, "invalid_idempotency_key"},
		{"POST", "/publish", `{`, nil, 400, "malformed_json"},
		{"POST", "/publish", `[{"topic":"cats"}]`, nil, 400, "invalid_message"},
		{"POST", "/publish", `{"topic":"cats","message":[[[[1]]]]}`, nil, 400, "too_deep"},
		{"POST", "/publish", `{"topic":"cats","message":1,"x":1}`, nil, 400, "unknown_member"},
		{"POST", "/publish", `{"topic":"cats","message":1,"id":""}`, nil, 400, "invalid_id"},
		{"POST", "/publish", `{"topic":"cats","message":1,"expires_in":0}`, nil, 400, "invalid_expires_in"},
		{"POST", "/publish", `{"topic":"cats","message":1,"user_id":1.5}`, nil, 400, "invalid_user_id"},
		{"POST", "/publish", `{"specversion":"2.0"}`, []string{"Content-Type", "application/cloudevents+json"}, 400, "invalid_event"},
		{"POST", "/publish", `{"topic":"cats","message":"LONG"}`, nil, 413, "message_too_large"},
		{"POST", "/publish", `{"topic":"cats","message":"LONGLONGLONGLONGLONG"}`, nil, 413, "payload_too_large"},
		{"POST", "/publish", `{"topic":"cats","message":1}`, []string{"Content-Type", "text/xml"}, 415, "unsupported_media_type"},
		{"POST", "/publish", `{"topic":"cats","message":1}`, []string{"Content-Encoding", "gzip"}, 415, "unsupported_media_type"},
		{"POST", "/publish", `{"topic":"$cats","message":1}`, nil, 403, "topic_reserved"},
		{"POST", "/publish", `{"topic":"cats","message":1}`, []string{"Origin", "https://elsewhere.example"}, 403, "origin_not_allowed"},
		{"POST", "/publish", `{"topic":"cats","message":1}`, []string{"Via", "1.1 proxy"}, 403, "proxied"},
		{"POST", "/register", `{"user_id":18}`, nil, 200, ""},
		{"POST", "/register", `{"user_id":18,"topics":["a..b"]}`, nil, 400, "invalid_topic"},
		{"POST", "/register", `{"user_id":18,"topics":["a","b","c"]}`, nil, 422, "too_many_topics"},
		{"POST", "/add_topic", `{"topic":"b"}`, nil, 400, "invalid_client_id"},
		{"POST", "/add_topic?client_id=CLIENT&topic=b", ``, nil, 200, ""},
		{"POST", "/add_topic?client_id=CLIENT", `{"client_id":"x","topic":"b"}`, nil, 400, "conflicting_input"},
		{"POST", "/add_topic?client_id=CLIENT&topic=c", ``, nil, 422, "too_many_topics"},
		{"POST", "/add_topic?client_id=%zz", ``, nil, 400, "malformed_request"},
		{"DELETE", "/remove_topic?client_id=CLIENT&topic=b", ``, nil, 200, ""},
		{"DELETE", "/remove_topic?client_id=NOBODY&topic=b", ``, nil, 404, "unknown_client"},
		{"GET", "/topics/cats/events", ``, nil, 200, ""},
		{"GET", "/topics/cats/events?last=1&wait=0s", ``, nil, 200, ""},
		{"GET", "/topics/cats/events?after=FIRST", ``, nil, 410, "gap"},
		{"GET", "/topics/cats/events?after=x", ``, nil, 400, "invalid_cursor"},
		{"GET", "/topics/cats/events?last=0", ``, nil, 400, "invalid_last"},
		{"GET", "/topics/cats/events?wait=x", ``, nil, 400, "invalid_wait"},
		{"GET", "/ws?topic=cats", ``, nil, 426, "upgrade_required"},
		{"GET", "/ws?topic=cats", ``, []string{"Connection", "Upgrade", "Upgrade", "websocket"}, 426, "upgrade_required"},
		{"GET", "/ws?topic=cats", ``, []string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13"}, 400, "bad_handshake"},
		{"GET", "/ws/NOBODY", ``, nil, 404, "unknown_client"},
		{"GET", "/ws?topic=cats&slow=x", ``, nil, 400, "invalid_slow"},
		{"GET", "/sse", ``, nil, 400, "invalid_topic"},
		{"GET", "/sse", ``, sse, 204, ""},
		{"GET", "/sse/NOBODY", ``, nil, 404, "unknown_client"},
		{"GET", "/sse/NOBODY", ``, sse, 204, ""},
		{"GET", "/health", ``, nil, 200, ""},
		{"GET", "/health/live", ``, nil, 200, ""},
		{"GET", "/health/ready", ``, nil, 200, ""},
		{"GET", "/metrics", ``, nil, 200, ""},
		{"GET", "/stats", ``, nil, 200, ""},
		{"GET", "/config", ``, nil, 200, ""},
		{"GET", "/clients", ``, nil, 200, ""},
		{"GET", "/clients?limit=1", ``, nil, 200, ""},
		{"GET", "/clients?limit=0", ``, nil, 400, "malformed_request"},
		{"GET", "/clients/CLIENT", ``, nil, 200, ""},
		{"GET", "/clients/NOBODY", ``, nil, 404, "unknown_client"},
		{"GET", "/clients/CLIENT/explain?topic=cats", ``, nil, 200, ""},
		{"GET", "/clients/CLIENT/explain?event=nothing", ``, nil, 200, ""},
		{"GET", "/clients/NOBODY/explain?topic=cats", ``, nil, 200, ""},
		{"GET", "/clients/CLIENT/explain", ``, nil, 400, "malformed_request"},
		{"GET", "/topics", ``, nil, 200, ""},
		{"GET", "/topics?pattern=a..b", ``, nil, 400, "invalid_topic"},
		{"GET", "/topics/cats", ``, nil, 200, ""},
		{"GET", "/topics/cats/presence", ``, nil, 200, ""},
		{"GET", "/console", ``, nil, 200, ""},
		{"GET", "/console/nothing", ``, nil, 404, "not_found"},
		{"GET", "/belfry.js", ``, nil, 200, ""},
		{"GET", "/openapi.yaml", ``, nil, 200, ""},
		{"GET", "/asyncapi.yaml", ``, nil, 200, ""},
		{"GET", "/asyncapi.yaml", ``, []string{"If-None-Match", b.Call(a.t, "GET", "/asyncapi.yaml", "").Header.Get("Etag")}, 304, ""},
		{"DELETE", "/register/CLIENT", ``, nil, 200, ""},
		{"DELETE", "/clients/CLIENT", ``, nil, 404, "unknown_client"},
		{"DELETE", "/users/18/clients", ``, nil, 200, ""},
		{"GET", "/publish", ``, nil, 405, "method_not_allowed"},
		{"GET", "/nowhere", ``, nil, 404, "not_found"},
	}, fill)
}

// auditOperators asks what is for operators.
func (a *auditor) auditOperators() {
	admin := harness.Start(a.t, "--admin-addr=127.0.0.1:0").ForOperators(a.t)
	a.calls(admin, []request{
		{"GET", "/debug/pprof/", ``, nil, 200, ""},
		{"GET", "/debug/pprof/goroutine", ``, nil, 200, ""},
		{"GET", "/debug/pprof/goroutine?debug=1", ``, nil, 200, ""},
		{"GET", "/debug/pprof/cmdline", ``, nil, 404, "not_found"},
	}, strings.NewReplacer())
}

// auditTokens asks a broker that wants a token, and counts what is published
// with one.
func (a *auditor) auditTokens() {
	b, secret := harness.WithTokens(a.t, "--max-user-publish-rate=1")
	token := []string{"Authorization", "Bearer " + harness.NewToken(a.t, secret, "--user=17", "--publish=cats")}
	cats := harness.Event("cats", "purr")
	a.calls(b, []request{
		{"POST", "/publish", cats, nil, 401, "credentials_missing"},
		{"POST", "/publish", cats, []string{"Authorization", "Bearer nonsense"}, 401, "credentials_invalid"},
		{"POST", "/publish", harness.Event("dogs", "no"), token, 403, "forbidden"},
		{"GET", "/metrics", "", token, 403, "forbidden"},
		{"GET", "/topics/cats/events", "", token, 403, "forbidden"},
	}, strings.NewReplacer())
	for range 100 { // one of them comes too soon
		got := b.Call(a.t, "POST", "/publish", cats, token...)
		a.audit("POST", "/publish", got)
		if got.Header.Get("Ratelimit") == "" {
			a.t.Errorf("there is no RateLimit: %v", got.Header)
		}
		if got.Status == http.StatusTooManyRequests {
			break
		}
	}
}

// auditLimits asks brokers that are full.
func (a *auditor) auditLimits() {
	nothing := strings.NewReplacer()
	b := harness.Start(a.t, "--max-clients=2", "--max-user-clients=1")
	a.calls(b, []request{
		{"POST", "/register", `{"user_id":1}`, nil, 200, ""},
		{"POST", "/register", `{"user_id":1}`, nil, 429, "too_many_user_clients"},
		{"POST", "/register", `{"user_id":2}`, nil, 200, ""},
		{"POST", "/register", `{"user_id":3}`, nil, 503, "too_many_clients"},
		{"GET", "/sse?topic=cats", ``, nil, 503, "too_many_clients"},
	}, nothing)
	b = harness.Start(a.t, "--max-publish-rate=2")
	a.calls(b, []request{{"POST", "/publish", "[" + harness.Event("cats", "purr") + strings.Repeat(","+harness.Event("cats", "purr"), 2) + "]", nil, 413, "list_too_long"}}, nothing)
	b = harness.Start(a.t, "--dedupe-bytes=1024")
	for n := range 100 {
		got := b.Call(a.t, "POST", "/publish", harness.Event("cats", "purr"), "Idempotency-Key", fmt.Sprint(n))
		a.audit("POST", "/publish", got)
		if got.Status != http.StatusOK {
			break
		}
	}
}
