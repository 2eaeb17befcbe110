package api_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"belfry/api"
	"belfry/hub"
)

// showing has events delivered as all that the hub knows of them.
func showing(h *hub.Options, o *api.Options) {
	h.Encoders[0] = func(e *hub.Event, _ hub.Cursor) []byte {
		text := e.Topic
		if e.User != "" {
			text += " for " + e.User
		}
		if e.Text {
			text += fmt.Sprintf(" %q", e.Message)
		} else {
			text += " " + string(e.Message)
		}
		if !e.Expires.IsZero() {
			text += " until " + e.Expires.UTC().Format(time.RFC3339)
		}
		if d := e.Details; d != nil {
			text += fmt.Sprintf(" by %s %s at %s trace %.8s%s", d.Source, d.Type, d.Published, d.TraceParent, d.Attributes)
			if d.Base64 {
				text += " base64"
			}
			if d.NoData {
				text += " without data"
			}
		}
		return []byte(text)
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	o.Clock = func() time.Time { return now }
	h.Clock = o.Clock
	o.MaxBody = 16 << 10
}

// The headers of the forms.
const (
	asNDJSON     = "Content-Type: application/x-ndjson"
	asCloudEvent = "Content-Type: application/cloudevents+json"
	asCloudBatch = "Content-Type: application/cloudevents-batch+json"
	inBinary     = "Ce-Specversion: 1.0\nCe-Id: 7\nCe-Source: /shop\nCe-Type: paid\nCe-Subject: cats\n"
	testTrace    = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
)

// headers splits lines of headers into names and values.
func headers(lines string) (all []string) {
	for line := range strings.SplitSeq(strings.TrimSuffix(lines, "\n"), "\n") {
		if name, value, ok := strings.Cut(line, ": "); ok {
			all = append(all, name, value)
		}
	}
	return all
}

// cloud is a CloudEvent in the JSON format, with more members.
func cloud(more string) string {
	return `{"specversion":"1.0","id":"7","source":"/shop","type":"paid","subject":"cats"` + more + `}`
}

// What is published in one form or another, and what the hub makes of it.
var forms = []struct {
	header, body string
	want         []string
}{
	// Lists.
	{"", `[]`, nil},
	{"", " \r\n[\t]\n", nil},
	{"", `[{"topic":"cats","message":1}]`, []string{`cats 1`}},
	{"", ` [ {"topic":"cats","message":"a"} , {"topic":"dogs","user_id":7,"message":{"b": 2}} ] `, []string{`cats "a"`, `dogs for 7 {"b":2}`}},
	{"", `[{"topic":"cats","message":1,"id":"x"},{"topic":"cats","message":2,"id":"x"}]`, []string{`cats 1`, `cats 2`}},
	{"", `[{"topic":"cats","message":[[[[[[[]]]]]]]}]`, []string{`cats [[[[[[[]]]]]]]`}},
	{"", `{"topic":"cats","message":1,"expires_in":1.5e1}`, []string{`cats 1 until 2026-01-02T03:04:20Z`}},
	{"", `{"topic":"cats","message":1,"expires_in":null,"id":null,"user_id":null}`, []string{`cats 1`}},
	{"Traceparent: " + testTrace, `{"topic":"cats","message":1}`, []string{`cats 1 by   at  trace 00-0af76`}},
	{"Traceparent: 00-zz-1-1", `{"topic":"cats","message":1}`, []string{`cats 1`}},

	// CloudEvents in structured mode.
	{asCloudEvent, cloud(`,"data":{"n": 1.0}`), []string{`cats {"n":1.0} by /shop paid at  trace `}},
	{asCloudEvent + "; charset=UTF-8", cloud(`,"data":"text"`), []string{`cats "text" by /shop paid at  trace `}},
	{asCloudEvent, cloud(``), []string{`cats null by /shop paid at  trace  without data`}},
	{asCloudEvent, cloud(`,"data_base64":null`), []string{`cats null by /shop paid at  trace  without data`}},
	{asCloudEvent, cloud(`,"data":null,"time":null,"datacontenttype":null,"ext":null`), []string{`cats null by /shop paid at  trace `}},
	{asCloudEvent, cloud(`,"time":"2026-01-02T03:04:05.678+01:00","data":1`), []string{`cats 1 by /shop paid at 2026-01-02T03:04:05.678+01:00 trace `}},
	{asCloudEvent, cloud(`,"data_base64":"AP8="`), []string{`cats "AP8=" by /shop paid at  trace  base64`}},
	{asCloudEvent, cloud(`,"data_base64":""`), []string{`cats "" by /shop paid at  trace  base64`}},
	{asCloudEvent, cloud(`,"data":1,"zone":"b","area":-7,"on":true,"sequence":"9","gone":null`), []string{`cats 1 by /shop paid at  trace ,"area":-7,"on":true,"zone":"b"`}},
	{asCloudEvent, cloud(`,"data":1,"datacontenttype":"application/json","dataschema":"https://x/y"`), []string{`cats 1 by /shop paid at  trace ,"datacontenttype":"application/json","dataschema":"https://x/y"`}},
	{asCloudEvent, cloud(`,"data":1,"belfryuser":7`), []string{`cats for 7 1 by /shop paid at  trace `}},
	{asCloudEvent, cloud(`,"time":"2026-01-02t03:04:05.600z","data":1`), []string{`cats 1 by /shop paid at 2026-01-02T03:04:05.600Z trace `}},
	{asCloudEvent, cloud(`,"time":"1990-12-31T15:59:60-08:00","data":1`), []string{`cats 1 by /shop paid at 1990-12-31T16:00:00-08:00 trace `}},
	{asCloudEvent, cloud(`,"data":1,"expirytime":"2026-01-02t04:04:05z"`), []string{`cats 1 until 2026-01-02T04:04:05Z by /shop paid at  trace ,"expirytime":"2026-01-02T04:04:05Z"`}},
	{asCloudEvent, cloud(`,"data":1,"belfryuser":"7"`), []string{`cats for 7 1 by /shop paid at  trace `}},
	{asCloudEvent, cloud(`,"data":1,"expirytime":"2026-01-02T04:04:05Z"`), []string{`cats 1 until 2026-01-02T04:04:05Z by /shop paid at  trace ,"expirytime":"2026-01-02T04:04:05Z"`}},
	{asCloudEvent, cloud(`,"data":1,"traceparent":"` + testTrace + `"`), []string{`cats 1 by /shop paid at  trace 00-0af76`}},
	{asCloudEvent, cloud(`,"data":1,"traceparent":"not one"`), []string{`cats 1 by /shop paid at  trace `}},
	{asCloudEvent, cloud(`,"ext":"\u0022\\\u2028\n"`), []string{`cats null by /shop paid at  trace ,"ext":"\u0022\\\u2028\n" without data`}},
	{asCloudEvent + "\nCe-Specversion: 1.0\nCe-Id: other", cloud(`,"data":1`), []string{`cats 1 by /shop paid at  trace `}}, // the content type decides

	// Batches.
	{asCloudBatch, `[]`, nil},
	{asCloudBatch, `[` + cloud(`,"data":1`) + `,` + strings.Replace(cloud(`,"data":2`), `"7"`, `"8"`, 1) + `]`,
		[]string{`cats 1 by /shop paid at  trace `, `cats 2 by /shop paid at  trace `}},
	{asCloudBatch, `[` + cloud(`,"data":1`) + `,` + cloud(`,"data":1`) + `]`, []string{`cats 1 by /shop paid at  trace `}}, // the second is a repeat

	// Binary mode.
	{inBinary + "Content-Type: application/json", `{"n": 1}`, []string{`cats {"n":1} by /shop paid at  trace ,"datacontenttype":"application/json"`}},
	{inBinary + "Content-Type: application/vnd.x+json; v=1", `"a"`, []string{`cats "a" by /shop paid at  trace ,"datacontenttype":"application/vnd.x+json; v=1"`}},
	{inBinary + "Content-Type: text/plain", `{"n": 1}`, []string{`cats "{\"n\": 1}" by /shop paid at  trace ,"datacontenttype":"text/plain"`}},
	{inBinary + "Content-Type: text/plain; charset=utf-16", "h\x00i\x00", []string{`cats "aABpAA==" by /shop paid at  trace ,"datacontenttype":"text/plain; charset=utf-16" base64`}},
	{inBinary + "Content-Type: text/plain", "gr\xfc\xdfe", []string{`cats "Z3L832U=" by /shop paid at  trace ,"datacontenttype":"text/plain" base64`}},
	{inBinary + "Content-Type: application/xml", `<a/>`, []string{`cats "<a/>" by /shop paid at  trace ,"datacontenttype":"application/xml"`}},
	{inBinary + "Content-Type: image/svg+xml", `<a/>`, []string{`cats "<a/>" by /shop paid at  trace ,"datacontenttype":"image/svg+xml"`}},
	{inBinary + "Content-Type: application/octet-stream", `abc`, []string{`cats "YWJj" by /shop paid at  trace ,"datacontenttype":"application/octet-stream" base64`}},
	{inBinary, `abc`, []string{`cats "abc" by /shop paid at  trace `}},
	{inBinary, "\xff", []string{`cats "/w==" by /shop paid at  trace  base64`}},
	{inBinary, ``, []string{`cats null by /shop paid at  trace  without data`}},
	{inBinary + "Ce-Name: Euro %E2%82%AC%20%F0%9F%98%80", `1`, []string{`cats "1" by /shop paid at  trace ,"name":"Euro € 😀"`}},
	{inBinary + `Ce-Name: "quoted \"%22\\ text"`, `1`, []string{`cats "1" by /shop paid at  trace ,"name":"quoted \"\"\\ text"`}},
	{inBinary + "Ce-Name: a+b", `1`, []string{`cats "1" by /shop paid at  trace ,"name":"a+b"`}},
	{inBinary + "Ce-Belfryuser: 7\nCe-Expirytime: 2026-01-02T04:04:05Z\nCe-Time: 2026-01-02T03:04:05Z\nCe-Dataschema: x:y\nCe-Traceparent: " + testTrace, `1`,
		[]string{`cats for 7 "1" until 2026-01-02T04:04:05Z by /shop paid at 2026-01-02T03:04:05Z trace 00-0af76,"dataschema":"x:y","expirytime":"2026-01-02T04:04:05Z"`}},
}

// watched is a broker whose events a client gets, as [showing] has them.
func watched(t testing.TB, setups ...setup) *broker {
	b := newBroker(t, append([]setup{showing}, setups...)...)
	b.connect(b.register(`{"user_id":7,"topic":">"}`))
	return b
}

// delivers checks what is delivered, and that it is all.
func (b *broker) delivers(want ...string) {
	b.t.Helper()
	if n := b.stats().Published; n != uint64(len(want)) {
		b.t.Errorf("%d events were published, want %d", n, len(want))
		return
	}
	for _, w := range want {
		if got := <-b.frames; got != w {
			b.t.Errorf("got  %s\nwant %s", got, w)
		}
	}
}

func TestForms(t *testing.T) {
	t.Parallel()
	for _, c := range forms {
		t.Run(c.header+c.body, func(t *testing.T) {
			t.Parallel()
			b := watched(t)
			w := b.call("POST", "/publish", c.body, headers(c.header)...)
			if w.Code != 200 {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			b.delivers(c.want...)
		})
	}
}

// The subject is the topic; without one, the query names it.
func TestCloudEventTopic(t *testing.T) {
	t.Parallel()
	b := watched(t)
	none := strings.Replace(cloud(`,"data":1`), `,"subject":"cats"`, ``, 1)
	for i, target := range []string{"/publish?topic=dogs", "/publish?topic=dogs"} {
		body := strings.Replace([]string{none, cloud(`,"data":2`)}[i], `"7"`, fmt.Sprintf(`"id%d"`, i), 1)
		if w := b.call("POST", target, body, headers(asCloudEvent)...); w.Code != 200 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
	b.delivers(`dogs 1 by /shop paid at  trace `, `cats 2 by /shop paid at  trace `)
	problem(t, b.call("POST", "/publish", none, headers(asCloudEvent)...), 400, "invalid_topic")
}

// badForms are refused, with the place in the list if it is one.
var badForms = []struct {
	header, body string
	status       int
	code         string
	index        int // -1: it is no list
}{
	{"", `[{"topic":"cats","message":1},{"topic":"cats"}]`, 400, "invalid_message", 1},
	{"", `[{"topic":"cats","message":1},{"topic":"a..b","message":1},7]`, 400, "invalid_topic", 1},
	{"", `[{"topic":"cats","message":1},7]`, 400, "malformed_json", 1},
	{"", `[{"topic":"cats","message":1},null]`, 400, "malformed_json", 1},
	{"", `[[{"topic":"cats","message":1}]]`, 400, "malformed_json", 0},
	{"", `[{"topic":"cats","message":1},{"topic":"cats","message":1,"x":1}]`, 400, "unknown_member", 1},
	{"", `[{"topic":"$cats","message":1}]`, 403, "topic_reserved", 0},
	{"", `[{"topic":"cats","message":"` + strings.Repeat("x", testMaxMessage+1) + `"}]`, 413, "message_too_large", 0},
	{"", `[{"topic":"cats","message":[[[[[[[[]]]]]]]]}]`, 400, "too_deep", 0},
	{"", `[[[[[[[[[[]]]]]]]]]]`, 400, "malformed_json", 0},
	{"", `[{"topic":"cats","message":1}`, 400, "malformed_json", -1},
	{"", `[{"topic":"cats","message":1},]`, 400, "malformed_json", -1},
	{"", `[{"topic":"cats","message":1}] x`, 400, "malformed_json", -1},
	{"", `[{"topic":"cats","message":1}][]`, 400, "malformed_json", -1},
	{"", `[{"topic":"cats","message":1},{"topic":"cats","topic":"cats","message":1}]`, 400, "malformed_json", 1},
	{"", "[{\"topic\":\"cats\",\"message\":\"\xff\"}]", 400, "malformed_json", 0},
	{"", `[{"topic":"cats","message":1},{"topic":7,"message":1}]`, 400, "invalid_topic", 1},
	{"", `[{"topic":"cats","message":1},{"topic":"cats","massage":1}]`, 400, "unknown_member", 1},
	{"", "\ufeff[]", 400, "malformed_json", -1},
	{"", `[{"topic":"cats","message":1,"expires_in":0}]`, 400, "invalid_expires_in", 0},
	{"", `{"topic":"cats","message":1,"expires_in":-1}`, 400, "invalid_expires_in", -1},
	{"", `{"topic":"cats","message":1,"expires_in":1e300}`, 400, "invalid_expires_in", -1},
	{"", `{"topic":"cats","message":1,"expires_in":"1"}`, 400, "malformed_json", -1},
	{"", `{"topic":"cats","message":1,"id":""}`, 400, "invalid_id", -1},
	{"", `{"topic":"cats","message":1,"id":"a\nb"}`, 400, "invalid_id", -1},
	{"", `{"topic":"cats","message":1,"id":"` + strings.Repeat("x", 256) + `"}`, 400, "invalid_id", -1},
	{"", `{"topic":"cats","message":1,"id":7}`, 400, "malformed_json", -1},
	{asNDJSON + "; charset=utf-16", `{"topic":"cats","message":1}`, 415, "unsupported_media_type", -1},
	{asNDJSON + "\nContent-Encoding: gzip", `{"topic":"cats","message":1}`, 415, "unsupported_media_type", -1},
	{asNDJSON + "\nIdempotency-Key: k", `{"topic":"cats","message":1}`, 400, "invalid_idempotency_key", -1},

	{asCloudEvent, ``, 400, "malformed_json", -1},
	{asCloudEvent, `[` + cloud(``) + `]`, 400, "malformed_json", -1},
	{asCloudEvent, `{}`, 400, "invalid_event", -1},
	{asCloudEvent, strings.Replace(cloud(``), `1.0`, `0.3`, 1), 400, "invalid_event", -1},
	{asCloudEvent, strings.Replace(cloud(``), `"1.0"`, `1.0`, 1), 400, "malformed_json", -1},
	{asCloudEvent, strings.Replace(cloud(``), `"7"`, `""`, 1), 400, "invalid_event", -1},
	{asCloudEvent, strings.Replace(cloud(``), `"7"`, `null`, 1), 400, "invalid_event", -1},
	{asCloudEvent, strings.Replace(cloud(``), `"7"`, `7`, 1), 400, "malformed_json", -1},
	{asCloudEvent, strings.Replace(cloud(``), `/shop`, ``, 1), 400, "invalid_event", -1},
	{asCloudEvent, strings.Replace(cloud(``), `/shop`, `http://[`, 1), 400, "invalid_event", -1},
	{asCloudEvent, strings.Replace(cloud(``), `/shop`, `a b`, 1), 400, "invalid_event", -1},
	{asCloudEvent, strings.Replace(cloud(``), `/shop`, `/größe`, 1), 400, "invalid_event", -1},
	{asCloudEvent, strings.Replace(cloud(``), `/shop`, `?x=%4`, 1), 400, "invalid_event", -1},
	{asCloudEvent, cloud(`,"dataschema":"relative"`), 400, "invalid_event", -1},
	{asCloudEvent, strings.Replace(cloud(``), `paid`, ``, 1), 400, "invalid_event", -1},
	{asCloudEvent, strings.Replace(cloud(``), `cats`, `cats.>`, 1), 400, "invalid_topic", -1},
	{asCloudEvent, strings.Replace(cloud(``), `cats`, `$cats`, 1), 403, "topic_reserved", -1},
	{asCloudEvent, strings.Replace(cloud(``), `"cats"`, `null`, 1), 400, "invalid_topic", -1},
	{asCloudEvent, cloud(`,"id":"8"`), 400, "malformed_json", -1},
	{asCloudEvent, cloud(`,"ext":1,"ext":1`), 400, "malformed_json", -1},
	{asCloudEvent, cloud(`,"data":1,"data_base64":"AA=="`), 400, "conflicting_input", -1},
	{asCloudEvent, cloud(`,"data_base64":"A"`), 400, "invalid_message", -1},
	{asCloudEvent, cloud(`,"data_base64":"_-=="`), 400, "invalid_message", -1},
	{asCloudEvent, cloud(`,"data_base64":"AP8=\n"`), 400, "invalid_message", -1}, // would break the frame
	{asCloudEvent, cloud(`,"data_base64":"AP\r8="`), 400, "invalid_message", -1},
	{asCloudEvent, cloud(`,"data_base64":7`), 400, "malformed_json", -1},
	{asCloudEvent, cloud(`,"time":"yesterday"`), 400, "invalid_event", -1},
	{asCloudEvent, cloud(`,"time":"2026-01-02T03:04:05.` + strings.Repeat("0", 300) + `Z"`), 400, "invalid_event", -1},
	{asCloudEvent, cloud(`,"datacontenttype":"nothing of the kind/"`), 400, "invalid_event", -1},
	{asCloudEvent, cloud(`,"dataschema":"%zz"`), 400, "invalid_event", -1},
	{asCloudEvent, cloud(`,"Subject":"dogs"`), 400, "invalid_event", -1},
	{asCloudEvent, cloud(`,"my_ext":1`), 400, "invalid_event", -1},
	{asCloudEvent, cloud(`,"":1`), 400, "invalid_event", -1},
	{asCloudEvent, cloud(`,"ext":{}`), 400, "invalid_event", -1},
	{asCloudEvent, cloud(`,"ext":[1]`), 400, "invalid_event", -1},
	{asCloudEvent, cloud(`,"ext":1.5`), 400, "invalid_event", -1},
	{asCloudEvent, cloud(`,"ext":2147483648`), 400, "invalid_event", -1},
	{asCloudEvent, cloud(`,"` + strings.Repeat("x", 65) + `":1`), 400, "invalid_event", -1},
	{asCloudEvent, cloud(`,"ext":"` + strings.Repeat("x", 8<<10) + `"`), 400, "invalid_event", -1},
	{asCloudEvent, cloud(`,"belfryuser":7.0`), 400, "invalid_user_id", -1},
	{asCloudEvent, cloud(`,"belfryuser":[7]`), 400, "invalid_user_id", -1},
	{asCloudEvent, cloud(`,"belfryuser":"a\nb"`), 400, "invalid_user_id", -1},
	{asCloudEvent, cloud(`,"time":"2026-01-02T03:04:05,5Z"`), 400, "invalid_event", -1},
	{asCloudEvent, cloud(`,"time":"2026-01-02T03:04:60Z"`), 400, "invalid_event", -1},
	{asCloudEvent, cloud(`,"time":"2026-01-02T3:04:05Z"`), 400, "invalid_event", -1},
	{asCloudEvent, cloud(`,"expirytime":"2026-01-02T03:04:05+24:00"`), 400, "invalid_expires_in", -1},
	{asCloudEvent, cloud(`,"belfryuser":""`), 400, "invalid_user_id", -1},
	{asCloudEvent, cloud(`,"expirytime":"soon"`), 400, "invalid_expires_in", -1},
	{asCloudEvent, cloud(`,"expirytime":7`), 400, "invalid_expires_in", -1},
	{asCloudEvent, cloud(`,"data":[[[[[[[[]]]]]]]]`), 400, "too_deep", -1},
	{asCloudEvent + "; charset=utf-16", cloud(``), 415, "unsupported_media_type", -1},
	{asCloudEvent + "\nContent-Encoding: gzip", cloud(``), 415, "unsupported_media_type", -1},
	{"Content-Type: application/cloudevents+avro", `x`, 415, "unsupported_media_type", -1},
	{"Content-Type: application/cloudevents", cloud(``), 415, "unsupported_media_type", -1},

	{asCloudBatch, cloud(``), 400, "malformed_json", -1},
	{asCloudBatch, `null`, 400, "malformed_json", -1},
	{asCloudBatch, ``, 400, "malformed_json", -1},
	{asCloudBatch, `[` + cloud(``) + `,{}]`, 400, "invalid_event", 1},
	{asCloudBatch, `[` + cloud(``) + `,` + cloud(`,"data":1`) + `]`, 422, "idempotency_key_reused", -1},

	{"Ce-Specversion: 1.0\nCe-Id: 7\nCe-Type: paid\nCe-Subject: cats", `1`, 400, "invalid_event", -1},
	{"Ce-Specversion: 2.0\nCe-Id: 7\nCe-Type: paid\nCe-Source: x\nCe-Subject: cats", `1`, 400, "invalid_event", -1},
	{inBinary + "Ce-Id: 8", `1`, 400, "invalid_event", -1},
	{inBinary + "Ce-Name: %zz", `1`, 400, "invalid_event", -1},
	{inBinary + "Ce-Name: %ff", `1`, 400, "invalid_event", -1},
	{inBinary + "Ce-Name: \xff", `1`, 400, "invalid_event", -1},
	{inBinary + "Ce-My_name: x", `1`, 400, "invalid_event", -1},
	{inBinary + "Ce-: x", `1`, 400, "invalid_event", -1},
	{inBinary + "Ce-Data: x", `1`, 400, "invalid_event", -1}, // would be there twice
	{inBinary + "Ce-Data_base64: x", `1`, 400, "invalid_event", -1},
	{inBinary + "Ce-Datacontenttype: text/xml\nContent-Type: text/plain", `1`, 400, "invalid_event", -1},
	{inBinary + "Content-Type: nothing/;", `1`, 400, "invalid_event", -1},
	{inBinary + "Content-Type: text/plain; x=\"\xff\"", `1`, 400, "invalid_event", -1},
	{inBinary + "Content-Type: application/json", `{`, 400, "malformed_json", -1},
	{inBinary + "Content-Type: application/json", `1 2`, 400, "malformed_json", -1},
	{inBinary + "Content-Type: application/json", "\"\xff\"", 400, "malformed_json", -1},
	{inBinary + "Content-Type: application/json", `[[[[[[[[[]]]]]]]]]`, 400, "too_deep", -1},
	{inBinary + "Content-Type: text/plain", strings.Repeat("x", testMaxMessage+1), 413, "message_too_large", -1},
	{inBinary + "Content-Encoding: gzip", `1`, 415, "unsupported_media_type", -1},
}

// TestLongAnswer: the length of a long answer is known before it comes.
func TestLongAnswer(t *testing.T) {
	t.Parallel()
	b := newBroker(t, wide)
	list := "[" + strings.Repeat(`{"topic":"cats","message":1},`, 99) + `{"topic":"cats","message":1}]`
	got := b.call("POST", "/publish", list)
	if n := got.Body.Len(); got.Code != 200 || n < 2048 || got.Header().Get("Content-Length") != strconv.Itoa(n) {
		t.Errorf("%d with %d bytes, Content-Length: %s", got.Code, n, got.Header().Get("Content-Length"))
	}
}

func TestBadForms(t *testing.T) {
	t.Parallel()
	for _, c := range badForms {
		t.Run(c.header+c.body[:min(len(c.body), 100)], func(t *testing.T) {
			t.Parallel()
			b := watched(t)
			got := problem(t, b.call("POST", "/publish", c.body, headers(c.header)...), c.status, c.code)
			index := -1
			if got.Index != nil {
				index = *got.Index
			}
			if index != c.index {
				t.Errorf("it is told of element %d, want %d: %s", index, c.index, got.Detail)
			}
			if after := b.stats(); after.Head != 0 || after.Keys != 0 {
				t.Errorf("it had an effect: %+v", after)
			}
		})
	}
}
