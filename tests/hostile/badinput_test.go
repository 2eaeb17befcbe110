package hostile_test

import (
	"net/http"
	"strings"
	"testing"

	"belfry/tests/harness"
)

// The limits of the broker are small, so that bad input can be small.
var strictLimits = []string{"--max-subscriptions=4", "--max-fragments=8", "--max-message=1000", "--max-body=4096", "--max-depth=16",
	// The test ends before this passes, where the end of a connection depends on it.
	"--close-timeout=1m"}

func TestBadFrames(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1001)
	broken := []struct {
		name   string
		send   string
		code   int
		reason string
	}{
		{"not masked", string(harness.Octets("81 02 68 69")), 1002, "client frame is not masked"},
		{"not masked, a ping", string(harness.Octets("89 00")), 1002, "client frame is not masked"},
		{"reserved bit 1", harness.Masked(harness.Final|harness.Rsv1|harness.Text, "hi"), 1002, "reserved bits are set"},
		{"reserved bit 2", harness.Masked(harness.Final|harness.Rsv2|harness.Text, "hi"), 1002, "reserved bits are set"},
		{"reserved bit 3 in a ping", harness.Masked(harness.Final|harness.Rsv3|harness.Ping, ""), 1002, "reserved bits are set"},
		{"reserved opcode 3", harness.Masked(harness.Final|0x3, "hi"), 1002, "reserved opcode"},
		{"reserved opcode 7", harness.Masked(harness.Final|0x7, "hi"), 1002, "reserved opcode"},
		{"reserved opcode 11", harness.Masked(harness.Final|0xB, ""), 1002, "reserved opcode"},
		{"reserved opcode 15", harness.Masked(harness.Final|0xF, ""), 1002, "reserved opcode"},
		{"HTTP", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 1002, "reserved bits are set"},
		{"fragmented ping", harness.Masked(harness.Ping, "hi"), 1002, "control frame is fragmented"},
		{"fragmented close", harness.Masked(harness.Closing, ""), 1002, "control frame is fragmented"},
		{"ping of 126 bytes", harness.Masked(harness.Final|harness.Ping, long[:126]), 1002, "control frame is longer than 125 bytes"},
		{"close of 126 bytes", harness.Farewell(1000, long[:124]), 1002, "control frame is longer than 125 bytes"},
		{"continuation of nothing", harness.Masked(harness.Final|harness.Continuation, "hi"), 1002, "continuation of no message"},
		{"continuation of a message that is whole", harness.Say("ping") + harness.Masked(harness.Continuation, "hi"), 1002, "continuation of no message"},
		{"text inside a text", harness.Masked(harness.Text, "h") + harness.Say("i"), 1002, "new message inside a fragmented one"},
		{"binary inside a text", harness.Masked(harness.Text, "h") + harness.Masked(harness.BinaryFrame, "i"), 1002, "new message inside a fragmented one"},
		{"length of 2 in 16 bits", harness.WithMask(harness.Octets("81 fe 00 02"), "hi"), 1002, "length is not in its shortest form"},
		{"length of 125 in 16 bits", harness.WithMask(harness.Octets("82 fe 00 7d"), ""), 1002, "length is not in its shortest form"},
		{"length of 65535 in 64 bits", harness.WithMask(harness.Octets("82 ff 00 00 00 00 00 00 ff ff"), ""), 1002, "length is not in its shortest form"},
		{"length of 2^63", harness.WithMask(harness.Octets("81 ff 80 00 00 00 00 00 00 00"), ""), 1002, "length has its most significant bit set"},
		{"length of 2^63-1", harness.WithMask(harness.Octets("81 ff 7f ff ff ff ff ff ff ff"), ""), 1009, "message is too big"},
		{"text over the limit", harness.Say(long), 1009, "message is too big"},
		{"binary over the limit", harness.Masked(harness.Final|harness.BinaryFrame, long), 1009, "message is too big"},
		{"announced over the limit", harness.WithMask(harness.Octets("81 fe 03 e9"), ""), 1009, "message is too big"},
		{"over the limit in fragments", harness.Masked(harness.Text, long[:600]) + harness.Masked(harness.Final, long[:401]), 1009, "message is too big"},
		{"9 fragments", harness.Masked(harness.Text, "p") + strings.Repeat(harness.Masked(harness.Continuation, ""), 8), 1008, "message has too many fragments"},
		{"150 pings at once", strings.Repeat(harness.Masked(harness.Final|harness.Ping, "hi"), 150), 1008, "too many control frames"},
		{"150 pongs at once", strings.Repeat(harness.Masked(harness.Final|harness.Pong, "hi"), 150), 1008, "too many control frames"},
		{"invalid UTF-8", harness.Say("\xff"), 1007, "text is not valid UTF-8"},
		{"invalid UTF-8 in topics", harness.Say("{\"topics\": [\"\xc3\x28\"]}"), 1007, "text is not valid UTF-8"},
		{"an overlong form", harness.Say("\xc0\x80"), 1007, "text is not valid UTF-8"},
		{"half a surrogate pair", harness.Say("\xed\xa0\x80"), 1007, "text is not valid UTF-8"},
		{"a rune cut off at the end", harness.Say("caf\xc3"), 1007, "text is not valid UTF-8"},
		{"a rune spoilt by the next fragment", harness.Masked(harness.Text, "caf\xc3") + harness.Masked(harness.Continuation, "e"), 1007, "text is not valid UTF-8"},
		{"close with half a code", harness.Masked(harness.Final|harness.Closing, "\x03"), 1002, "close frame has half a code"},
		{"close with code 0", harness.Farewell(0, ""), 1002, "close code is not one that may be sent"},
		{"close with code 999", harness.Farewell(999, ""), 1002, "close code is not one that may be sent"},
		{"close with code 1004", harness.Farewell(1004, ""), 1002, "close code is not one that may be sent"},
		{"close with code 1005", harness.Masked(harness.Final|harness.Closing, "\x03\xed"), 1002, "close code is not one that may be sent"},
		{"close with code 1006", harness.Farewell(1006, "bye"), 1002, "close code is not one that may be sent"},
		{"close with code 1015", harness.Farewell(1015, ""), 1002, "close code is not one that may be sent"},
		{"close with code 2999", harness.Farewell(2999, ""), 1002, "close code is not one that may be sent"},
		{"close with code 5000", harness.Farewell(5000, ""), 1002, "close code is not one that may be sent"},
		{"close with a reason that is not UTF-8", harness.Farewell(1000, "\xff"), 1007, "reason of the close frame is not valid UTF-8"},
	}
	b := harness.Start(t, strictLimits...)
	by := b.Bystander(t)
	defer by.Silent(t)
	for _, test := range broken {
		for name, send := range map[string]sender{"at once": victim.atOnce, "early": victim.early, "in single bytes": victim.inBytes} {
			t.Run(test.name+", "+name, func(t *testing.T) {
				v := newVictim(t, b)
				w := send(v, t, test.send)
				w.Closed(t, test.code, test.reason)
				v.away(t)
				v.remove(t)
				by.Undisturbed(t)
			})
		}
	}
}

// A victim is the client through which bad frames come.
type victim struct {
	harness.Registration
	b *harness.Broker
}

func newVictim(t *testing.T, b *harness.Broker) victim {
	t.Helper()
	return victim{b.Register(t, `{"user_id": "victim", "topics": ["victim"]}`), b}
}

// A sender opens a connection of a victim and sends bytes.
type sender func(v victim, t *testing.T, bytes string) *harness.Wire

func (v victim) atOnce(t *testing.T, bytes string) *harness.Wire {
	t.Helper()
	w := v.b.Wire(t, v.Registration)
	w.Send(t, bytes)
	return w
}

// early sends the bytes together with the handshake.
func (v victim) early(t *testing.T, bytes string) *harness.Wire {
	t.Helper()
	return v.b.Wire(t, v.Registration, bytes)
}

func (v victim) inBytes(t *testing.T, bytes string) *harness.Wire {
	t.Helper()
	w := v.b.Wire(t, v.Registration)
	for i := range len(bytes) {
		w.Send(t, bytes[i:i+1])
	}
	return w
}

// away checks that the client is unchanged, except for its connection.
func (v victim) away(t *testing.T) {
	t.Helper()
	// What is asked now is answered after the courier's report, which was sent
	// before the Close frame.
	if got := v.b.Census(t); got.Clients != 2 || got.Connected != 1 {
		t.Errorf("there are %+v", got)
	}
	v.subscribed(t, 0)
}

// subscribed checks the client's topics by the receipt of an event: so many connections
// get it.
func (v victim) subscribed(t *testing.T, queued int) {
	t.Helper()
	if got := v.b.Publish(t, harness.Event("victim", "purr")); got.Matched != 1 || got.Queued != queued {
		t.Errorf("the client's event: %+v, want %d queued", got, queued)
	}
}

// remove removes the client and its events.
func (v victim) remove(t *testing.T) {
	t.Helper()
	if !v.b.Unregister(t, v.Registration) {
		t.Error("the client was gone")
	}
}

// TestIgnoredMessages: an unknown message is ignored as a whole, and the connection
// continues.
func TestIgnoredMessages(t *testing.T) {
	t.Parallel()
	topics := func(list string) string { return harness.Say(`{"topics": [` + list + `]}`) }
	b := harness.Start(t, strictLimits...)
	by := b.Bystander(t)
	defer by.Silent(t)
	for _, test := range []struct{ name, send string }{
		{"binary", harness.Masked(harness.Final|harness.BinaryFrame, `{"topics": ["dogs"]}`)},
		{"binary that is not UTF-8", harness.Masked(harness.Final|harness.BinaryFrame, "\xff\xfe")},
		{"empty binary", harness.Masked(harness.Final|harness.BinaryFrame, "")},
		{"empty text", harness.Say("")},
		{"prose", harness.Say("hello")},
		{"ping in capitals", harness.Say("PING")},
		{"ping with CRLF", harness.Say("ping\r\n")},
		{"pong", harness.Say("pong")},
		{"a number", harness.Say("42")},
		{"null", harness.Say("null")},
		{"a list", harness.Say(`["dogs"]`)},
		{"an empty object", harness.Say("{}")},
		{"another object", harness.Say(`{"topic": "dogs"}`)},
		{"a member too many", harness.Say(`{"topics": ["dogs"], "after": 1}`)},
		{"a member twice", harness.Say(`{"topics": ["dogs"], "topics": ["birds"]}`)},
		{"a member in capitals", harness.Say(`{"Topics": ["dogs"]}`)},
		{"half an object", harness.Say(`{"topics": ["dogs"]`)},
		{"two objects", harness.Say(`{"topics": ["dogs"]}{"topics": ["dogs"]}`)},
		{"deep nesting", harness.Say(strings.Repeat("[", 1000))},
		{"topics that are null", harness.Say(`{"topics": null}`)},
		{"topics that are a text", harness.Say(`{"topics": "dogs"}`)},
		{"a topic that is a number", topics(`"dogs", 1`)},
		{"a topic that is null", topics(`"dogs", null`)},
		{"an empty topic", topics(`"dogs", ""`)},
		{"an empty level", topics(`"dogs", "a..b"`)},
		{"> before the end", topics(`"dogs", "a.>.b"`)},
		{"a control character", topics(`"dogs", "a\u0007"`)},
		{"a topic of 256 bytes", topics(`"dogs", "` + strings.Repeat("x", 256) + `"`)},
		{"a topic of 17 levels", topics(`"dogs"` + strings.Repeat(`, "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q"`, 2))},
		{"a lone surrogate", topics(`"dogs", "\ud800"`)},
		{"the broker's own topic", topics(`"dogs", "$canary"`)},
		{"too many topics", topics(`"dogs", "a", "b", "c", "d"`)},
		{"other JSON in fragments", harness.Masked(harness.Text, `{"top`) + harness.Masked(harness.Final|harness.Ping, "between") + harness.Masked(harness.Final|harness.Continuation, `ic": 1}`)},
	} {
		t.Run(test.name, func(t *testing.T) {
			ignored := b.Metric(t, "belfry_messages_ignored_total")
			v := newVictim(t, b)
			w := v.atOnce(t, test.send)
			if strings.Contains(test.name, "fragments") {
				if op, got := w.Frame(t); op != harness.Pong || got != "between" {
					t.Errorf("got %#x %q, want a pong", op, got)
				}
			}
			w.Sync(t)
			if n := b.Metric(t, "belfry_messages_ignored_total"); n != ignored+1 {
				t.Errorf("%v messages were ignored, want one", n-ignored)
			}
			v.subscribed(t, 1)
			w.Expect(t, "purr")
			w.Send(t, harness.Farewell(1000, ""))
			w.Echoed(t, 1000)
			v.away(t)
			v.remove(t)
			by.Undisturbed(t)
		})
	}
}

// TestOddFrames: frames that look strange but are valid.
func TestOddFrames(t *testing.T) {
	t.Parallel()
	b := harness.Start(t, strictLimits...)
	by := b.Bystander(t)
	defer by.Silent(t)
	for _, test := range []struct {
		name, send string
		echo       int
	}{
		{"ping in fragments", harness.Masked(harness.Text, "pi") + harness.Masked(harness.Continuation, "") + harness.Masked(harness.Final|harness.Continuation, "ng") + harness.Farewell(1000, ""), 1000},
		{"8 fragments", harness.Masked(harness.Text, "p") + strings.Repeat(harness.Masked(harness.Continuation, ""), 6) + harness.Masked(harness.Final, "ing") + harness.Farewell(1000, ""), 1000},
		{"a pong that nobody asked for", harness.Masked(harness.Final|harness.Pong, "hi") + harness.Farewell(1001, "away"), 1001},
		{"1000 bytes", harness.Masked(harness.Final|harness.BinaryFrame, strings.Repeat("x", 1000)) + harness.Farewell(1000, ""), 1000},
		{"close without a code", harness.Farewell(1005, ""), 1005},
		{"close with a long reason", harness.Farewell(1000, strings.Repeat("x", 123)), 1000},
		{"close with code 1014", harness.Farewell(1014, ""), 1014},
		{"close with code 3000", harness.Farewell(3000, ""), 3000},
		{"close with code 4999", harness.Farewell(4999, ""), 4999},
		{"close in the middle of a message", harness.Masked(harness.Text, "h") + harness.Farewell(1000, ""), 1000},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := newVictim(t, b)
			v.atOnce(t, test.send).Echoed(t, test.echo)
			v.away(t)
			v.remove(t)
			by.Undisturbed(t)
		})
	}
}

// TestHalfFrames: connections that end where no connection should.
func TestHalfFrames(t *testing.T) {
	t.Parallel()
	b := harness.Start(t, strictLimits...)
	by := b.Bystander(t)
	defer by.Silent(t)
	for _, test := range []struct{ name, send string }{
		{"nothing", ""},
		{"half a header", "\x81"},
		{"a header without its key", string(harness.Octets("81 85 37 fa"))},
		{"half a long header", string(harness.Octets("82 ff 00 00 00"))},
		{"half a payload", harness.Say(`{"topics": ["dogs"]}`)[:12]},
		{"half a message", harness.Masked(harness.Text, `{"topics": ["dogs"]}`)},
		{"half a ping", harness.Masked(harness.Final|harness.Ping, "hello")[:8]},
		{"half a close", harness.Farewell(1000, "bye")[:8]},
	} {
		for name, end := range map[string]func(*harness.Wire, *testing.T){"reset": (*harness.Wire).Reset, "end": (*harness.Wire).HangUp} {
			t.Run(test.name+", then "+name, func(t *testing.T) {
				v := newVictim(t, b)
				end(v.atOnce(t, test.send), t)
				harness.Eventually(t, "the victim is away", func() bool { return b.Census(t).Connected == 1 })
				v.away(t)
				v.remove(t)
				by.Undisturbed(t)
			})
		}
	}
}

func TestBadHandshakes(t *testing.T) {
	t.Parallel()
	b := harness.Start(t, append(strictLimits, "--allowed-origins=https://good.example")...)
	by := b.Bystander(t)
	defer by.Silent(t)
	v := newVictim(t, b)
	by.Before = b.Census(t)
	without := func(name string) string { return replaceLine(harness.Opening("/ws/ID"), name, "") }
	with := func(name, value string) string {
		return replaceLine(harness.Opening("/ws/ID"), name, name+": "+value+"\r\n")
	}
	also := func(line string) string {
		return strings.Replace(harness.Opening("/ws/ID"), "\r\n", "\r\n"+line+"\r\n", 1)
	}
	for _, test := range []struct {
		name, send string
		status     int
		code       string
		header     string // that the answer has
	}{
		{"no handshake", "GET /ws/ID HTTP/1.1\r\nHost: localhost\r\n\r\n", 426, "upgrade_required", "Upgrade"},
		{"no Connection", without("Connection"), 426, "upgrade_required", "Upgrade"},
		{"no Upgrade", without("Upgrade"), 426, "upgrade_required", "Upgrade"},
		{"Upgrade to something else", with("Upgrade", "h2c"), 426, "upgrade_required", "Upgrade"},
		{"Connection kept", with("Connection", "keep-alive"), 426, "upgrade_required", "Upgrade"},
		{"HTTP/1.0", strings.Replace(harness.Opening("/ws/ID"), "1.1", "1.0", 1), 426, "upgrade_required", ""},
		{"no version", without("Sec-WebSocket-Version"), 426, "upgrade_required", "Sec-WebSocket-Version"},
		{"version 8", with("Sec-WebSocket-Version", "8"), 426, "upgrade_required", "Sec-WebSocket-Version"},
		{"version 13.0", with("Sec-WebSocket-Version", "13.0"), 426, "upgrade_required", "Sec-WebSocket-Version"},
		{"no key", without("Sec-WebSocket-Key"), 400, "bad_handshake", ""},
		{"a short key", with("Sec-WebSocket-Key", "c2hvcnQ="), 400, "bad_handshake", ""},
		{"a key that is not base64", with("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=!"), 400, "bad_handshake", ""},
		{"two keys", also("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), 400, "bad_handshake", ""},
		{"a body", also("Content-Length: 8") + "\x81\x82\x00\x00\x00\x00hi", 400, "malformed_request", ""},
		{"a body in chunks", also("Transfer-Encoding: chunked") + "0\r\n\r\n", 400, "malformed_request", ""},
		{"a body before a stream", strings.Replace(harness.EventRequest("/sse/ID", "Content-Length: 2"), "\r\n\r\n", "\r\n\r\nhi", 1), 400, "malformed_request", ""},
		{"another method", strings.Replace(harness.Opening("/ws/ID"), "GET", "POST", 1), 405, "method_not_allowed", "Allow"},
		{"an unknown client", harness.Opening("/ws/00000000000000000000000000000000"), 404, "unknown_client", ""},
		{"31 digits", harness.Opening("/ws/0000000000000000000000000000000"), 404, "unknown_client", ""},
		{"no digits", harness.Opening("/ws/zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"), 404, "unknown_client", ""},
		{"an escaped slash", harness.Opening("/ws/ID%2f"), 404, "unknown_client", ""},
		{"a slash at the end", harness.Opening("/ws/ID/"), 404, "not_found", ""},
		{"no client", harness.Opening("/ws/"), 404, "not_found", ""},
		{"a foreign origin", also("Origin: https://evil.example"), 403, "origin_not_allowed", ""},
		{"an origin below", also("Origin: https://evil.good.example"), 403, "origin_not_allowed", ""},
		{"an origin at the end", also("Origin: https://good.example.evil.example"), 403, "origin_not_allowed", ""},
		{"another scheme", also("Origin: http://good.example"), 403, "origin_not_allowed", ""},
		{"another port", also("Origin: https://good.example:8443"), 403, "origin_not_allowed", ""},
		{"a file", also("Origin: null"), 403, "origin_not_allowed", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := b.Socket(t, strings.Replace(test.send, "ID", v.ClientID, 1)).Answer(t)
			got.Problem(t, test.status, test.code)
			if test.header != "" && got.Header.Get(test.header) == "" {
				t.Errorf("the answer has no %s: %v", test.header, got.Header)
			}
			by.Undisturbed(t)
		})
	}
	w := b.Socket(t, strings.Replace(also("Origin: https://good.example"), "ID", v.ClientID, 1))
	w.Accepted(t)
	v.subscribed(t, 1)
	w.Expect(t, "purr")
}

// replaceLine replaces the line of a header.
func replaceLine(request, name, line string) string {
	from := strings.Index(request, "\r\n"+name+":") + 2
	to := from + strings.Index(request[from:], "\r\n") + 2
	return request[:from] + line + request[to:]
}

func TestBadCalls(t *testing.T) {
	t.Parallel()
	b := harness.Start(t, strictLimits...)
	by := b.Bystander(t)
	defer by.Silent(t)
	full := b.Register(t, `{"user_id": "full", "topics": ["a.*", "b.*", "c.*", "d.*"]}`)
	by.Before = b.Census(t)
	type header []string
	topicOf := func(topic string) string { return `{"user_id": 1, "topic": ` + topic + `}` }
	userOf := func(user string) string {
		return `{"topic": "bystander", "message": "not sent", "user_id": ` + user + `}`
	}
	messageOf := func(message string) string { return `{"topic": "bystander", "message": ` + message + `}` }
	clientOf := func(id, topic string) string { return `{"client_id": ` + id + `, "topic": ` + topic + `}` }
	long := func(n int) string { return `"` + strings.Repeat("x", n) + `"` }
	for _, test := range []struct {
		method, target, body string
		header               header
		status               int
		code                 string
	}{
		// Not a JSON object.
		{"POST", "/register", ``, nil, 400, "malformed_json"},
		{"POST", "/register", `[{"user_id": 1}]`, nil, 400, "malformed_json"},
		{"POST", "/register", `{"user_id": 1`, nil, 400, "malformed_json"},
		{"POST", "/register", `{"user_id": 1}}`, nil, 400, "malformed_json"},
		{"POST", "/register", `{"user_id": 1, "user_id": 2}`, nil, 400, "malformed_json"},
		{"POST", "/register", `{"user_id": 01}`, nil, 400, "malformed_json"},
		{"POST", "/register", `{'user_id': 1}`, nil, 400, "malformed_json"},
		{"POST", "/register", "{\"user_id\": \"\xff\"}", nil, 400, "malformed_json"},
		{"POST", "/register", `{"user_id": "\ud800"}`, nil, 400, "malformed_json"},
		{"POST", "/register", "\xef\xbb\xbf{\"user_id\": 1}", nil, 400, "malformed_json"},
		{"POST", "/publish", `user_id=1&topic=bystander&message=hi`, nil, 400, "malformed_json"},
		{"POST", "/publish", `[` + messageOf(`1`), nil, 400, "malformed_json"},
		{"POST", "/publish", `[` + messageOf(`1`) + `, {"topic": "bystander"}]`, nil, 400, "invalid_message"},
		{"POST", "/publish", messageOf(`NaN`), nil, 400, "malformed_json"},
		{"POST", "/publish", messageOf("\"\xc3\x28\""), nil, 400, "malformed_json"},
		{"POST", "/publish", messageOf("[\"\xed\xa0\x80\"]"), nil, 400, "malformed_json"},
		{"POST", "/publish", messageOf(`{"a": 1, "a": 2}`), nil, 400, "malformed_json"},
		{"POST", "/publish", messageOf(strings.Repeat("[", 16) + strings.Repeat("]", 16)), nil, 400, "too_deep"},
		{"POST", "/register", topicOf(strings.Repeat(`{"a":`, 2000)), nil, 413, "payload_too_large"},
		{"POST", "/register", topicOf(strings.Repeat(`{"a":`, 700)), nil, 400, "too_deep"},

		// Users.
		{"POST", "/register", `{}`, nil, 400, "invalid_user_id"},
		{"POST", "/register", `{"user_id": null}`, nil, 400, "invalid_user_id"},
		{"POST", "/register", `{"user_id": ""}`, nil, 400, "invalid_user_id"},
		{"POST", "/register", `{"user_id": 1.5}`, nil, 400, "invalid_user_id"},
		{"POST", "/register", `{"user_id": 1e3}`, nil, 400, "invalid_user_id"},
		{"POST", "/register", `{"user_id": true}`, nil, 400, "invalid_user_id"},
		{"POST", "/register", `{"user_id": [1]}`, nil, 400, "invalid_user_id"},
		{"POST", "/register", `{"user_id": {"id": 1}}`, nil, 400, "invalid_user_id"},
		{"POST", "/register", `{"user_id": ` + long(256) + `}`, nil, 400, "invalid_user_id"},
		{"POST", "/publish", userOf(`""`), nil, 400, "invalid_user_id"},
		{"POST", "/publish", userOf(`1.0`), nil, 400, "invalid_user_id"},
		{"POST", "/publish", userOf(`["bystander"]`), nil, 400, "invalid_user_id"},
		{"POST", "/publish", strings.Replace(userOf(`1`), "user_id", "userid", 1), nil, 400, "unknown_member"},
		{"POST", "/publish", strings.Replace(userOf(`1`), "user_id", "User_ID", 1), nil, 400, "unknown_member"},

		// Topics.
		{"POST", "/register", topicOf(`1`), nil, 400, "invalid_topic"},
		{"POST", "/register", topicOf(`""`), nil, 400, "invalid_topic"},
		{"POST", "/register", topicOf(`"."`), nil, 400, "invalid_topic"},
		{"POST", "/register", topicOf(`"a..b"`), nil, 400, "invalid_topic"},
		{"POST", "/register", topicOf(`"a."`), nil, 400, "invalid_topic"},
		{"POST", "/register", topicOf(`"a.>.b"`), nil, 400, "invalid_topic"},
		{"POST", "/register", topicOf(`"a\nb"`), nil, 400, "invalid_topic"},
		{"POST", "/register", topicOf(`"a\u0085b"`), nil, 400, "invalid_topic"},
		{"POST", "/register", topicOf(long(256)), nil, 400, "invalid_topic"},
		{"POST", "/register", topicOf(`"a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q"`), nil, 400, "invalid_topic"},
		{"POST", "/register", topicOf(`"$canary"`), nil, 403, "topic_reserved"},
		{"POST", "/register", topicOf(`"$>"`), nil, 403, "topic_reserved"},
		{"POST", "/register", `{"user_id": 1, "topics": "dogs"}`, nil, 400, "invalid_topic"},
		{"POST", "/register", `{"user_id": 1, "topics": ["dogs", 1]}`, nil, 400, "invalid_topic"},
		{"POST", "/register", `{"user_id": 1, "topics": ["dogs", ""]}`, nil, 400, "invalid_topic"},
		{"POST", "/register", `{"user_id": 1, "topics": ["dogs", "$x"]}`, nil, 403, "topic_reserved"},
		{"POST", "/register", `{"user_id": 1, "topics": ["a", "b", "c", "d", "e"]}`, nil, 422, "too_many_topics"},
		{"POST", "/register", `{"user_id": 1, "topic": "dogs", "topics": ["dogs"]}`, nil, 400, "conflicting_input"},
		{"POST", "/publish", `{"message": 1}`, nil, 400, "invalid_topic"},
		{"POST", "/publish", `{"topic": null, "message": 1}`, nil, 400, "invalid_topic"},
		{"POST", "/publish", `{"topic": ["bystander"], "message": 1}`, nil, 400, "invalid_topic"},
		{"POST", "/publish", `{"topic": "news.*", "message": 1}`, nil, 400, "invalid_topic"},
		{"POST", "/publish", `{"topic": "news.>", "message": 1}`, nil, 400, "invalid_topic"},
		{"POST", "/publish", `{"topic": "news.", "message": 1}`, nil, 400, "invalid_topic"},
		{"POST", "/publish", `{"topic": "$canary", "message": 1}`, nil, 403, "topic_reserved"},

		// Messages.
		{"POST", "/publish", `{"topic": "bystander"}`, nil, 400, "invalid_message"},
		{"POST", "/publish", messageOf(long(1001)), nil, 413, "message_too_large"},
		{"POST", "/publish", messageOf(`[` + long(997) + `]`), nil, 413, "message_too_large"},
		{"POST", "/publish", messageOf(long(4096)), nil, 413, "payload_too_large"},

		// Changes of topics.
		{"POST", "/add_topic", ``, nil, 400, "invalid_client_id"},
		{"POST", "/add_topic", `{"topic": "dogs"}`, nil, 400, "invalid_client_id"},
		{"POST", "/add_topic", clientOf(`1`, `"dogs"`), nil, 400, "invalid_client_id"},
		{"POST", "/add_topic", clientOf(`"1"`, `"dogs"`), nil, 404, "unknown_client"},
		{"POST", "/add_topic", clientOf(long(32), `"dogs"`), nil, 404, "unknown_client"},
		{"POST", "/add_topic", clientOf(`"00000000000000000000000000000000"`, `"dogs"`), nil, 404, "unknown_client"},
		{"POST", "/add_topic", clientOf(`"FULL"`, `"e.*"`), nil, 422, "too_many_topics"},
		{"POST", "/add_topic", clientOf(`"FULL"`, `1`), nil, 400, "invalid_topic"},
		{"POST", "/add_topic", clientOf(`"FULL"`, `""`), nil, 400, "invalid_topic"},
		{"POST", "/add_topic", clientOf(`"FULL"`, `"$x"`), nil, 403, "topic_reserved"},
		{"POST", "/add_topic?client_id=FULL", ``, nil, 400, "invalid_topic"},
		{"POST", "/add_topic?client_id=FULL&topic=a..b", ``, nil, 400, "invalid_topic"},
		{"POST", "/add_topic?client_id=FULL&topic=%ff", ``, nil, 400, "invalid_topic"},
		{"POST", "/add_topic?client_id=FULL&topic=%zz", ``, nil, 400, "malformed_request"},
		{"POST", "/add_topic?client_id=FULL&topic=x;topic=y", ``, nil, 400, "malformed_request"},
		{"POST", "/add_topic?client_id=FULL&topic=x&topic=y", ``, nil, 400, "conflicting_input"},
		{"POST", "/add_topic?topic=x", clientOf(`"FULL"`, `"y"`), nil, 400, "conflicting_input"},
		{"DELETE", "/remove_topic", clientOf(`"00000000000000000000000000000000"`, `"dogs"`), nil, 404, "unknown_client"},
		{"DELETE", "/remove_topic?topic=dogs", ``, nil, 400, "invalid_client_id"},
		{"DELETE", "/remove_topic?client_id=FULL&topic=", ``, nil, 400, "invalid_topic"},

		// The wrong method, the wrong path, the wrong header.
		{"GET", "/register", ``, nil, 405, "method_not_allowed"},
		{"GET", "/publish", ``, nil, 405, "method_not_allowed"},
		{"PUT", "/publish", messageOf(`1`), nil, 405, "method_not_allowed"},
		{"BREW", "/publish", messageOf(`1`), nil, 405, "method_not_allowed"},
		{"GET", "/register/FULL", ``, nil, 405, "method_not_allowed"},
		{"DELETE", "/ws/FULL", ``, nil, 405, "method_not_allowed"},
		{"DELETE", "/add_topic?client_id=FULL&topic=x", ``, nil, 405, "method_not_allowed"},
		{"POST", "/remove_topic?client_id=FULL&topic=a.*", ``, nil, 405, "method_not_allowed"},
		{"DELETE", "/register", ``, nil, 405, "method_not_allowed"},
		{"DELETE", "/register/", ``, nil, 404, "not_found"},
		{"DELETE", "/health", ``, nil, 405, "method_not_allowed"},
		{"GET", "/", ``, nil, 404, "not_found"},
		{"GET", "/ws", ``, nil, 426, "upgrade_required"},
		{"POST", "/register/", `{"user_id": 1}`, nil, 404, "not_found"},
		{"POST", "//register", `{"user_id": 1}`, nil, 404, "not_found"},
		{"POST", "/x/../register", `{"user_id": 1}`, nil, 404, "not_found"},
		{"POST", "/Register", `{"user_id": 1}`, nil, 404, "not_found"},
		{"POST", "/publish", messageOf(`1`), header{"Content-Type", "text/plain"}, 415, "unsupported_media_type"},
		{"POST", "/publish", messageOf(`1`), header{"Content-Type", "application/json; charset=latin1"}, 415, "unsupported_media_type"},
		{"POST", "/publish", messageOf(`1`), header{"Content-Type", "application/json; charset"}, 415, "unsupported_media_type"},
		{"POST", "/publish", messageOf(`1`), header{"Content-Encoding", "gzip"}, 415, "unsupported_media_type"},
	} {
		fill := strings.NewReplacer("FULL", full.ClientID).Replace
		got := b.Call(t, test.method, fill(test.target), fill(test.body), test.header...)
		got.Problem(t, test.status, test.code)
		if test.status == http.StatusMethodNotAllowed && got.Header.Get("Allow") == "" {
			t.Errorf("the answer does not say what is allowed")
		}
		by.Undisturbed(t)
		if t.Failed() {
			t.Fatalf("after %s %s %.100s", test.method, test.target, test.body)
		}
	}
	if got := harness.Ask[struct{ Removed bool }](t, b, "DELETE", "/register/no-such-client", ""); got.Removed {
		t.Error("a client that never was has been removed")
	}
	by.Undisturbed(t)
}

// TestBadRequests: HTTP that no HTTP library writes. Refusals of net/http have no code.
func TestBadRequests(t *testing.T) {
	t.Parallel()
	b := harness.Start(t, append(strictLimits, "--insecure", "--max-header-bytes=1024", "--header-timeout=10s", "--body-timeout=10s")...)
	by := b.Bystander(t)
	defer by.Silent(t)
	post := func(path, header, body string) string {
		return "POST " + path + " HTTP/1.1\r\nHost: localhost\r\n" + header + "\r\n" + body
	}
	hello := harness.Event("bystander", "not sent")
	chunked := "Transfer-Encoding: chunked\r\n"
	for _, test := range []struct {
		name, send string
		status     int
		code       string
	}{
		{"no HTTP", "hello\r\n\r\n", 400, ""},
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, ""},
		{"HTTP/3.0", "GET /health HTTP/3.0\r\nHost: localhost\r\n\r\n", 505, ""},
		{"no Host", "GET /health HTTP/1.1\r\n\r\n", 400, ""},
		{"two Hosts", "GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, ""},
		{"a huge header", post("/publish", "X: "+strings.Repeat("x", 1<<14)+"\r\n", ""), 431, ""},
		{"a header without a name", post("/publish", ": x\r\n", ""), 400, ""},
		{"a length that is negative", post("/publish", "Content-Length: -1\r\n", hello), 400, ""},
		{"two lengths", post("/publish", "Content-Length: 5\r\nContent-Length: 6\r\n", hello), 400, ""},
		{"an encoding that is unknown", post("/publish", "Transfer-Encoding: gzip\r\n", hello), 501, ""},
		{"a Host that does not belong into a URL", strings.Replace(post("/register", "Content-Length: 13\r\n", `{"user_id":1}`), "localhost", "a%b", 1), 400, "malformed_request"},
		{"no Host but its name", strings.Replace(post("/register", "Content-Length: 13\r\n", `{"user_id":1}`), "localhost", "", 1), 400, "malformed_request"},
		{"too large", post("/publish", "Content-Length: 4097\r\n", strings.Repeat(" ", 4097)), 413, "payload_too_large"},
		{"asked whether it is too large", post("/publish", "Content-Length: 4097\r\nExpect: 100-continue\r\n", ""), 413, "payload_too_large"},
		{"announced to be very much too large", post("/publish", "Content-Length: 9223372036854775807\r\n", "{"), 413, "payload_too_large"},
		{"too large in chunks", post("/publish", chunked, "1001\r\n"+strings.Repeat(" ", 4097)+"\r\n0\r\n\r\n"), 413, "payload_too_large"},
		{"a chunk without a length", post("/publish", chunked, hello+"\r\n"), 400, "malformed_request"},
		{"a length that is shorter", post("/publish", "Content-Length: 20\r\n", hello), 400, "malformed_json"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := b.Socket(t, test.send).Answer(t)
			if test.code != "" {
				got.Problem(t, test.status, test.code)
			} else if got.Status != test.status {
				t.Errorf("got %d, want %d: %s", got.Status, test.status, got.Body)
			}
			by.Undisturbed(t)
		})
	}
	half := post("/publish", "Content-Length: 1000\r\n", hello)
	t.Run("half a body, then reset", func(t *testing.T) {
		b.Socket(t, half).Reset(t)
		by.Undisturbed(t)
	})
	t.Run("half a body, then end", func(t *testing.T) {
		w := b.Socket(t, half)
		if err := w.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		w.Answer(t).Problem(t, 400, "malformed_request")
		by.Undisturbed(t)
	})
}

// TestSlowRequests: a request that does not arrive in time is given up.
func TestSlowRequests(t *testing.T) {
	t.Parallel()
	b := harness.Start(t, "--header-timeout="+harness.ShortTime.String(), "--body-timeout=500ms")
	by := b.Bystander(t)
	defer by.Silent(t)
	b.Socket(t, "POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"+harness.Event("bystander", "not sent")).
		Answer(t).Problem(t, 408, "request_timeout")
	by.Undisturbed(t)
	half, silent := b.Socket(t, "POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-"), b.Socket(t)
	if got := half.Answer(t); got.Status != 400 {
		t.Errorf("half a header: got %d %s", got.Status, got.Body)
	}
	silent.Ended(t) // nothing was asked, nothing is answered
	by.Undisturbed(t)
}

// TestForeignPages: pages of origins that are not allowed can read nothing and change
// nothing.
func TestForeignPages(t *testing.T) {
	t.Parallel()
	b := harness.Start(t, "--insecure", "--allowed-origins=https://good.example")
	by := b.Bystander(t)
	defer by.Silent(t)
	origin := []string{"Origin", "https://evil.example"}
	for _, call := range []struct{ method, target, body string }{
		{"POST", "/register", `{"user_id": 1}`},
		{"POST", "/publish", harness.Event("bystander", "not sent")},
		{"POST", "/add_topic", `{}`},
		{"DELETE", "/remove_topic", `{}`},
		{"DELETE", "/register/x", ``},
	} {
		b.Call(t, call.method, call.target, call.body, origin...).Problem(t, 403, "origin_not_allowed")
		b.Call(t, "OPTIONS", call.target, "", append(origin, "Access-Control-Request-Method", call.method)...).Problem(t, 403, "origin_not_allowed")
		by.Undisturbed(t)
	}
	got := b.Call(t, "GET", "/health", "", origin...)
	if got.Problem(t, 403, "origin_not_allowed"); got.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("a page may look: %v", got.Header)
	}
}

// TestFull: refusals for lack of room say when to try again.
func TestFull(t *testing.T) {
	t.Parallel()
	b := harness.Start(t, "--max-clients=3", "--max-connections=1")
	by := b.Bystander(t)
	first, second := b.Register(t, `{"user_id": 1}`), b.Register(t, `{"user_id": 2}`)
	by.Before = b.Census(t)

	got := b.Call(t, "POST", "/register", `{"user_id": 3}`)
	got.Problem(t, 503, "too_many_clients")
	if got.Header.Get("Retry-After") == "" {
		t.Error("the refusal does not say when to try again")
	}
	b.Refused(t, first, 503, "too_many_connections")
	by.Undisturbed(t)

	b.Unregister(t, first)
	b.Register(t, `{"user_id": 3}`)
	by.Undisturbed(t)
	by.Silent(t)
	by.Leave()
	b.Away(t)
	b.Connect(t, second).Silent(t)
}
