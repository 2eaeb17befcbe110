package api_test

import (
	stdjson "encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"belfry/api"
	"belfry/hub"
)

// asObject delivers events as what a client of cloudevents.json gets is made of.
func asObject(h *hub.Options, _ *api.Options) {
	h.Encoders[0] = func(e *hub.Event, _ hub.Cursor) []byte {
		d := e.Details
		text := fmt.Appendf(nil, `{"specversion":"1.0","sequence":"1","belfryuser":"","traceparent":"","subject":%s,"id":%s,"source":%s,"type":%s,"time":%s`,
			quoted(e.Topic), quoted(e.ID), quoted(d.Source), quoted(d.Type), quoted(d.Published))
		text = append(text, d.Attributes...)
		switch {
		case d.NoData:
			return append(text, '}')
		case d.Base64:
			return fmt.Appendf(text, `,"data_base64":"%s"}`, e.Message)
		case e.Text:
			return fmt.Appendf(text, `,"data":%s}`, quoted(string(e.Message)))
		}
		return fmt.Appendf(text, `,"data":%s}`, e.Message)
	}
}

func quoted(s string) []byte {
	text, err := jsontext.AppendQuote(nil, s)
	if err != nil {
		return []byte("an invalid text") // which is found
	}
	return text
}

// checkCloud checks what became of a CloudEvent: it was refused and had no effect,
// or what is delivered is one object in which no name comes twice.
func checkCloud(t *testing.T, b *broker, body string, header ...string) {
	before := b.stats()
	r := request("POST", "/publish?topic=cats", strings.NewReader(body), header...)
	w := serve(b, r)
	after := b.stats()
	if w.Code != http.StatusOK {
		var p document
		if err := stdjson.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code >= 500 || p.Status != w.Code || p.Code == "" {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		unchanged(t, before, after)
		return
	}
	for range after.Queued - before.Queued { // of those that have expired nobody gets any
		frame := []byte(<-b.frames)
		var object map[string]any
		if err := json.Unmarshal(frame, &object); err != nil || !utf8.Valid(frame) {
			t.Fatalf("%q is delivered as %q: %v", body, frame, err)
		}
		var read struct {
			Subject, ID, Source, Type string
			Base64                    []byte `json:"data_base64"`
		}
		if err := stdjson.Unmarshal(frame, &read); err != nil || read.ID == "" || read.Source == "" || read.Type == "" || hub.CheckTopic(read.Subject) != nil {
			t.Fatalf("%q is delivered as %q: %v", body, frame, err)
		}
	}
}

func cloudBroker(f *testing.F) *broker {
	b := newBroker(f, wide, asObject, func(h *hub.Options, _ *api.Options) { h.DedupeBytes = 1 << 30 })
	b.connect(b.register(`{"user_id":1,"topic":">"}`))
	return b
}

func FuzzCloudEvent(f *testing.F) {
	for _, c := range forms {
		f.Add([]byte(c.body), false)
		f.Add([]byte(c.body), true)
	}
	for _, c := range badForms {
		f.Add([]byte(c.body), strings.HasPrefix(c.header, asCloudBatch))
	}
	b := cloudBroker(f)
	f.Fuzz(func(t *testing.T, body []byte, batch bool) {
		b.t = t
		kind := "application/cloudevents+json"
		if batch {
			kind = "application/cloudevents-batch+json"
		}
		checkCloud(t, b, string(body), "Content-Type", kind)
	})
}

func FuzzBinaryCloudEvent(f *testing.F) {
	for _, c := range badForms {
		if rest, ok := strings.CutPrefix(c.header, inBinary); ok {
			f.Add([]byte(c.body), "text/plain", "7", strings.TrimPrefix(rest, "Content-Type: "), "name")
		}
	}
	for _, kind := range []string{"", "application/json", "text/plain; charset=utf-16", "image/png", "a/b; x=\"\xff\""} {
		f.Add([]byte(`{"a":"\u0000"}`), kind, `"a\"b"`, "%E2%82%AC", "name")
		f.Add([]byte("\xff\x00"), kind, "7", "x", "data")
	}
	b := cloudBroker(f)
	f.Fuzz(func(t *testing.T, body []byte, kind, id, value, name string) {
		b.t = t
		header := []string{"Ce-Specversion", "1.0", "Ce-Id", id, "Ce-Source", "/x", "Ce-Type", "y", "Ce-" + name, value}
		if kind != "" {
			header = append(header, "Content-Type", kind)
		}
		checkCloud(t, b, string(body), header...)
	})
}
