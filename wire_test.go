package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"nhooyr.io/websocket"
)

//lint:file-ignore SA1019 the library is frozen, and we stay with it: see docs/adr/0007-nhooyr-websocket.md

// What the end-to-end tests talk to the broker with: HTTP calls, a peer that
// behaves well and is an implementation of its own, and a wire on which a test
// can do to a connection whatever it likes.

// patience bounds every wait for something that must happen. It is never
// waited for in a test that passes.
const patience = time.Minute

// shortTime is a time-out that a test is about and waits for. Peers that it bounds
// have that long, on a busy machine as well, for what comes before.
const shortTime = 3 * time.Second

// eventually waits until cond holds: for what no frame, no answer and no end of
// a connection tells. It asks less and less often, for asking is work as well.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	limit := time.After(patience)
	for pause := time.Millisecond; !cond(); pause = min(2*pause, 32*time.Millisecond) {
		select {
		case <-limit:
			t.Fatalf("it has not come true in %v: %s", patience, what)
		case <-time.After(pause):
		}
	}
}

// An answer is a response to an HTTP call.
type answer struct {
	status int
	header http.Header
	body   string
}

// do makes an HTTP call. The header is a list of names and values.
func (b *testBroker) do(method, target, body string, header ...string) (answer, error) {
	req, err := http.NewRequest(method, b.url("http", target), strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	res, err := b.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, string(got)}, err
}

func (b *testBroker) call(t *testing.T, method, target, body string, header ...string) answer {
	t.Helper()
	got, err := b.do(method, target, body, header...)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// ask makes a call that succeeds and reads the JSON of its answer.
func ask[T any](t *testing.T, b *testBroker, method, target, body string, header ...string) (value T) {
	t.Helper()
	got := b.call(t, method, target, body, header...)
	if got.status != http.StatusOK || got.header.Get("Content-Type") != "application/json" {
		t.Fatalf("%s %s %s: got %d %s", method, target, body, got.status, got.body)
	}
	if err := json.Unmarshal([]byte(got.body), &value); err != nil {
		t.Fatalf("%s %s %s: %v: %s", method, target, body, err, got.body)
	}
	return value
}

// problem checks that an answer is a problem document with that status and
// code.
func (got answer) problem(t *testing.T, status int, code string) {
	t.Helper()
	var doc struct {
		Status       int
		Code, Detail string
	}
	if got.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("the answer is no problem document, want %d %s: %d %s", status, code, got.status, got.body)
	} else if err := json.Unmarshal([]byte(got.body), &doc); err != nil {
		t.Errorf("%v: %s", err, got.body)
	} else if got.status != status || doc.Status != status || doc.Code != code || doc.Detail == "" {
		t.Errorf("got %d, want %d %s: %s", got.status, status, code, got.body)
	}
}

// A registration is what POST /register answers.
type registration struct {
	URL       string    `json:"url"`
	Path      string    `json:"path"`
	ClientID  string    `json:"client_id"`
	ExpiresAt time.Time `json:"expires_at"`
}

func (b *testBroker) register(t *testing.T, body string) registration {
	t.Helper()
	return ask[registration](t, b, "POST", "/register", body)
}

// unregister removes a client and reports whether it was there.
func (b *testBroker) unregister(t *testing.T, r registration) bool {
	t.Helper()
	return ask[struct{ Removed bool }](t, b, "DELETE", "/register/"+r.ClientID, "").Removed
}

// A receipt is what POST /publish answers.
type receipt struct {
	ID, Cursor, Topic, Scope string
	Matched, Queued          int
	Duplicate                bool
}

func (b *testBroker) publish(t *testing.T, body string) receipt {
	t.Helper()
	return ask[receipt](t, b, "POST", "/publish", body)
}

// publishAll publishes a list of events.
func (b *testBroker) publishAll(t *testing.T, bodies []string) {
	t.Helper()
	got := b.call(t, "POST", "/publish", "["+strings.Join(bodies, ",")+"]")
	if got.status != http.StatusOK || strings.Contains(got.body, `"code"`) {
		t.Fatalf("got %d %s", got.status, got.body)
	}
}

// event is the body of a publish of a message that is a text.
func event(topic, text string) string {
	quoted, _ := json.Marshal(text) // of strings it can
	return `{"topic":"` + topic + `","message":` + string(quoted) + `}`
}

// census is the part of GET /health that tells how many there are of what.
type census struct{ Clients, Connected, Topics int }

func (b *testBroker) census(t *testing.T) census {
	t.Helper()
	return ask[census](t, b, "GET", "/health", "")
}

// metric returns the value of a series of /metrics, by its name and labels as
// they are written there.
func (b *testBroker) metric(t *testing.T, series string) float64 {
	t.Helper()
	for line := range strings.SplitSeq(b.call(t, "GET", "/metrics", "").body, "\n") {
		if text, ok := strings.CutPrefix(line, series+" "); ok {
			value, err := strconv.ParseFloat(text, 64)
			if err != nil {
				t.Fatal(err)
			}
			return value
		}
	}
	t.Fatalf("/metrics has no %s", series)
	return 0
}

// away waits until none of the broker's clients is connected.
func (b *testBroker) away(t *testing.T) {
	t.Helper()
	eventually(t, "no client is connected", func() bool { return b.census(t).Connected == 0 })
}

// A peer is a client that behaves well, with a WebSocket implementation that
// is not the broker's. It reads all the time.
type peer struct {
	conn     *websocket.Conn
	messages chan string // what it has read; closed at the end
	err      error       // why that ended; set before
}

// connect opens a connection to a registered URL.
func (b *testBroker) connect(t *testing.T, r registration) *peer {
	t.Helper()
	p, _, err := b.dial(r.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.leave)
	return p
}

// refused checks that a registered URL admits nobody, with that status and
// code.
func (b *testBroker) refused(t *testing.T, r registration, status int, code string) {
	t.Helper()
	p, got, err := b.dial(r.URL)
	if err == nil {
		p.leave()
		t.Fatalf("the broker has accepted a connection, want %d %s", status, code)
	}
	if got.status == 0 {
		t.Fatal(err)
	}
	got.problem(t, status, code)
}

func (b *testBroker) dial(url string) (*peer, answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, res, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPClient: &b.http})
	if err != nil {
		if res == nil {
			return nil, answer{}, err
		}
		body, _ := io.ReadAll(res.Body) // the library gives the beginning of it
		return nil, answer{res.StatusCode, res.Header, string(body)}, err
	}
	conn.SetReadLimit(-1)
	p := &peer{conn: conn, messages: make(chan string, 1<<16)}
	go p.read()
	return p, answer{}, nil
}

func (p *peer) read() {
	defer close(p.messages)
	for {
		kind, message, err := p.conn.Read(context.Background())
		if err == nil && kind != websocket.MessageText {
			err = fmt.Errorf("a message of type %v has come: %q", kind, message)
		}
		if err != nil {
			p.err = err
			return
		}
		p.messages <- string(message)
	}
}

// leave hangs up without a farewell.
func (p *peer) leave() {
	p.conn.CloseNow()
	for range p.messages {
	}
}

// next returns the next message.
func (p *peer) next(t *testing.T) string {
	t.Helper()
	select {
	case message, ok := <-p.messages:
		if !ok {
			t.Fatalf("the connection has ended: %v", p.err)
		}
		return message
	case <-time.After(patience):
		t.Fatal("no message has come")
	}
	return ""
}

// expect checks the next messages.
func (p *peer) expect(t *testing.T, want ...string) {
	t.Helper()
	for _, w := range want {
		if got := p.next(t); got != w {
			t.Fatalf("got %.100q, want %.100q", got, w)
		}
	}
}

// silent checks that the broker has written no further message. The connection
// keeps what is written in order, so that a pong comes after what was due
// before it.
func (p *peer) silent(t *testing.T) {
	t.Helper()
	p.sync(t)
	select {
	case message, ok := <-p.messages:
		t.Fatalf("got %q (%t), want nothing", message, ok)
	default:
	}
}

// sync waits until the broker has acted on everything sent before, and this
// side has read everything that the broker wrote before that.
func (p *peer) sync(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := p.conn.Ping(ctx); err != nil {
		t.Fatal(err)
	}
}

// send sends texts, and returns when the broker has acted on them.
func (p *peer) send(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if err := p.conn.Write(context.Background(), websocket.MessageText, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	p.sync(t)
}

// closed checks that nothing comes any more but a Close frame.
func (p *peer) closed(t *testing.T, code int, reason string) {
	t.Helper()
	select {
	case message, ok := <-p.messages:
		if ok {
			t.Fatalf("got %q, want the end with %d %s", message, code, reason)
		}
	case <-time.After(patience):
		t.Fatalf("no end has come, want %d %s", code, reason)
	}
	var got websocket.CloseError
	if !errors.As(p.err, &got) || int(got.Code) != code || got.Reason != reason {
		t.Errorf("the connection has ended with %v, want %d %s", p.err, code, reason)
	}
}

// The first byte of a frame, and the opcodes in it (RFC 6455 section 5.2).
const (
	final = 0x80
	rsv1  = 0x40
	rsv2  = 0x20
	rsv3  = 0x10

	continuation = 0x0
	text         = 0x1
	binaryFrame  = 0x2
	closing      = 0x8
	ping         = 0x9
	pong         = 0xA
)

// masked is a client's frame, with its length in the shortest form.
func masked(first byte, payload string) string {
	head := []byte{first}
	switch n := len(payload); {
	case n < 126:
		head = append(head, 0x80|byte(n))
	case n < 1<<16:
		head = binary.BigEndian.AppendUint16(append(head, 0x80|126), uint16(n))
	default:
		head = binary.BigEndian.AppendUint64(append(head, 0x80|127), uint64(n))
	}
	return withMask(head, payload)
}

// withMask is a frame whose header, up to the masking key, may be any bytes.
func withMask(head []byte, payload string) string {
	key := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	frame := append(head, key[:]...)
	for i := range len(payload) {
		frame = append(frame, payload[i]^key[i%4])
	}
	return string(frame)
}

// say is a text frame.
func say(s string) string { return masked(final|text, s) }

// closeBody is what a Close frame holds. Code 1005 stands for nothing.
func closeBody(code int, reason string) string {
	if code == 1005 && reason == "" {
		return ""
	}
	return string(binary.BigEndian.AppendUint16(nil, uint16(code))) + reason
}

// farewell is a Close frame.
func farewell(code int, reason string) string {
	return masked(final|closing, closeBody(code, reason))
}

// octets are bytes written in hexadecimal.
func octets(s string) []byte {
	p, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return p
}

// A wire is a connection whose bytes the test writes. It answers nothing by
// itself.
type wire struct {
	net.Conn
	in *bufio.Reader
}

// socket opens a TCP connection and writes to it.
func (b *testBroker) socket(t *testing.T, first ...string) *wire {
	t.Helper()
	return b.socketFrom(t, net.Dialer{}, first...)
}

func (b *testBroker) socketFrom(t *testing.T, d net.Dialer, first ...string) *wire {
	t.Helper()
	network, addr := "tcp", b.addr
	if b.unix != "" {
		network, addr = "unix", b.unix
	}
	conn, err := d.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn = b.secured(conn)
	w := &wire{conn, bufio.NewReader(conn)}
	w.send(t, first...)
	return w
}

// answer reads an answer to an HTTP call.
func (w *wire) answer(t *testing.T) answer {
	t.Helper()
	res, err := http.ReadResponse(w.reader(t), nil)
	if err != nil {
		t.Fatalf("no answer has come: %v", err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(body)}
}

// opening is a WebSocket handshake as section 1.3 of RFC 6455 has it, and
// acceptance is what must come back.
func opening(path string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
}

const acceptance = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

// wire opens a WebSocket connection. What the client says early leaves together
// with its handshake.
func (b *testBroker) wire(t *testing.T, r registration, early ...string) *wire {
	t.Helper()
	w := b.socket(t, opening(r.Path)+strings.Join(early, ""))
	w.accepted(t)
	return w
}

// accepted checks the answer to a handshake.
func (w *wire) accepted(t *testing.T) {
	t.Helper()
	res, err := http.ReadResponse(w.reader(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	h := res.Header
	if res.StatusCode != http.StatusSwitchingProtocols || h.Get("Upgrade") != "websocket" || h.Get("Connection") != "Upgrade" ||
		h.Get("Sec-WebSocket-Accept") != acceptance || h.Get("Sec-WebSocket-Extensions") != "" || h.Get("Sec-WebSocket-Protocol") != "" {
		t.Fatalf("the handshake was answered %s %v", res.Status, h)
	}
}

// reader returns what to read from, with a deadline from now on.
func (w *wire) reader(t *testing.T) *bufio.Reader {
	t.Helper()
	if err := w.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return w.in
}

// send writes bytes.
func (w *wire) send(t *testing.T, s ...string) {
	t.Helper()
	if _, err := io.WriteString(w, strings.Join(s, "")); err != nil {
		t.Fatal(err)
	}
}

// frame reads a frame, and checks that a server may have sent it.
func (w *wire) frame(t *testing.T) (op byte, payload string) {
	t.Helper()
	op, payload, err := readFrame(w.reader(t))
	if err != nil {
		t.Fatalf("no frame has come: %v", err)
	}
	return op, payload
}

func readFrame(r io.Reader) (op byte, payload string, err error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, "", err
	}
	op, n := head[0]&0xF, uint64(head[1])
	least := uint64(0)
	switch n {
	case 126:
		var length [2]byte
		_, err = io.ReadFull(r, length[:])
		n, least = uint64(binary.BigEndian.Uint16(length[:])), 126
	case 127:
		var length [8]byte
		_, err = io.ReadFull(r, length[:])
		n, least = binary.BigEndian.Uint64(length[:]), 1<<16
	}
	if err != nil {
		return 0, "", err
	}
	if head[0] != final|op || head[1] >= 0x80 || n < least || n > 1<<20 || op >= closing && n > 125 {
		return 0, "", fmt.Errorf("a server must not send a frame that begins % x and has %d bytes", head, n)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return 0, "", err
	}
	if op == text && !utf8.Valid(body) {
		return 0, "", fmt.Errorf("a text is not UTF-8: %q", body)
	}
	return op, string(body), nil
}

// expect checks that the next frames, but for pings, are these texts.
func (w *wire) expect(t *testing.T, want ...string) {
	t.Helper()
	for _, s := range want {
		op, got := w.frame(t)
		for op == ping {
			op, got = w.frame(t)
		}
		if op != text || got != s {
			t.Fatalf("got %#x %.100q, want the text %.100q", op, got, s)
		}
	}
}

// sync waits until the broker has acted on what was sent before, and knows that
// what it has sent has arrived: the ping acknowledges it. Nothing but pings comes
// meanwhile.
func (w *wire) sync(t *testing.T) {
	t.Helper()
	w.send(t, masked(final|ping, "in sync?"))
	op, got := w.frame(t)
	for op == ping {
		op, got = w.frame(t)
	}
	if op != pong || got != "in sync?" {
		t.Fatalf("got %#x %.100q, want a pong", op, got)
	}
}

// closed checks that the broker closes the connection: what comes, but for
// pongs and pings, is one Close frame, and behind it nothing but the end.
func (w *wire) closed(t *testing.T, code int, reason string) {
	t.Helper()
	body := w.farewell(t, code, reason)
	w.send(t, masked(final|closing, body[:2]))
	w.ended(t)
}

// echoed checks that the broker answers the Close frame that was sent before.
// Code 1005 stands for one without a code.
func (w *wire) echoed(t *testing.T, code int) {
	t.Helper()
	w.farewell(t, code, "")
	w.ended(t)
}

func (w *wire) farewell(t *testing.T, code int, reason string) (body string) {
	t.Helper()
	op, body := w.frame(t)
	for op == pong || op == ping {
		op, body = w.frame(t)
	}
	if op != closing || body != closeBody(code, reason) {
		t.Fatalf("got %#x %.100q, want a Close frame with %d %q", op, body, code, reason)
	}
	return body
}

// ended checks that nothing comes any more, and that the end is an orderly one.
func (w *wire) ended(t *testing.T) {
	t.Helper()
	if rest, err := io.ReadAll(w.reader(t)); err != nil || len(rest) > 0 {
		t.Errorf("behind the last frame came % x, %v", rest, err)
	}
}

// reset ends the connection as if its cable were cut and the machine restarted:
// the broker's TCP learns that nobody is there any more.
func (w *wire) reset(t *testing.T) {
	t.Helper()
	// While a process is being started it shares all sockets: the reset would
	// be sent, and acknowledging would end, only when it lets go of this one.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	tcp := tcpOf(w.Conn)
	if err := tcp.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	if err := tcp.Close(); err != nil {
		t.Fatal(err)
	}
}
