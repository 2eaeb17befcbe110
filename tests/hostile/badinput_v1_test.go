package hostile_test

import (
	"strings"
	"testing"

	"belfry/tests/harness"
)

// badOps are operations that are refused.
func badOps() []struct{ send, code, ref string } {
	subscribe := func(members string) string { return `{"ref":7,"op":"subscribe","topics":["dogs"],` + members + `}` }
	topics := func(list string) string { return `{"ref":7,"op":"subscribe","topics":` + list + `}` }
	ref := func(ref string) string { return `{"op":"subscribe","topics":["dogs"],"ref":` + ref + `}` }
	long := func(n int) string { return strings.Repeat("x", n) }
	return []struct{ send, code, ref string }{
		// Not a JSON object.
		{``, "malformed_json", ``},
		{`ping`, "malformed_json", ``},
		{`42`, "malformed_json", ``},
		{`"ping"`, "malformed_json", ``},
		{`[{"op":"ping"}]`, "malformed_json", ``},
		{`{"op":"ping"`, "malformed_json", ``},
		{`{"op":"ping"}}`, "malformed_json", ``},
		{`{"op":"ping"}{"op":"ping"}`, "malformed_json", ``},
		{`{"op":"ping","op":"ping"}`, "malformed_json", ``},
		{`{"ref":7,"op":"ping","ref":8}`, "malformed_json", `7`},
		{`{"op":"p\ud800"}`, "malformed_json", ``},
		{"\ufeff" + `{"op":"ping"}`, "malformed_json", ``},
		{strings.Repeat("[", 1000), "malformed_json", ``},

		// Operations.
		{`{}`, "unknown_op", ``},
		{`{"op":"","ref":7}`, "unknown_op", `7`},
		{`{"op":"PING","ref":7}`, "unknown_op", `7`},
		{`{"op":"register","ref":7}`, "unknown_op", `7`},
		{`{"topics":["dogs"],"ref":7}`, "unknown_op", `7`},
		{`{"op":1,"ref":7}`, "malformed_json", `7`},
		{`{"op":["ping"],"ref":7}`, "malformed_json", `7`},
		{`{"op":"publish","topic":"victim","data":"not sent","user_id":"","ref":7}`, "invalid_user_id", `7`},
		{`{"op":"publish","topic":"victim","data":"not sent","user_id":1.5,"ref":7}`, "invalid_user_id", `7`},
		{`{"op":"publish","topic":"victim","data":"not sent","user_id":true,"ref":7}`, "invalid_user_id", `7`},
		{`{"op":"publish","topic":"victim","data":"not sent","expires_in":0,"ref":7}`, "invalid_expires_in", `7`},
		{`{"op":"publish","topic":"victim.*","data":"not sent","ref":7}`, "invalid_topic", `7`},
		{`{"op":"publish","topic":"victim","ref":7}`, "invalid_message", `7`},
		{`{"op":"publish","ref":7}`, "invalid_topic", `7`},

		// Unknown members, or members of another operation.
		{`{"op":"ping","id":"1","ref":7}`, "unknown_member", `7`},
		{`{"Op":"ping","ref":7}`, "unknown_member", `7`},
		{subscribe(`"LAST":5`), "unknown_member", `7`},
		{subscribe(`"user_id":1`), "unknown_member", `7`},
		{subscribe(`"topic":"fish"`), "unknown_member", `7`},
		{subscribe(`"data":1`), "unknown_member", `7`},
		{`{"op":"subscribe","topic":"dogs","ref":7}`, "unknown_member", `7`},
		{`{"op":"unsubscribe","topics":["victim"],"after":"000000000000000000000000","ref":7}`, "unknown_member", `7`},
		{`{"op":"unsubscribe","topics":["victim"],"last":1,"ref":7}`, "unknown_member", `7`},
		{`{"op":"unsubscribe","topics":["victim"],"topic":"victim","ref":7}`, "unknown_member", `7`},
		{`{"op":"ping","topics":["dogs"],"ref":7}`, "unknown_member", `7`},
		{`{"op":"ping","data":1,"ref":7}`, "unknown_member", `7`},

		// Refs.
		{ref(`{}`), "invalid_ref", ``},
		{ref(`{"a":1}`), "invalid_ref", ``},
		{ref(`[1]`), "invalid_ref", ``},
		{ref(`true`), "invalid_ref", ``},
		{ref(`"` + long(127) + `"`), "invalid_ref", ``},
		{ref(strings.Repeat("1", 129)), "invalid_ref", ``},
		{`{"op":"no such op","ref":{}}`, "invalid_ref", ``},

		// Topics.
		{`{"op":"subscribe","ref":7}`, "invalid_topic", `7`},
		{`{"op":"unsubscribe","ref":7}`, "invalid_topic", `7`},
		{topics(`null`), "invalid_topic", `7`},
		{topics(`[]`), "invalid_topic", `7`},
		{topics(`"dogs"`), "malformed_json", `7`},
		{topics(`{"dogs":1}`), "malformed_json", `7`},
		{topics(`["dogs",1]`), "malformed_json", `7`},
		{topics(`["dogs",["fish"]]`), "malformed_json", `7`},
		{topics(`["dogs",null]`), "invalid_topic", `7`},
		{topics(`["dogs",""]`), "invalid_topic", `7`},
		{topics(`["dogs","a..b"]`), "invalid_topic", `7`},
		{topics(`["dogs",".a"]`), "invalid_topic", `7`},
		{topics(`["dogs","a.>.b"]`), "invalid_topic", `7`},
		{topics(`["dogs","a\u0000"]`), "invalid_topic", `7`},
		{topics(`["dogs","a\u009f"]`), "invalid_topic", `7`},
		{topics(`["dogs","` + long(256) + `"]`), "invalid_topic", `7`},
		{topics(`["dogs","` + strings.Repeat("é", 128) + `"]`), "invalid_topic", `7`},
		{topics(`["dogs","a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q"]`), "invalid_topic", `7`},
		{topics(`["dogs","$canary"]`), "topic_reserved", `7`},
		{topics(`["$>","dogs"]`), "topic_reserved", `7`},
		{`{"op":"unsubscribe","topics":["victim","$canary"],"ref":7}`, "topic_reserved", `7`},
		{`{"op":"unsubscribe","topics":["victim","a..b"],"ref":7}`, "invalid_topic", `7`},
		{topics(`["a","b","c","d"]`), "too_many_topics", `7`},
		{topics(`["a.*","b.*","c.*","victim","d.*"]`), "too_many_topics", `7`},
		{`{"op":"unsubscribe","topics":["a","a","a","a","a"],"ref":7}`, "too_many_topics", `7`},

		// Positions to start from.
		{subscribe(`"after":""`), "invalid_cursor", `7`},
		{subscribe(`"after":"now"`), "invalid_cursor", `7`},
		{subscribe(`"after":"00000000000000000000000"`), "invalid_cursor", `7`},
		{subscribe(`"after":"0000000000000000000000000"`), "invalid_cursor", `7`},
		{subscribe(`"after":"01A1FC0B336A000000000001"`), "invalid_cursor", `7`},
		{subscribe(`"after":"01a1fc0b336a00000000000g"`), "invalid_cursor", `7`},
		{subscribe(`"after":" 1a1fc0b336a000000000001"`), "invalid_cursor", `7`},
		{subscribe(`"after":5`), "malformed_json", `7`},
		{subscribe(`"after":["000000000000000000000000"]`), "malformed_json", `7`},
		{subscribe(`"last":0`), "invalid_last", `7`},
		{subscribe(`"last":-1`), "invalid_last", `7`},
		{subscribe(`"last":1001`), "invalid_last", `7`},
		{subscribe(`"last":1.5`), "invalid_last", `7`},
		{subscribe(`"last":1e1`), "invalid_last", `7`},
		{subscribe(`"last":18446744073709551617`), "invalid_last", `7`},
		{subscribe(`"last":"x"`), "invalid_last", `7`},
		{subscribe(`"last":"5"`), "invalid_last", `7`},
		{subscribe(`"last":[1]`), "invalid_last", `7`},
		{subscribe(`"last":true`), "invalid_last", `7`},
		{subscribe(`"after":"000000000000000000000000","last":1`), "conflicting_input", `7`},
		{subscribe(`"last":0,"after":"x"`), "conflicting_input", `7`},
	}
}

func TestBadOperations(t *testing.T) {
	t.Parallel()
	b := harness.Start(t, strictLimits...)
	by := b.Bystander(t)
	defer by.Silent(t)
	for _, test := range badOps() {
		v := newVictim(t, b)
		w := b.WireV1(t, v.Path)
		w.Send(t, harness.Say(test.send), harness.Say(`{"op":"ping","ref":"after"}`))
		if m := w.V1(t); m.Type != "error" || m.Code != test.code || string(m.Ref) != test.ref || m.Detail == "" {
			t.Errorf("got %+v, want the error %s with ref %s", m, test.code, test.ref)
		}
		if m := w.V1(t); m.Type != "pong" || string(m.Ref) != `"after"` {
			t.Errorf("after the error comes %+v", m)
		}
		for _, topic := range []string{"dogs", "fish"} {
			if got := b.Publish(t, harness.Event(topic, "not asked for")); got.Matched != 0 {
				t.Errorf("it is subscribed to %s", topic)
			}
		}
		v.subscribed(t, 1)
		if m := w.V1(t); m.Type != "event" || m.Topic != "victim" || string(m.Data) != `"purr"` {
			t.Errorf("its event is %+v", m)
		}
		w.Send(t, harness.Farewell(1000, ""))
		w.Echoed(t, 1000)
		v.away(t)
		v.remove(t)
		by.Before.Topics = b.Census(t).Topics // dogs and fish are retained
		by.Undisturbed(t)
		if t.Failed() {
			t.Fatalf("after %.200s", test.send)
		}
	}
}

// TestRefusalsOverV1AreShort: a refusal shows only a part of a wrong name.
func TestRefusalsOverV1AreShort(t *testing.T) {
	t.Parallel()
	b := harness.Start(t)
	w := b.WireV1(t, "/ws?topic=cats")
	w.Send(t, harness.Say(`{"op":"ping","`+strings.Repeat("\x7f", 60_000)+`":1}`)) // each is four characters in quotes
	if m := w.V1(t); m.Code != "unknown_member" || len(m.Detail) > 1000 {
		t.Errorf("it is refused as %s with %d bytes of detail", m.Code, len(m.Detail))
	}
}

// TestOddOperations: operations that look strange but are valid.
func TestOddOperations(t *testing.T) {
	t.Parallel()
	b := harness.Start(t, strictLimits...)
	by := b.Bystander(t)
	defer by.Silent(t)
	w := b.WireV1(t, "/ws")
	by.Before = b.Census(t)
	for _, test := range []struct{ send, want, ref string }{
		{"\n{ \"op\" : \"ping\" , \"ref\" : 1.50 }\r\n", "pong", `1.50`},
		{`{"op":"ping","ref":null}`, "pong", ``},
		{`{"op":"ping","ref":"` + strings.Repeat("x", 126) + `"}`, "pong", `"` + strings.Repeat("x", 126) + `"`},
		{`{"op":"ping","ref":1e400}`, "pong", `1e400`},
		{`{"op":"ping","ref":"\u003cb\u003e"}`, "pong", `"\u003cb\u003e"`},
		{`{"op":"\u0070ing","ref":""}`, "pong", `""`},
		{`{"op":"ping","topics":null,"after":null,"last":null,"ref":1}`, "pong", `1`},
		{`{"op":"unsubscribe","topics":["never had"],"ref":2}`, "ack", `2`},
		{`{"op":"subscribe","topics":["odd","odd","odd","odd"],"ref":3}`, "ack", `3`},
		{`{"op":"subscribe","topics":["odd"],"ref":4}`, "ack", `4`},
		{`{"op":"unsubscribe","topics":["odd","odd"],"ref":5}`, "ack", `5`},
	} {
		w.Send(t, harness.Say(test.send))
		if m := w.V1(t); m.Type != test.want || string(m.Ref) != test.ref {
			t.Errorf("%s: got %+v", test.send, m)
		}
	}
	w.Send(t, harness.Masked(harness.Text, `{"op":`)+harness.Masked(harness.Final|harness.Ping, "between")+harness.Masked(harness.Final|harness.Continuation, `"ping"}`))
	if op, got := w.Frame(t); op != harness.Pong || got != "between" {
		t.Errorf("got %#x %q, want a pong", op, got)
	}
	if m := w.V1(t); m.Type != "pong" {
		t.Errorf("got %+v", m)
	}
	by.Undisturbed(t)
}

// TestBadMessages: a message that is not belfry.v1 ends the connection.
func TestBadMessages(t *testing.T) {
	t.Parallel()
	b := harness.Start(t, strictLimits...)
	by := b.Bystander(t)
	defer by.Silent(t)
	pad := strings.Repeat(" ", 1001)
	for _, test := range []struct {
		name, send string
		code       int
		reason     string
	}{
		{"binary", harness.Masked(harness.Final|harness.BinaryFrame, `{"op":"ping"}`), 1003, "belfry.v1 has text messages only"},
		{"empty binary", harness.Masked(harness.Final|harness.BinaryFrame, ""), 1003, "belfry.v1 has text messages only"},
		{"binary in fragments", harness.Masked(harness.BinaryFrame, `{"op":`) + harness.Masked(harness.Final, `"ping"}`), 1003, "belfry.v1 has text messages only"},
		{"invalid UTF-8", harness.Say("{\"op\":\"\xff\"}"), 1007, "text is not valid UTF-8"},
		{"invalid UTF-8 in a ref", harness.Say("{\"op\":\"ping\",\"ref\":\"\xed\xa0\x80\"}"), 1007, "text is not valid UTF-8"},
		{"oversized", harness.Say(`{"op":"ping"}` + pad), 1009, "message is too big"},
		{"oversized in fragments", harness.Masked(harness.Text, pad[:600]) + harness.Masked(harness.Final, pad[:401]), 1009, "message is too big"},
		{"too many fragments", harness.Masked(harness.Text, " ") + strings.Repeat(harness.Masked(harness.Continuation, " "), 8), 1008, "message has too many fragments"},
		{"not masked", "\x81\x0d" + `{"op":"ping"}`, 1002, "client frame is not masked"},
		{"bad, and more after it", harness.Masked(harness.Final|harness.BinaryFrame, "") + harness.Say(`{"op":"subscribe","topics":["bystander"]}`), 1003, "belfry.v1 has text messages only"},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := newVictim(t, b)
			w := b.WireV1(t, v.Path)
			w.Send(t, test.send)
			w.Closed(t, test.code, test.reason)
			v.away(t)
			v.remove(t)
			by.Undisturbed(t)
		})
	}
}

// Among the broker's own topics an operator sees those for operators.
func TestReservedOverV1(t *testing.T) {
	t.Parallel()
	b := harness.Start(t)
	w := b.WireV1(t, "/ws")
	for topic, want := range map[string]string{"$stats": "ack", "$presence.cats": "ack", "$presence.>": "ack", "$canary": "error", "$>": "error", "$stats.x": "error"} {
		w.Send(t, harness.Say(`{"op":"subscribe","topics":["`+topic+`"]}`))
		m := w.V1(t)
		for m.Type == "event" {
			m = w.V1(t)
		}
		if m.Type != want || want == "error" && m.Code != "topic_reserved" {
			t.Errorf("%s: %+v, want %s", topic, m, want)
		}
	}
}
