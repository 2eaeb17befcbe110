package api_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"testing"

	"belfry/api"
	"belfry/hub"
)

// A refusal is a request that must have no effect.
type refusal struct {
	call   string // method and target
	body   string
	header string // "Name: value"
	status int
	code   string
}

var nowhere = strings.Repeat("0", 32)

var refusals = []refusal{
	// What is not JSON, or no JSON that all readers understand alike.
	{"POST /publish", ``, ``, 400, "malformed_json"},
	{"POST /register", " \r\n\t ", ``, 400, "malformed_json"},
	{"POST /publish", `{`, ``, 400, "malformed_json"},
	{"POST /publish", `{"topic":"cats","message":1`, ``, 400, "malformed_json"},
	{"POST /publish", `{"topic":"cats","message":"x`, ``, 400, "malformed_json"},
	{"POST /publish", `null`, ``, 400, "malformed_json"},
	{"POST /publish", `"cats"`, ``, 400, "malformed_json"},
	{"POST /publish", `topic=cats&message=1`, ``, 400, "malformed_json"},
	{"POST /publish", "\ufeff" + `{"topic":"cats","message":1}`, ``, 400, "malformed_json"},
	{"POST /publish", `{"topic":"cats","message":1}{}`, ``, 400, "malformed_json"},
	{"POST /publish", `{"topic":"cats","message":1} x`, ``, 400, "malformed_json"},
	{"POST /publish", `{"topic":"cats","message":1,}`, ``, 400, "malformed_json"},
	{"POST /publish", `{"topic":"cats","message":01}`, ``, 400, "malformed_json"},
	{"POST /publish", `{"topic":"cats","message":NaN}`, ``, 400, "malformed_json"},
	{"POST /publish", `{'topic':'cats','message':1}`, ``, 400, "malformed_json"},
	{"POST /publish", `{"topic":"cats",/**/"message":1}`, ``, 400, "malformed_json"},
	{"POST /publish", `{"topic":"cats","topic":"dogs","message":1}`, ``, 400, "malformed_json"},
	{"POST /publish", `{"topic":"cats","message":1,"message":1}`, ``, 400, "malformed_json"},
	{"POST /publish", `{"topic":"cats","message":{"a":1,"a":2}}`, ``, 400, "malformed_json"},
	{"POST /publish", `{"topic":"cats","message":{"a":1,"\u0061":2}}`, ``, 400, "malformed_json"},
	{"POST /publish", "{\"topic\":\"cats\",\"message\":\"\xff\"}", ``, 400, "malformed_json"},
	{"POST /publish", "{\"topic\":\"cats\",\"message\":{\"\xff\":1}}", ``, 400, "malformed_json"},
	{"POST /publish", "{\"topic\":\"cats\",\"message\":[\"\xed\xa0\x80\"]}", ``, 400, "malformed_json"},
	{"POST /publish", `{"topic":"cats","message":"\ud800"}`, ``, 400, "malformed_json"},
	{"POST /publish", `{"topic":"cats","message":["\udc00\ud800"]}`, ``, 400, "malformed_json"},
	{"POST /publish", "{\"topic\":\"cats\",\"message\":\"a\nb\"}", ``, 400, "malformed_json"},
	{"POST /publish", `{"topic":"cats","message":"\x41"}`, ``, 400, "malformed_json"},
	{"POST /publish", "{\"topic\":\"cats\xff\",\"message\":1}", ``, 400, "malformed_json"},
	{"POST /publish", "{\"topic\":\"cats\",\"message\":1}\x00", ``, 400, "malformed_json"},
	{"POST /register", `{"user_id":1`, ``, 400, "malformed_json"},
	{"POST /register", `{"user_id":+1}`, ``, 400, "malformed_json"},
	{"POST /register", `{"user_id":1,"user_id":2}`, ``, 400, "malformed_json"},
	{"POST /add_topic", `[]`, ``, 400, "malformed_json"},

	// Members.
	{"POST /publish", `{"topic":"cats","message":1,"userid":1}`, ``, 400, "unknown_member"},
	{"POST /publish", `{"topic":"cats","message":1,"User_ID":1}`, ``, 400, "unknown_member"},
	{"POST /publish", `{"Topic":"cats","message":1}`, ``, 400, "unknown_member"},
	{"POST /publish", `{"topic":"cats","message":1,"":1}`, ``, 400, "unknown_member"},
	{"POST /publish", `{"topics":["cats"],"message":1}`, ``, 400, "unknown_member"},
	{"POST /register", `{"user_id":1,"Topics":[]}`, ``, 400, "unknown_member"},
	{"POST /register", `{"userId":1}`, ``, 400, "unknown_member"},
	{"DELETE /remove_topic", `{"client":"x"}`, ``, 400, "unknown_member"},
	{"POST /publish", `{"topic":"cats"}`, ``, 400, "invalid_message"},
	{"POST /register", `{"user_id":1,"topic":"a","topics":["b"]}`, ``, 400, "conflicting_input"},
	{"POST /register", `{"user_id":1,"topic":"a","topics":[]}`, ``, 400, "conflicting_input"},

	// Users.
	{"POST /register", `{}`, ``, 400, "invalid_user_id"},
	{"POST /register", `{"user_id":null}`, ``, 400, "invalid_user_id"},
	{"POST /register", `{"user_id":""}`, ``, 400, "invalid_user_id"},
	{"POST /register", `{"user_id":1.0}`, ``, 400, "invalid_user_id"},
	{"POST /register", `{"user_id":1e3}`, ``, 400, "invalid_user_id"},
	{"POST /register", `{"user_id":1E3}`, ``, 400, "invalid_user_id"},
	{"POST /register", `{"user_id":-0.0}`, ``, 400, "invalid_user_id"},
	{"POST /register", `{"user_id":true}`, ``, 400, "invalid_user_id"},
	{"POST /register", `{"user_id":[1]}`, ``, 400, "invalid_user_id"},
	{"POST /register", `{"user_id":{}}`, ``, 400, "invalid_user_id"},
	{"POST /register", `{"user_id":"` + strings.Repeat("u", 256) + `"}`, ``, 400, "invalid_user_id"},
	{"POST /register", `{"user_id":` + strings.Repeat("9", 256) + `}`, ``, 400, "invalid_user_id"},
	{"POST /publish", `{"topic":"cats","user_id":"","message":1}`, ``, 400, "invalid_user_id"},
	{"POST /publish", `{"topic":"cats","user_id":0.5,"message":1}`, ``, 400, "invalid_user_id"},
	{"POST /publish", `{"topic":"cats","user_id":false,"message":1}`, ``, 400, "invalid_user_id"},

	// Topics.
	{"POST /publish", `{"message":1}`, ``, 400, "invalid_topic"},
	{"POST /publish", `{"topic":null,"message":1}`, ``, 400, "invalid_topic"},
	{"POST /publish", `{"topic":"","message":1}`, ``, 400, "invalid_topic"},
	{"POST /publish", `{"topic":7,"message":1}`, ``, 400, "invalid_topic"},
	{"POST /publish", `{"topic":["cats"],"message":1}`, ``, 400, "invalid_topic"},
	{"POST /publish", `{"topic":"cats..dogs","message":1}`, ``, 400, "invalid_topic"},
	{"POST /publish", `{"topic":"cats.*","message":1}`, ``, 400, "invalid_topic"},
	{"POST /publish", `{"topic":">","message":1}`, ``, 400, "invalid_topic"},
	{"POST /publish", `{"topic":"a\u0000b","message":1}`, ``, 400, "invalid_topic"},
	{"POST /publish", `{"topic":"` + strings.Repeat("t", 256) + `","message":1}`, ``, 400, "invalid_topic"},
	{"POST /publish", `{"topic":"1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17","message":1}`, ``, 400, "invalid_topic"},
	{"POST /publish", `{"topic":"$canary","message":1}`, ``, 403, "topic_reserved"},
	{"POST /register", `{"user_id":1,"topic":"$canary"}`, ``, 403, "topic_reserved"},
	{"POST /register", `{"user_id":1,"topic":"a.>.b"}`, ``, 400, "invalid_topic"},
	{"POST /register", `{"user_id":1,"topic":""}`, ``, 400, "invalid_topic"},
	{"POST /register", `{"user_id":1,"topic":["a"]}`, ``, 400, "invalid_topic"},
	{"POST /register", `{"user_id":1,"topics":"a"}`, ``, 400, "invalid_topic"},
	{"POST /register", `{"user_id":1,"topics":{"a":1}}`, ``, 400, "invalid_topic"},
	{"POST /register", `{"user_id":1,"topics":["a",2]}`, ``, 400, "invalid_topic"},
	{"POST /register", `{"user_id":1,"topics":["a",null]}`, ``, 400, "invalid_topic"},
	{"POST /register", `{"user_id":1,"topics":["a","."]}`, ``, 400, "invalid_topic"},
	{"POST /register", `{"user_id":1,"topics":["a","b","c","d","e"]}`, ``, 422, "too_many_topics"},

	// Sizes.
	{"POST /publish", `{"topic":"cats","message":"` + strings.Repeat("x", testMaxMessage+1) + `"}`, ``, 413, "message_too_large"},
	{"POST /publish", `{"topic":"cats","message":[` + strings.Repeat("1,", testMaxMessage/2) + `1]}`, ``, 413, "message_too_large"},
	{"POST /publish", `{"topic":"cats","message":1}` + strings.Repeat(" ", testMaxBody), ``, 413, "payload_too_large"},
	{"POST /register", strings.Repeat("[", testMaxBody+1), ``, 413, "payload_too_large"},
	{"POST /publish", `{"topic":"cats","message":` + strings.Repeat("[", testMaxDepth) + strings.Repeat("]", testMaxDepth) + `}`, ``, 400, "too_deep"},
	{"POST /publish", `{"topic":"cats","message":` + strings.Repeat(`{"a":`, testMaxDepth) + "1" + strings.Repeat("}", testMaxDepth) + `}`, ``, 400, "too_deep"},
	{"POST /publish", strings.Repeat(`{"a":`, 200), ``, 400, "too_deep"},

	// Media types.
	{"POST /publish", `{"topic":"cats","message":1}`, `Content-Type: text/xml`, 415, "unsupported_media_type"},
	{"POST /publish", `{"topic":"cats","message":1}`, `Content-Type: text/plain`, 415, "unsupported_media_type"},
	{"POST /publish", `{"topic":"cats","message":1}`, `Content-Type: multipart/form-data; boundary=x`, 415, "unsupported_media_type"},
	{"POST /publish", `{"topic":"cats","message":1}`, `Content-Type: application/json; charset=utf-16`, 415, "unsupported_media_type"},
	{"POST /publish", `{"topic":"cats","message":1}`, `Content-Type: application/json5`, 415, "unsupported_media_type"},
	{"POST /publish", `{"topic":"cats","message":1}`, `Content-Type: ;`, 415, "unsupported_media_type"},
	{"POST /publish", `{"topic":"cats","message":1}`, `Content-Encoding: gzip`, 415, "unsupported_media_type"},
	{"POST /register", `{"user_id":1}`, `Content-Encoding: identity, gzip`, 415, "unsupported_media_type"},

	// Clients.
	{"POST /add_topic", `{"topic":"a"}`, ``, 400, "invalid_client_id"},
	{"POST /add_topic", ``, ``, 400, "invalid_client_id"},
	{"POST /add_topic", `{"client_id":1,"topic":"a"}`, ``, 400, "invalid_client_id"},
	{"POST /add_topic", `{"client_id":"x"}`, ``, 400, "invalid_topic"},
	{"POST /add_topic", `{"client_id":"x","topic":"a..b"}`, ``, 400, "invalid_topic"},
	{"POST /add_topic?client_id=x&topic=a%ff", ``, ``, 400, "invalid_topic"},
	{"POST /add_topic?client_id=x&topic=$a", ``, ``, 403, "topic_reserved"},
	{"POST /add_topic?client_id=x&topic=%zz", ``, ``, 400, "malformed_request"},
	{"POST /add_topic?client_id=x;topic=a", ``, ``, 400, "malformed_request"},
	{"POST /add_topic?client_id=x&topic=b", `{"topic":"a"}`, ``, 400, "conflicting_input"},
	{"POST /add_topic?client_id=y", `{"client_id":"x","topic":"a"}`, ``, 400, "conflicting_input"},
	{"DELETE /remove_topic?client_id=x&topic=a&topic=b", ``, ``, 400, "conflicting_input"},
	{"POST /add_topic", `{"client_id":"x","topic":"a"}`, ``, 404, "unknown_client"},
	{"POST /add_topic", `{"client_id":"` + nowhere + `","topic":"a"}`, ``, 404, "unknown_client"},
	{"DELETE /remove_topic?topic=a&client_id=" + nowhere, ``, ``, 404, "unknown_client"},
	{"GET /ws/" + nowhere, ``, ``, 404, "unknown_client"},
	{"GET /ws/x", ``, ``, 404, "unknown_client"},
	{"GET /ws/%2f", ``, ``, 404, "unknown_client"},

	// Hosts.
	{"POST /register", `{"user_id":1}`, `Host: `, 400, "malformed_request"},
	{"POST /register", `{"user_id":1}`, `Host: a/b`, 400, "malformed_request"},
	{"POST /register", `{"user_id":1}`, `Host: user@host`, 400, "malformed_request"},
	{"POST /register", `{"user_id":1}`, `Host: <script>`, 400, "malformed_request"},
	{"POST /register", `{"user_id":1}`, `Host: host:`, 400, "malformed_request"},
	{"POST /register", `{"user_id":1}`, `Host: host:80:80`, 400, "malformed_request"},
	{"POST /register", `{"user_id":1}`, `Host: host:123456`, 400, "malformed_request"},
	{"POST /register", `{"user_id":1}`, `Host: [::1`, 400, "malformed_request"},
	{"POST /register", `{"user_id":1}`, `Host: [::1]x`, 400, "malformed_request"},
	{"POST /register", `{"user_id":1}`, `Host: []:1`, 400, "malformed_request"},
	{"POST /register", `{"user_id":1}`, `Host: höst`, 400, "malformed_request"},
	{"POST /register", `{"user_id":1}`, `Host: ...`, 400, "malformed_request"},

	// Paths and methods.
	{"GET /", ``, ``, 404, "not_found"},
	{"GET /nothing", ``, ``, 404, "not_found"},
	{"POST /publish/", `{"topic":"cats","message":1}`, ``, 404, "not_found"},
	{"POST //publish", `{"topic":"cats","message":1}`, ``, 404, "not_found"},
	{"POST /Publish", `{"topic":"cats","message":1}`, ``, 404, "not_found"},
	{"POST /x/../publish", `{"topic":"cats","message":1}`, ``, 404, "not_found"},
	{"DELETE /register/a/b", ``, ``, 404, "not_found"},
	{"DELETE /register/", ``, ``, 404, "not_found"},
	{"OPTIONS /nothing", ``, ``, 404, "not_found"},
	{"GET /publish", ``, ``, 405, "method_not_allowed"},
	{"HEAD /publish", ``, ``, 405, "method_not_allowed"},
	{"PUT /publish", `{"topic":"cats","message":1}`, ``, 405, "method_not_allowed"},
	{"post /publish", `{"topic":"cats","message":1}`, ``, 405, "method_not_allowed"},
	{"GET /register", ``, ``, 405, "method_not_allowed"},
	{"POST /register/x", ``, ``, 405, "method_not_allowed"},
	{"POST /remove_topic", `{}`, ``, 405, "method_not_allowed"},
	{"POST /health", ``, ``, 405, "method_not_allowed"},
	{"DELETE /metrics", ``, ``, 405, "method_not_allowed"},
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, c := range refusals {
		t.Run(c.call+" "+c.body[:min(len(c.body), 40)]+c.header, func(t *testing.T) {
			t.Parallel()
			b := newBroker(t)
			b.register(`{"user_id":1}`)
			before := b.stats()
			method, target, _ := strings.Cut(c.call, " ")
			var header []string
			if name, value, ok := strings.Cut(c.header, ": "); ok {
				header = []string{name, value}
			}
			problem(t, b.call(method, target, c.body, header...), c.status, c.code)
			if after := b.stats(); !reflect.DeepEqual(before, after) {
				t.Errorf("it had an effect: %+v", after)
			}
		})
	}
}

// A body is refused by what is known of it before it is read, and else by what
// has arrived.
func TestBodies(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	const event = `{"topic":"cats","message":1}`
	spaces := func(n int) io.Reader { return strings.NewReader(strings.Repeat(" ", n)) }
	endless := strings.NewReader(strings.Repeat(" ", 100*testMaxBody))
	for name, c := range map[string]struct {
		body   io.Reader
		length int64 // -1 is unknown
		status int
		code   string
	}{
		"full":          {io.MultiReader(strings.NewReader(event), spaces(testMaxBody-len(event))), testMaxBody, 200, ""},
		"full stream":   {io.MultiReader(strings.NewReader(event), spaces(testMaxBody-len(event))), -1, 200, ""},
		"too long":      {failing{errors.New("read")}, testMaxBody + 1, 413, "payload_too_large"},
		"endless":       {endless, -1, 413, "payload_too_large"},
		"cut off":       {io.MultiReader(strings.NewReader(event[:9]), failing{io.ErrUnexpectedEOF}), 100, 400, "malformed_request"},
		"out of time":   {io.MultiReader(strings.NewReader(event[:9]), failing{os.ErrDeadlineExceeded}), 100, 408, "request_timeout"},
		"empty stream":  {strings.NewReader(""), -1, 400, "malformed_json"},
		"no body":       {http.NoBody, 0, 400, "malformed_json"},
		"nothing there": {nil, 0, 400, "malformed_json"},
	} {
		r := request("POST", "/publish", nil)
		r.Body, r.ContentLength = nil, c.length
		if c.body != nil {
			r.Body = io.NopCloser(c.body)
		}
		w := httptest.NewRecorder()
		b.ServeHTTP(w, r)
		if c.status != 200 {
			t.Run(name, func(t *testing.T) { problem(t, w, c.status, c.code) })
		} else if w.Code != 200 {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	if left := endless.Len(); left != 99*testMaxBody-1 {
		t.Errorf("%d bytes were read, want one more than allowed", 100*testMaxBody-left)
	}
	if n := b.stats().Published; n != 2 {
		t.Errorf("%d published", n)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// Errors say what to do.
func TestRefusalDetails(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	for body, want := range map[string]string{
		`{"topic":"cats","userid":1}`:         `"userid" is not a member`,
		`{"topic":"cats","topic":"dogs"}`:     `the name "topic" occurs twice`,
		"  {\"topic\":x}":                     `at byte 11`,
		`{"topic":"a\nb","message":1}`:        `a control character`,
		`{"topic":"cats","message":"\ud800"}`: `at byte 27`,
	} {
		if p := problem(t, b.call("POST", "/publish", body), 400, detailCode(body)); !strings.Contains(p.Detail, want) {
			t.Errorf("%s: %s", body, p.Detail)
		}
	}
}

// TestRefusalsAreShort: what is wrong is shown in part. All of it would make the answer
// many times as long as what was sent, and a stream keeps a hundred of them.
func TestRefusalsAreShort(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	name := strings.Repeat("\x7f", testMaxBody/3) // each is four characters in quotes
	for body, code := range map[string]string{
		`{"` + name + `":1}`:                              "unknown_member",
		`{"message":{"` + name + `":1,"` + name + `":2}}`: "malformed_json",
	} {
		for form, sent := range map[string]string{"an event": body, "a list": "[" + body + "]"} {
			if p := problem(t, b.call("POST", "/publish", sent), 400, code); len(p.Detail) > 1000 {
				t.Errorf("%s, %s: %d bytes of detail", code, form, len(p.Detail))
			}
		}
		for _, e := range b.stream(strings.NewReader(body)).Errors {
			if e.Code != code || len(e.Detail) > 1000 {
				t.Errorf("a line is refused as %s with %d bytes of detail, want %s", e.Code, len(e.Detail), code)
			}
		}
	}
}

func detailCode(body string) string {
	switch {
	case strings.Contains(body, "userid"):
		return "unknown_member"
	case strings.Contains(body, `\n`):
		return "invalid_topic"
	}
	return "malformed_json"
}

func TestRefusedForLackOfRoom(t *testing.T) {
	t.Parallel()
	b := newBroker(t, func(h *hub.Options, _ *api.Options) {
		h.MaxClients, h.MaxSubscriptions, h.MaxConnections = 2, 1, 1
	})
	b.connect(b.register(`{"user_id":1}`))
	id := b.register(`{"user_id":1}`)
	problem(t, b.call("GET", "/ws/"+id, ""), 503, "too_many_connections")
	problem(t, b.call("POST", "/register", `{"user_id":1}`), 503, "too_many_clients")
	problem(t, b.call("POST", "/add_topic?topic=b&client_id="+id, ""), 422, "too_many_topics")
	if w := b.call("POST", "/add_topic?topic=cats&client_id="+id, ""); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// calls are requests that the hub has a part in.
var calls = [][2]string{
	{"POST /register", `{"user_id":1}`}, {"POST /publish", `{"topic":"cats","message":1}`}, {"DELETE /register/" + nowhere, ""},
	{"POST /add_topic", `{"client_id":"` + nowhere + `","topic":"a"}`}, {"DELETE /remove_topic", `{"client_id":"` + nowhere + `","topic":"a"}`},
}

func TestDraining(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	if err := b.hub.Drain(); err != nil {
		t.Fatal(err)
	}
	for _, c := range calls[:2] {
		method, target, _ := strings.Cut(c[0], " ")
		problem(t, b.call(method, target, c[1]), 503, "draining")
	}
	problem(t, b.call("GET", "/health/ready", ""), 503, "draining")
	for _, path := range []string{"/health", "/health/live"} {
		if w := b.call("GET", path, ""); w.Code != 200 {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

func TestStopped(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	b.stop()
	for _, c := range append(calls, [2]string{"GET /health"}, [2]string{"GET /health/live"}, [2]string{"GET /health/ready"}) {
		method, target, _ := strings.Cut(c[0], " ")
		problem(t, b.call(method, target, c[1]), 503, "stopped")
	}
	if w := b.call("GET", "/metrics", ""); w.Code != 200 {
		t.Errorf("metrics: %d %s", w.Code, w.Body)
	}
}
