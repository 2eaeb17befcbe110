package harness

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"
)

// The first byte of a frame, and the opcodes in it (RFC 6455 section 5.2).
const (
	Final = 0x80
	Rsv1  = 0x40
	Rsv2  = 0x20
	Rsv3  = 0x10

	Continuation = 0x0
	Text         = 0x1
	BinaryFrame  = 0x2
	Closing      = 0x8
	Ping         = 0x9
	Pong         = 0xA
)

// Masked is a client's frame, with its length in the shortest form.
func Masked(first byte, payload string) string {
	head := []byte{first}
	switch n := len(payload); {
	case n < 126:
		head = append(head, 0x80|byte(n))
	case n < 1<<16:
		head = binary.BigEndian.AppendUint16(append(head, 0x80|126), uint16(n))
	default:
		head = binary.BigEndian.AppendUint64(append(head, 0x80|127), uint64(n))
	}
	return WithMask(head, payload)
}

// WithMask is a frame whose header, up to the masking key, may be any bytes.
func WithMask(head []byte, payload string) string {
	key := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	frame := append(head, key[:]...)
	for i := range len(payload) {
		frame = append(frame, payload[i]^key[i%4])
	}
	return string(frame)
}

// Say is a text frame.
func Say(s string) string { return Masked(Final|Text, s) }

// closeBody is what a Close frame holds. Code 1005 stands for nothing.
func closeBody(code int, reason string) string {
	if code == 1005 && reason == "" {
		return ""
	}
	return string(binary.BigEndian.AppendUint16(nil, uint16(code))) + reason
}

// Farewell is a Close frame.
func Farewell(code int, reason string) string {
	return Masked(Final|Closing, closeBody(code, reason))
}

// Octets are bytes written in hexadecimal.
func Octets(s string) []byte {
	p, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return p
}

// A Wire is a connection whose bytes the test writes. It answers nothing by
// itself.
type Wire struct {
	net.Conn
	In *bufio.Reader
}

// NewWire returns a client's end of a connection.
func NewWire(conn net.Conn) *Wire { return &Wire{conn, bufio.NewReader(conn)} }

// Socket opens a TCP connection and writes to it.
func (b *Broker) Socket(t *testing.T, first ...string) *Wire {
	t.Helper()
	return b.SocketFrom(t, net.Dialer{}, first...)
}

func (b *Broker) SocketFrom(t *testing.T, d net.Dialer, first ...string) *Wire {
	t.Helper()
	network, addr := "tcp", b.Addr
	if b.Unix != "" {
		network, addr = "unix", b.Unix
	}
	conn, err := d.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn = b.Secured(conn)
	w := &Wire{conn, bufio.NewReader(conn)}
	w.Send(t, first...)
	return w
}

// Answer reads an answer to an HTTP call.
func (w *Wire) Answer(t *testing.T) Answer {
	t.Helper()
	res, err := http.ReadResponse(w.Reread(t), nil)
	if err != nil {
		t.Fatalf("no answer has come: %v", err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return Answer{res.StatusCode, res.Header, string(body)}
}

// Opening is a WebSocket handshake as section 1.3 of RFC 6455 has it, and
// acceptance is what must come back.
func Opening(path string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
}

const acceptance = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

// Wire opens a WebSocket connection. What the client says early leaves together
// with its handshake.
func (b *Broker) Wire(t *testing.T, r Registration, early ...string) *Wire {
	t.Helper()
	w := b.Socket(t, Opening(r.Path)+strings.Join(early, ""))
	w.Accepted(t)
	return w
}

// Accepted checks the answer to a handshake.
func (w *Wire) Accepted(t *testing.T) {
	t.Helper()
	res, err := http.ReadResponse(w.Reread(t), nil)
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
func (w *Wire) Reread(t *testing.T) *bufio.Reader {
	t.Helper()
	if err := w.SetReadDeadline(time.Now().Add(Patience)); err != nil {
		t.Fatal(err)
	}
	return w.In
}

// Send writes bytes.
func (w *Wire) Send(t *testing.T, s ...string) {
	t.Helper()
	if _, err := io.WriteString(w, strings.Join(s, "")); err != nil {
		t.Fatal(err)
	}
}

// Frame reads a frame, and checks that a server may have sent it.
func (w *Wire) Frame(t *testing.T) (op byte, payload string) {
	t.Helper()
	op, payload, err := ReadFrame(w.Reread(t))
	if err != nil {
		t.Fatalf("no frame has come: %v", err)
	}
	return op, payload
}

func ReadFrame(r io.Reader) (op byte, payload string, err error) {
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
	if head[0] != Final|op || head[1] >= 0x80 || n < least || n > 1<<20 || op >= Closing && n > 125 {
		return 0, "", fmt.Errorf("a server must not send a frame that begins % x and has %d bytes", head, n)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return 0, "", err
	}
	if op == Text && !utf8.Valid(body) {
		return 0, "", fmt.Errorf("a text is not UTF-8: %q", body)
	}
	return op, string(body), nil
}

// Expect checks that the next frames, but for pings, are these texts.
func (w *Wire) Expect(t *testing.T, want ...string) {
	t.Helper()
	for _, s := range want {
		op, got := w.Frame(t)
		for op == Ping {
			op, got = w.Frame(t)
		}
		if op != Text || got != s {
			t.Fatalf("got %#x %.100q, want the text %.100q", op, got, s)
		}
	}
}

// Sync waits until the broker has acted on what was sent before, and knows that
// what it has sent has arrived: the ping acknowledges it. Nothing but pings comes
// meanwhile.
func (w *Wire) Sync(t *testing.T) {
	t.Helper()
	w.Send(t, Masked(Final|Ping, "in sync?"))
	op, got := w.Frame(t)
	for op == Ping {
		op, got = w.Frame(t)
	}
	if op != Pong || got != "in sync?" {
		t.Fatalf("got %#x %.100q, want a pong", op, got)
	}
}

// Closed checks that the broker closes the connection: what comes, but for
// pongs and pings, is one Close frame, and after it nothing but the end.
func (w *Wire) Closed(t *testing.T, code int, reason string) {
	t.Helper()
	body := w.Farewell(t, code, reason)
	w.Send(t, Masked(Final|Closing, body[:2]))
	w.Ended(t)
}

// Echoed checks that the broker answers the Close frame that was sent before.
// Code 1005 stands for one without a code.
func (w *Wire) Echoed(t *testing.T, code int) {
	t.Helper()
	w.Farewell(t, code, "")
	w.Ended(t)
}

func (w *Wire) Farewell(t *testing.T, code int, reason string) (body string) {
	t.Helper()
	op, body := w.Frame(t)
	for op == Pong || op == Ping {
		op, body = w.Frame(t)
	}
	if op != Closing || body != closeBody(code, reason) {
		t.Fatalf("got %#x %.100q, want a Close frame with %d %q", op, body, code, reason)
	}
	return body
}

// Ended checks that nothing follows, and that the connection ends in order.
func (w *Wire) Ended(t *testing.T) {
	t.Helper()
	if rest, err := io.ReadAll(w.Reread(t)); err != nil || len(rest) > 0 {
		t.Errorf("after the last frame came % x, %v", rest, err)
	}
}

// Reset ends the connection as if its cable were cut and the machine restarted: the
// broker's TCP learns that the peer is gone.
func (w *Wire) Reset(t *testing.T) {
	t.Helper()
	// While a process is being started it shares all sockets: the reset would
	// be sent, and acknowledging would end, only when it lets go of this one.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	tcp := TcpOf(w.Conn)
	if err := tcp.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	if err := tcp.Close(); err != nil {
		t.Fatal(err)
	}
}
