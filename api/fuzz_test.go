package api_test

import (
	"bytes"
	stdjson "encoding/json"
	"reflect"
	"regexp"
	"testing"
	"time"

	"belfry/api"
	"belfry/hub"
)

// wide leaves room for what a fuzzer may come up with.
func wide(h *hub.Options, o *api.Options) {
	h.MaxClients, h.HistoryEvents = 1<<30, 10
	o.MaxMessage, o.MaxBody = 1<<20, 1<<20
}

// members reads an object by the standard library, which is laxer than we
// are: what it refuses, nobody may accept. Names count with their case.
func members(t *testing.T, body []byte) map[string]stdjson.RawMessage {
	var m map[string]stdjson.RawMessage
	if err := stdjson.Unmarshal(body, &m); err != nil || m == nil {
		t.Fatalf("accepted %q: %v", body, err)
	}
	return m
}

// isString reports whether a member is a string, and sets s to it.
func isString(raw stdjson.RawMessage, s *string) bool {
	return len(raw) > 0 && raw[0] == '"' && stdjson.Unmarshal(raw, s) == nil
}

func isNull(raw stdjson.RawMessage) bool { return raw == nil || string(raw) == "null" }

var integer = regexp.MustCompile(`^-?[0-9]{1,255}$`)

func isUser(raw stdjson.RawMessage) bool {
	var s string
	if isString(raw, &s) {
		return len(s) >= 1 && len(s) <= 255
	}
	return integer.Match(raw)
}

// unchanged checks that a refused request had no effect.
func unchanged(t *testing.T, before, after hub.Stats) {
	if before.Registered != after.Registered || before.Published != after.Published || before.Head != after.Head ||
		!reflect.DeepEqual(before.Disconnects, after.Disconnects) {
		t.Fatalf("refused, but it had an effect:\n%+v\n%+v", before, after)
	}
}

func FuzzPublish(f *testing.F) {
	for _, c := range refusals {
		f.Add([]byte(c.body))
	}
	f.Add([]byte(`{"topic":"cats","user_id":null,"message":"are awesome"}`))
	f.Add([]byte(`{"topic":"cats","user_id":"7","message":{"a":[1.0,"\u0020"]}}`))
	f.Add([]byte(` [{"topic":"cats","message":1} , {"topic":"dogs","message":"x","id":"y","expires_in":1e-9}]`))
	f.Add([]byte(`[{"topic":"cats","message":1},{"topic":"cats"}]`))
	f.Add([]byte(`[]`))
	f.Add([]byte(`{"topic":"cats","user_id":-0,"message":" \ud83d\ude00"}`))
	b := newBroker(f, wide)
	b.connect(b.register(`{"user_id":1,"topic":">"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		b.t = t
		before := b.stats()
		w := b.call("POST", "/publish", string(body))
		after := b.stats()
		if w.Code != 200 {
			if w.Code < 400 || w.Code >= 500 {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			var p document
			if err := stdjson.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Status != w.Code || p.Code == "" {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			unchanged(t, before, after)
			return
		}
		var receipts []receipt
		var events []stdjson.RawMessage
		if bytes.HasPrefix(bytes.TrimSpace(body), []byte("[")) {
			if err := stdjson.Unmarshal(body, &events); err != nil {
				t.Fatalf("accepted %q: %v", body, err)
			}
			if err := stdjson.Unmarshal(w.Body.Bytes(), &receipts); err != nil {
				t.Fatalf("%v: %s", err, w.Body)
			}
		} else {
			events, receipts = []stdjson.RawMessage{body}, make([]receipt, 1)
			if err := stdjson.Unmarshal(w.Body.Bytes(), &receipts[0]); err != nil {
				t.Fatalf("%v: %s", err, w.Body)
			}
		}
		if n := after.Published - before.Published; n != uint64(len(events)) || len(receipts) != len(events) {
			t.Fatalf("%d published of %d: %s", n, len(events), w.Body)
		}
		for i, event := range events {
			checkPublished(t, b, event, receipts[i])
		}
	})
}

// checkPublished checks an event that was taken, and its receipt.
func checkPublished(t *testing.T, b *broker, event []byte, got receipt) {
	m := members(t, event)
	var topic, message string
	if !isString(m["topic"], &topic) || hub.CheckTopic(topic) != nil || topic != got.Topic {
		t.Fatalf("published to %q: %+v", event, got)
	}
	if user := m["user_id"]; !isNull(user) && !isUser(user) {
		t.Fatalf("published for the user %s", user)
	}
	if !isString(m["message"], &message) {
		var compact bytes.Buffer
		if err := stdjson.Compact(&compact, m["message"]); err != nil {
			t.Fatalf("published %q: %v", m["message"], err)
		}
		message = compact.String()
	}
	if got.Queued == 1 {
		if frame := <-b.frames; frame != message {
			t.Fatalf("%q was delivered as %q", m["message"], frame)
		}
	}
}

func FuzzRegister(f *testing.F) {
	for _, c := range refusals {
		f.Add([]byte(c.body))
	}
	f.Add([]byte(`{"user_id":-12,"topics":["a","b.*"]}`))
	f.Add([]byte(`{"user_id":"\u0000","topics":null,"topic":">"}`))
	b := newBroker(f, wide, func(h *hub.Options, _ *api.Options) { h.RegisterTTL = time.Millisecond })
	f.Fuzz(func(t *testing.T, body []byte) {
		b.t = t
		before := b.stats()
		w := b.call("POST", "/register", string(body))
		after := b.stats()
		if w.Code != 200 {
			if w.Code < 400 || w.Code >= 500 {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			unchanged(t, before, after)
			return
		}
		if after.Registered != before.Registered+1 {
			t.Fatalf("%s: %d registered", w.Body, after.Registered-before.Registered)
		}
		m := members(t, body)
		if !isUser(m["user_id"]) {
			t.Fatalf("registered the user %s", m["user_id"])
		}
		var topic string
		if raw := m["topic"]; !isNull(raw) && (!isString(raw, &topic) || hub.CheckPattern(topic) != nil) {
			t.Fatalf("registered for %s", raw)
		}
		var topics []string
		if raw := m["topics"]; !isNull(raw) && stdjson.Unmarshal(raw, &topics) != nil {
			t.Fatalf("registered for %s", raw)
		}
		for _, name := range topics {
			if hub.CheckPattern(name) != nil {
				t.Fatalf("registered for %q", name)
			}
		}
	})
}
