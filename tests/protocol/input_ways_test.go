package protocol_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"belfry/tests/harness"
)

// An input is what somebody publishes, each member as JSON text; "" leaves it out.
type input struct{ topic, data, user, id, expires, more string }

// members returns the object that an input is by the names of a format. What is more
// has its own.
func (in input) members(first string, names map[string]string) string {
	text := first
	for _, m := range []struct{ name, value string }{
		{"topic", in.topic}, {"user", in.user}, {"data", in.data}, {"id", in.id}, {"expires", in.expires},
	} {
		if m.value != "" {
			text += "," + fmt.Sprintf("%q:%s", names[m.name], m.value)
		}
	}
	return "{" + strings.TrimPrefix(text+in.more, ",") + "}"
}

// inputWays are the ways to publish. Each returns the code of a refusal, "" for none;
// without a name for a member it does not have it.
var inputWays = []struct {
	name    string
	names   map[string]string
	publish func(w *waysWorld, in input, names map[string]string) string
}{
	{"one", plainNames, func(w *waysWorld, in input, names map[string]string) string {
		return w.post("application/json", in.members("", names))
	}},
	{"list", plainNames, func(w *waysWorld, in input, names map[string]string) string {
		return w.post("application/json", "["+in.members("", names)+"]")
	}},
	{"line", plainNames, func(w *waysWorld, in input, names map[string]string) string {
		return w.post("application/x-ndjson", in.members("", names))
	}},
	{"belfry.v1", map[string]string{"topic": "topic", "data": "data", "user": "user_id", "id": "id", "expires": "expires_in", "more": "x"},
		func(w *waysWorld, in input, names map[string]string) string {
			w.v1.Send(w.t, harness.Say(in.members(`,"op":"publish"`, names)))
			for {
				if m := w.v1.V1(w.t); m.Type == "ack" || m.Type == "error" {
					return m.Code
				}
			}
		}},
	{"structured", cloudNames, func(w *waysWorld, in input, names map[string]string) string {
		return w.post("application/cloudevents+json", in.members(w.attributes(), names))
	}},
	{"batch", cloudNames, func(w *waysWorld, in input, names map[string]string) string {
		return w.post("application/cloudevents-batch+json", "["+in.members(w.attributes(), names)+"]")
	}},
	{"binary", map[string]string{"topic": "Ce-Subject", "data": "", "user": "Ce-Belfryuser"}, func(w *waysWorld, in input, _ map[string]string) string {
		w.n++
		header := append(slices.Clone(w.header), "Content-Type", "application/json", "Ce-Specversion", "1.0", "Ce-Source", "/x", "Ce-Type", "y", "Ce-Id", fmt.Sprint(w.n))
		for name, value := range map[string]string{"Ce-Subject": in.topic, "Ce-Belfryuser": in.user} {
			if text := value; text != "" {
				_ = json.Unmarshal([]byte(value), &text) // of an integer it is the text
				header = append(header, name, url.PathEscape(text))
			}
		}
		return w.code(w.b.Call(w.t, "POST", "/publish", in.data, header...))
	}},
}

var (
	plainNames = map[string]string{"topic": "topic", "data": "message", "user": "user_id", "id": "id", "expires": "expires_in", "more": "x"}
	cloudNames = map[string]string{"topic": "subject", "data": "data", "user": "belfryuser"}
)

// A waysWorld is a broker, a publisher over belfry.v1, and two users who receive all that
// they may.
type waysWorld struct {
	t     *testing.T
	b     *harness.Broker
	n     int // CloudEvents so far
	v1    *harness.Wire
	users []*harness.Wire

	header []string // of requests, beside those of their way
}

func newWaysWorld(t *testing.T) *waysWorld {
	b := harness.Start(t)
	w := &waysWorld{t: t, b: b, v1: b.WireV1(t, "/ws?topic=nothing")}
	for _, user := range []string{`0`, `1`} {
		r := b.Register(t, `{"user_id":`+user+`,"topics":[">"]}`)
		w.users = append(w.users, b.WireV1(t, r.Path))
	}
	return w
}

func (w *waysWorld) attributes() string {
	w.n++
	return fmt.Sprintf(`,"specversion":"1.0","source":"/x","type":"y","id":"%d"`, w.n)
}

func (w *waysWorld) post(kind, body string) string {
	return w.code(w.b.Call(w.t, "POST", "/publish", body, append(slices.Clone(w.header), "Content-Type", kind)...))
}

var codeMember = regexp.MustCompile(`"code":"([a-z_]+)"`)

// code is that of the answer, or of the first line that was refused.
func (w *waysWorld) code(got harness.Answer) string {
	if found := codeMember.FindStringSubmatch(got.Body); found != nil {
		return found[1]
	}
	return ""
}

// outcome is what becomes of an input by one of the ways: the code, or what the users
// are given.
func (w *waysWorld) outcome(code string) string {
	w.b.Publish(w.t, `{"topic":"the.end","message":1}`)
	for i, user := range w.users {
		for m := user.V1(w.t); m.Topic != "the.end"; m = user.V1(w.t) {
			code += fmt.Sprintf("; user %d: %s %s", i, m.Topic, m.Data)
		}
	}
	return code
}

// quotes is a text as JSON.
func quotes(text string) string {
	out, _ := json.Marshal(text) // cannot fail
	return string(out)
}

func nested(levels int) string { return strings.Repeat("[", levels) + strings.Repeat("]", levels) }

// maxMessage is the length of the longest message, in bytes. Over belfry.v1 all of an
// operation must not be longer.
const maxMessage = 64 << 10

// inputs are what is tried by every way, and what becomes of it.
func inputs() (all []struct {
	input
	want string
}) {
	add := func(want string, in input) {
		all = append(all, struct {
			input
			want string
		}{in, want})
	}
	both := func(data string) string { return "; user 0: a " + data + "; user 1: a " + data }
	for data, read := range map[string]string{
		`1`: `1`, `-0`: `-0`, `1.0`: `1.0`, `1E+2`: `1E+2`, `1e400`: `1e400`, `-1e-400`: `-1e-400`, `123456789012345678901234567890`: `123456789012345678901234567890`,
		`null`: `null`, `true`: `true`, `""`: `""`, `"a\u0000b"`: `"a\u0000b"`, `"\ud83d\ude00"`: `"😀"`, `"\u2028\ufeff"`: "\"\u2028\ufeff\"", `[ 1 , 2 ]`: `[1,2]`, `{"a": {"a": 1}}`: `{"a":{"a":1}}`,
		nested(63): nested(63),
	} {
		add(both(read), input{topic: `"a"`, data: data})
	}
	for _, data := range []string{
		`"\ud800"`, `"\udc00\ud800"`, `"\ud83d"`, `{"a":1,"a":1}`, `{"a":1,"\u0061":2}`, `[{"b":{"a":1,"a":2}}]`, `01`, `+1`, `.5`, `1.`, `NaN`, `Infinity`, `tru`, `'a'`, `"a`, `{"a" 1}`,
		`[1,]`, `{"a":1,}`, "\"\u0001\"", "\ufeff1", `/**/1`,
	} {
		add("malformed_json", input{topic: `"a"`, data: data})
	}
	for _, levels := range []int{64, 65, 9_999, 10_000, 10_001, 20_000} {
		add("too_deep", input{topic: `"a"`, data: nested(levels)})
	}
	for user, n := range map[string]int{`1`: 1, `"1"`: 1, `0`: 0, `-0`: 0, `"0"`: 0} {
		add(fmt.Sprintf("; user %d: a 1", n), input{topic: `"a"`, data: `1`, user: user})
	}
	for _, user := range []string{`"-0"`, `"01"`, `"1 "`, `2`, `12345678901234567890123`, quotes(strings.Repeat("é", 127))} {
		add("", input{topic: `"a"`, data: `1`, user: user})
	}
	for _, user := range []string{`1.0`, `1e0`, `1E0`, `0.5`, `1e400`, `true`, `[1]`, `{}`, `""`, `"a\nb"`, `"a\u202eb"`, quotes(strings.Repeat("é", 128))} {
		add("invalid_user_id", input{topic: `"a"`, data: `1`, user: user})
	}
	add(both("1"), input{topic: `"a"`, data: `1`, user: `null`})
	for _, topic := range []string{`""`, `"a..b"`, `"a.*"`, `">"`, `"a\u0000"`, `"a\u200fb"`, quotes(strings.Repeat("x", 256)), `null`, `7`, `["a"]`} {
		add("invalid_topic", input{topic: topic, data: `1`})
	}
	add("invalid_topic", input{data: `1`})
	add("topic_reserved", input{topic: `"$a"`, data: `1`})
	for _, id := range []string{`""`, `"a\nb"`, `"a\u2029"`, quotes(strings.Repeat("x", 256))} {
		add("invalid_id", input{topic: `"a"`, data: `1`, id: id})
	}
	for _, expires := range []string{`0`, `-0`, `-1`, `31536001`, `1e300`, `1e400`, `-1e400`} {
		add("invalid_expires_in", input{topic: `"a"`, data: `1`, expires: expires})
	}
	for _, wrong := range []input{{id: `7`}, {expires: `"1"`}, {expires: `[]`}, {more: `,`}} {
		wrong.topic, wrong.data = `"a"`, `1`
		add("malformed_json", wrong)
	}
	add(both("1"), input{topic: `"a"`, data: `1`, id: `null`, expires: `null`})
	for _, more := range []string{`,"topic":"a"`, `,"id":"x","id":"x"`, `,"id":null,"id":null`} {
		add("malformed_json", input{topic: `"a"`, data: `1`, more: more})
	}
	longest := quotes(strings.Repeat("x", maxMessage))
	add(both(longest), input{topic: `"a"`, data: longest})
	add(both(`""`), input{topic: `"a"`, data: strings.Repeat(" ", maxMessage) + `""`})
	for _, data := range []string{quotes(strings.Repeat("x", maxMessage+1)), `[` + strings.Repeat(" 1 ,", maxMessage/2) + `1]`} {
		add("message_too_large", input{topic: `"a"`, data: data})
	}
	add("unknown_member", input{topic: `"a"`, data: `1`, more: `,"x":1`})
	add("unknown_member", input{topic: `"a"`, data: `1`, more: `,"Topic":"b"`})
	return all
}

// has reports whether a way has all members of an input. Headers hold texts.
func (in input) has(names map[string]string) bool {
	if names["data"] == "data" && names["expires"] != "" && len(in.data) >= maxMessage {
		return false // belfry.v1
	}
	for name, value := range map[string]string{"id": in.id, "expires": in.expires, "more": in.more} {
		if _, ok := names[name]; value != "" && !ok {
			return false
		}
	}
	if names["data"] != "" {
		return true
	}
	integer := regexp.MustCompile(`^[0-9]+$`)
	return in.topic != "null" && in.user != "null" && !strings.ContainsAny(in.topic+in.user, "[{7") && in.user != "true" &&
		(strings.HasPrefix(in.user, `"`) || in.user == "" || integer.MatchString(in.user))
}

// TestInputByEveryWay: what somebody publishes is taken or refused by one rule,
// whichever way it comes.
func TestInputByEveryWay(t *testing.T) {
	t.Parallel()
	w := newWaysWorld(t)
	for _, in := range inputs() {
		for _, way := range inputWays {
			if !in.has(way.names) {
				continue
			}
			if got := w.outcome(way.publish(w, in.input, way.names)); got != in.want {
				t.Errorf("%s, %.200v: %.200q, want %.200q", way.name, in.input, got, in.want)
			}
		}
	}
}

// TestKeysByEveryWay: what may be an idempotency key is one rule too.
func TestKeysByEveryWay(t *testing.T) {
	t.Parallel()
	w := newWaysWorld(t)
	for rest, want := range map[string]string{
		"": "", " b": "", `"b\c`: "", "~": "", strings.Repeat("k", 254): "",
		strings.Repeat("k", 255): "invalid_idempotency_key", "ä": "invalid_idempotency_key", "\tb": "invalid_idempotency_key",
	} {
		for i, way := range inputWays {
			key := strconv.Itoa(i) + rest // of each way its own
			in := input{topic: `"a"`, data: `1`}
			w.header = []string{"Idempotency-Key", key}
			switch way.name {
			case "line": // has none
				continue
			case "belfry.v1":
				in.more = `,"key":` + quotes(key)
			}
			if got := way.publish(w, in, way.names); got != want {
				t.Errorf("%s, %.20q: %q, want %q", way.name, key, got, want)
			}
		}
	}
}

// TestUsersByEveryWay: a user's events reach the clients that were registered for it.
func TestUsersByEveryWay(t *testing.T) {
	t.Parallel()
	w := newWaysWorld(t)
	for _, in := range inputs() {
		if in.user == "" || in.user == "null" { // who registers must have one
			continue
		}
		want := ""
		if in.want == "invalid_user_id" {
			want = in.want
		}
		if got := w.code(w.b.Call(t, "POST", "/register", `{"user_id":`+in.user+`}`)); got != want {
			t.Errorf("%s registers: %q, want %q", in.user, got, want)
		}
	}
}

// TestNoDataAndLateEvents: an event without data has none for clients of cloudevents.json,
// while null is data. An expired event is not delivered.
func TestNoDataAndLateEvents(t *testing.T) {
	t.Parallel()
	b := harness.Start(t)
	w := b.Socket(t, strings.Replace(harness.Opening("/ws?topic=a"), "\r\n", "\r\nSec-WebSocket-Protocol: cloudevents.json\r\n", 1))
	if _, err := http.ReadResponse(w.Reread(t), nil); err != nil {
		t.Fatal(err)
	}
	binary := []string{"Ce-Specversion", "1.0", "Ce-Source", "/x", "Ce-Type", "y", "Ce-Subject", "a", "Ce-Id"}
	structured := []string{"Content-Type", "application/cloudevents+json"}
	cloud := func(id, more string) string {
		return `{"specversion":"1.0","source":"/x","type":"y","subject":"a","id":"` + id + `"` + more + `}`
	}
	for _, c := range []struct {
		header     []string
		body, data string
		queued     int
	}{
		{structured, cloud("1", ``), "", 1},
		{structured, cloud("2", `,"expirytime":"2026-01-02t03:04:05z","data":"late"`), "", 0},
		{structured, cloud("3", `,"data":null`), "null", 1},
		{structured, cloud("4", `,"data_base64":null`), "", 1},
		{append(binary, "5"), "", "", 1},
		{append(binary, "6", "Content-Type", "application/json"), "null", "null", 1},
		{append(binary, "7", "Content-Type", "text/plain"), "", "", 1},
		{structured, cloud("8", `,"data":""`), `""`, 1},
	} {
		got := harness.Ask[harness.Receipt](t, b, "POST", "/publish", c.body, c.header...)
		if got.Matched != c.queued || got.Queued != c.queued {
			t.Errorf("%s: %+v, want it queued for %d", c.body, got, c.queued)
		}
		if c.queued == 0 {
			continue
		}
		_, text := w.Frame(t)
		var event map[string]json.RawMessage
		if err := json.Unmarshal([]byte(text), &event); err != nil {
			t.Fatal(err)
		}
		if data := string(event["data"]); data != c.data || string(event["id"]) != strconv.Quote(got.ID) {
			t.Errorf("%s has the data %q, want %q", text, data, c.data)
		}
	}
}
