package transport

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"nhooyr.io/websocket"
)

//lint:file-ignore SA1019 the library is frozen, and we stay with it: see docs/adr/0007-nhooyr-websocket.md

// seedStreams are client streams, good and bad, that fuzzing starts from.
func seedStreams() [][]byte {
	return [][]byte{
		{},
		stream("x:81 85 37fa213d 7f9f4d5158"), // §5.7
		stream("81:"),
		stream("01:Hel", "89:ping", "80:lo", "8a:", "88:\x03\xe8bye"),
		stream("01:\xf0\x9f", "00:", "89:\xff", "80:\x98\x80"),
		stream("02:\xff", "00:\xfe", "00:", "80:"),
		stream("81:a", "82:b", "88:"),
		stream("82:" + strings.Repeat("b", 126)),
		stream("01:"+strings.Repeat("c", 300), "80:"),
		stream("81:a\xff"),
		stream("01:\xed\xa0"),
		stream("c1:a"),
		stream("83:"),
		stream("09:a"),
		stream("80:a"),
		stream("01:a", "81:b"),
		stream("88:\x03", "81:late"),
		stream("88:\x03\xed"),
		stream("88:\x03\xe8\xff"),
		stream("89:" + strings.Repeat("p", 126)),
		stream("x:81 05 48656c6c6f"),
		stream("x:81 fe 0001 37fa213d 00"),
		stream("x:82 ff 0000000000010000 37fa213d 00"),
		stream("x:82 ff 8000000000000000 37fa213d"),
		stream("02:a", "x:80 ff 7fffffffffffffff 37fa213d"),
	}
}

// Whatever arrives, and however it is cut: the same messages, the same error, within the limits.
func FuzzDecoder(f *testing.F) {
	for i, wire := range seedStreams() {
		f.Add(wire, uint64(i), uint32(1<<17), uint8(4))
		f.Add(wire, uint64(i), uint32(3), uint8(2))
	}
	f.Fuzz(func(t *testing.T, wire []byte, seed uint64, maxMessage uint32, maxFragments uint8) {
		maxMessage %= 1 << 18
		rng := rand.New(rand.NewPCG(seed, 0))
		var want []message
		var wantErr error
		for i, pieces := range [][][]byte{whole(wire), randomly(rng, wire), byteByByte(wire)} {
			d := &decoder{maxMessage: int(maxMessage), maxFragments: int(maxFragments)}
			var got []message
			var err error
			arrived := 0
			for _, piece := range pieces {
				arrived += len(piece)
				var ms []message
				ms, err = feed(d, [][]byte{piece})
				got = append(got, ms...)
				if err != nil {
					break
				}
				checkHeld(t, d, arrived)
			}
			if i == 0 {
				want, wantErr = got, err
				checkMessages(t, got, int(maxMessage))
				var violation frameError
				if err != nil && !errors.As(err, &violation) {
					t.Fatalf("error %v is no frameError", err)
				}
				continue
			}
			if !equalMessages(got, want) || err != wantErr {
				t.Fatalf("cut into %d pieces:\n%s, %v\nas a whole:\n%s, %v", len(pieces), show(got), err, show(want), wantErr)
			}
		}
	})
}

// checkHeld checks that the decoder holds no more than it may.
func checkHeld(t *testing.T, d *decoder, arrived int) {
	held, room := len(d.data)+len(d.control), cap(d.data)+cap(d.control)
	if held > arrived || room > 2*held || cap(d.data) > d.maxMessage || cap(d.control) > maxControlPayload {
		t.Fatalf("%d bytes arrived, holds %d+%d of room for %d+%d", arrived, len(d.data), len(d.control), cap(d.data), cap(d.control))
	}
	if d.idle() && room > 0 {
		t.Fatalf("idle with room for %d bytes", room)
	}
}

// checkMessages checks what must hold of all messages that are delivered.
func checkMessages(t *testing.T, ms []message, maxMessage int) {
	for _, m := range ms {
		switch {
		case m.op == opText && !utf8.Valid(m.data),
			!m.op.control() && len(m.data) > maxMessage,
			m.op.control() && len(m.data) > maxControlPayload,
			!m.op.known(), m.op == opContinuation:
			t.Fatalf("must not be delivered: %s", show([]message{m}))
		}
	}
}

// FuzzDecoderAgainstPeer lets an independent implementation judge both directions.
func FuzzDecoderAgainstPeer(f *testing.F) {
	for i, wire := range seedStreams() {
		f.Add(wire, uint64(i), uint16(1000), "bye")
		f.Add([]byte("some text \u20ac, then \xff\xfe"), uint64(i), uint16(4100+i), strings.Repeat("\u20ac", 3*i))
	}
	f.Fuzz(func(t *testing.T, data []byte, seed uint64, code uint16, reason string) {
		rng := rand.New(rand.NewPCG(seed, 0))
		checkAgainstServer(t, rng, data)
		checkAgainstServer(t, rng, framesFrom(data))
		if !sendable(code) {
			code = 0
		}
		checkFromClient(t, rng, data, code, reason)
		checkToClient(t, rng, data, code, reason)
	})
}

// framesFrom makes a stream of frames with right lengths and masks of data: each takes a byte for its first, a byte for
// its length, and its payload. Arbitrary bytes as they are seldom get past the first header.
func framesFrom(data []byte) (wire []byte) {
	for len(data) >= 2 {
		first, n := data[0], min(int(data[1]), len(data)-2)
		wire = append(wire, clientFrame(first, data[2:2+n], testKey)...)
		data = data[2+n:]
	}
	return wire
}

// outcome is what one side made of a stream.
type outcome struct {
	data    []message // delivered
	pongs   []byte    // answered, as frames
	closed  uint16    // code of the Close frame that ended it, or 0
	refused error     // or else the violation that did
}

// laxities are the violations that the peer lets pass: it checks neither UTF-8 nor that a length has its shortest form,
// and for a message that could never fit into memory it only waits.
var laxities = []error{errInvalidText, errCloseReason, errLongLength, errTooBig}

// checkAgainstServer feeds the same bytes to a decoder without limits and to the peer as a server. Both must deliver the
// same messages and pongs, take the same Close, and refuse the same streams, but for what the peer is lax about.
func checkAgainstServer(t *testing.T, rng *rand.Rand, wire []byte) {
	// The peer judges a header when it is complete, the decoder as soon as it begins. Zeros complete any, and begin no good one.
	wire = slices.Concat(wire, make([]byte, maxHeader))
	ours, theirs := decoderOutcome(rng, wire), peerOutcome(t, wire)
	if slices.Contains(laxities, ours.refused) {
		if len(theirs.data) < len(ours.data) || !equalMessages(theirs.data[:len(ours.data)], ours.data) || !bytes.HasPrefix(theirs.pongs, ours.pongs) {
			t.Fatalf("decoder: %s, %v\npeer: %s, %v", show(ours.data), ours.refused, show(theirs.data), theirs.refused)
		}
		return
	}
	if !equalMessages(ours.data, theirs.data) || ours.closed != theirs.closed || (ours.refused != nil) != (theirs.refused != nil) {
		t.Fatalf("decoder: %s, %d, %v\npeer: %s, %d, %v",
			show(ours.data), ours.closed, ours.refused, show(theirs.data), theirs.closed, theirs.refused)
	}
	// After its pongs the peer may have sent a Close.
	if rest, ok := bytes.CutPrefix(theirs.pongs, ours.pongs); !ok || len(rest) > 0 && rest[0] != finBit|byte(opClose) {
		t.Fatalf("pongs of the decoder: %x\nof the peer: %x", ours.pongs, theirs.pongs)
	}
}

func decoderOutcome(rng *rand.Rand, wire []byte) (o outcome) {
	d := &decoder{maxMessage: math.MaxInt, maxFragments: math.MaxInt}
	ms, err := feed(d, randomly(rng, wire))
	o.refused = err
	for _, m := range ms {
		switch m.op {
		case opText, opBinary:
			o.data = append(o.data, m)
		case opPing:
			o.pongs = appendFrame(o.pongs, opPong, m.data)
		case opClose: // what follows it does not matter (§5.5.1)
			o.closed, o.refused = closeCode(m.data)
			return o
		}
	}
	return o
}

func peerOutcome(t *testing.T, wire []byte) (o outcome) {
	pipe := &memoryConn{in: bytes.NewReader(wire)}
	peer := acceptPeer(t, pipe)
	defer peer.CloseNow()
	for {
		kind, data, err := peer.Read(context.Background())
		if err == nil {
			o.data = append(o.data, message{opcode(kind), data})
			continue
		}
		if code := websocket.CloseStatus(err); code != -1 {
			o.closed = uint16(code)
		} else if !errors.Is(err, errEndOfInput) {
			o.refused = err
		}
		o.pongs = pipe.out.Bytes()
		return o
	}
}

// checkFromClient has the peer, as a client, write messages made of data, in one frame or in several, and decodes them.
func checkFromClient(t *testing.T, rng *rand.Rand, data []byte, code uint16, reason string) {
	pipe := &memoryConn{in: bytes.NewReader(nil)}
	peer := dialPeer(t, pipe)
	defer peer.CloseNow()
	want := messagesFrom(rng, data)
	for _, m := range want {
		if err := writeRandomly(peer, rng, m); err != nil {
			t.Fatal(err)
		}
	}
	body := closeBody(code, reason)
	want = append(want, message{opClose, body})
	status, reason := websocket.StatusNoStatusRcvd, ""
	if code != 0 {
		status, reason = websocket.StatusCode(code), string(body[2:])
	}
	_ = peer.Close(status, reason) // nobody answers it, which it reports

	n := 3 * len(data) // a byte that is no text becomes U+FFFD, which has 3
	d := &decoder{maxMessage: n, maxFragments: n + 1}
	got, err := feed(d, randomly(rng, pipe.out.Bytes()))
	if err != nil || !equalMessages(got, want) || !d.idle() {
		t.Fatalf("got %s, %v\nwant %s", show(got), err, show(want))
	}
}

// checkToClient has the peer, as a client, read what the server's side encodes, and decodes its answers to it.
func checkToClient(t *testing.T, rng *rand.Rand, data []byte, code uint16, reason string) {
	want := messagesFrom(rng, data)
	var wire []byte
	var answers []message
	for _, m := range want {
		size := len(wire) + frameSize(len(m.data))
		if wire = appendFrame(wire, m.op, m.data); len(wire) != size {
			t.Fatalf("frameSize(%d) is wrong by %d", len(m.data), len(wire)-size)
		}
		if echo := m.data[:min(len(m.data), maxControlPayload)]; rng.IntN(2) == 0 {
			wire = appendFrame(wire, opPing, echo)
			answers = append(answers, message{opPong, echo})
		}
	}
	wire = appendClose(wire, code, reason)
	wantCode := code
	if code == 0 {
		wantCode = closeNoStatus
	}
	answers = append(answers, message{opClose, closeBody(code, reason)})

	pipe := &memoryConn{in: bytes.NewReader(wire)}
	peer := dialPeer(t, pipe)
	defer peer.CloseNow()
	peer.SetReadLimit(-1)
	for _, m := range want {
		kind, data, err := peer.Read(context.Background())
		if err != nil || opcode(kind) != m.op || !bytes.Equal(data, m.data) {
			t.Fatalf("the peer read %v %.40q, %v\nwant %s", kind, data, err, show([]message{m}))
		}
	}
	if _, _, err := peer.Read(context.Background()); websocket.CloseStatus(err) != websocket.StatusCode(wantCode) {
		t.Fatalf("the peer read %v, want the code %d", err, wantCode)
	}
	got, err := feed(newDecoder(), randomly(rng, pipe.out.Bytes()))
	if err != nil || !equalMessages(got, answers) {
		t.Fatalf("the peer answered %s, %v\nwant %s", show(got), err, show(answers))
	}
	if got, err := closeCode(got[len(got)-1].data); got != wantCode || err != nil {
		t.Fatalf("the peer echoed %d, %v, want %d", got, err, wantCode)
	}
}

// messagesFrom cuts data into messages.
func messagesFrom(rng *rand.Rand, data []byte) (ms []message) {
	for _, piece := range randomly(rng, data) {
		if rng.IntN(2) == 0 {
			ms = append(ms, message{opText, bytes.ToValidUTF8(piece, []byte("\uFFFD"))})
		} else {
			ms = append(ms, message{opBinary, piece})
		}
	}
	return append(ms, message{opText, nil})
}

// closeBody is what appendClose promises, rune by rune.
func closeBody(code uint16, reason string) (body []byte) {
	if code == 0 {
		return nil
	}
	body = []byte{byte(code >> 8), byte(code)}
	for _, r := range strings.ToValidUTF8(reason, "\uFFFD") {
		if len(body)+utf8.RuneLen(r) > 125 {
			break
		}
		body = utf8.AppendRune(body, r)
	}
	return body
}

// writeRandomly writes m in one frame or in several.
func writeRandomly(peer *websocket.Conn, rng *rand.Rand, m message) error {
	kind := websocket.MessageType(m.op)
	if rng.IntN(2) == 0 {
		return peer.Write(context.Background(), kind, m.data)
	}
	w, err := peer.Writer(context.Background(), kind)
	if err != nil {
		return err
	}
	for _, piece := range randomly(rng, m.data) {
		if _, err := w.Write(piece); err != nil {
			return err
		}
	}
	return w.Close()
}

// memoryConn is a connection to nobody: what will be read is given, what is written is kept. Nothing in it waits.
type memoryConn struct {
	net.Conn // nil: the peer needs no more than the methods below
	in       *bytes.Reader
	out      bytes.Buffer
}

// errEndOfInput ends the input in place of io.EOF, which the peer takes for the end of the message that was cut off.
var errEndOfInput = errors.New("end of input")

func (c *memoryConn) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	if err == io.EOF {
		err = errEndOfInput
	}
	return n, err
}

func (c *memoryConn) Write(p []byte) (int, error) { return c.out.Write(p) }
func (c *memoryConn) Close() error                { return nil }

// acceptPeer returns the peer as the server of c.
func acceptPeer(t *testing.T, c *memoryConn) *websocket.Conn {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "websocket")
	r.Header.Set("Sec-WebSocket-Version", "13")
	r.Header.Set("Sec-WebSocket-Key", base64.StdEncoding.EncodeToString(make([]byte, 16)))
	peer, err := websocket.Accept(memoryHijacker{httptest.NewRecorder(), c}, r, nil)
	if err != nil {
		t.Fatal(err)
	}
	peer.SetReadLimit(-1)
	return peer
}

type memoryHijacker struct {
	http.ResponseWriter
	conn *memoryConn
}

func (h memoryHijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.conn, bufio.NewReadWriter(bufio.NewReader(h.conn), bufio.NewWriter(h.conn)), nil
}

// dialPeer returns the peer as the client of c.
func dialPeer(t *testing.T, c *memoryConn) *websocket.Conn {
	upgrade := roundTripper(func(r *http.Request) (*http.Response, error) {
		accept := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) // §1.3
		h := http.Header{}
		h.Set("Connection", "Upgrade")
		h.Set("Upgrade", "websocket")
		h.Set("Sec-WebSocket-Accept", base64.StdEncoding.EncodeToString(accept[:]))
		return &http.Response{StatusCode: http.StatusSwitchingProtocols, Header: h, Body: c, Request: r}, nil
	})
	peer, _, err := websocket.Dial(context.Background(), "ws://peer.test/", &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: upgrade},
	})
	if err != nil {
		t.Fatal(err)
	}
	return peer
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
