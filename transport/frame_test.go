package transport

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
	"unsafe"

	"pgregory.net/rapid"
)

// A client's side of the framing, written without the code under test.

var testKey = [4]byte{0x37, 0xfa, 0x21, 0x3d} // the key of the examples in §5.7

// clientFrame returns a masked frame whose first byte is first: finBit, rsvBits, opcode.
func clientFrame(first byte, payload []byte, key [4]byte) []byte {
	frame := []byte{first}
	switch n := len(payload); {
	case n < 126:
		frame = append(frame, 0x80|byte(n))
	case n < 1<<16:
		frame = append(frame, 0x80|126, byte(n>>8), byte(n))
	default:
		frame = append(frame, 0x80|127, 0, 0, 0, 0, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	frame = append(frame, key[:]...)
	for i, b := range payload {
		frame = append(frame, b^key[i%4])
	}
	return frame
}

// stream joins frames: each is raw bytes in hexadecimal ("x:8900"), or a masked frame with its first byte in hexadecimal
// and its payload as it is ("81:hello").
func stream(frames ...string) []byte {
	var wire []byte
	for _, f := range frames {
		kind, rest, _ := strings.Cut(f, ":")
		if kind == "x" {
			raw, err := hex.DecodeString(strings.ReplaceAll(rest, " ", ""))
			if err != nil {
				panic(err)
			}
			wire = append(wire, raw...)
			continue
		}
		first, err := hex.DecodeString(kind)
		if err != nil {
			panic(err)
		}
		wire = append(wire, clientFrame(first[0], []byte(rest), testKey)...)
	}
	return wire
}

// feed gives the decoder the pieces, one after the other, until an error, and returns copies of the messages.
func feed(d *decoder, pieces [][]byte) (got []message, err error) {
	for _, p := range pieces {
		for len(p) > 0 {
			m, n, err := d.next(p)
			if err != nil {
				return got, err
			}
			if m.op == 0 && n < len(p) {
				return got, fmt.Errorf("next took %d of %d bytes and returned no message", n, len(p))
			}
			if m.op != 0 {
				got = append(got, message{m.op, bytes.Clone(m.data)})
			}
			p = p[n:]
		}
	}
	return got, nil
}

// The ways of cutting a stream into pieces. They copy it, since the decoder unmasks in place.

func whole(p []byte) [][]byte { return [][]byte{bytes.Clone(p)} }

func byteByByte(p []byte) [][]byte { return slices.Collect(slices.Chunk(bytes.Clone(p), 1)) }

func randomly(rng *rand.Rand, p []byte) (pieces [][]byte) {
	p = bytes.Clone(p)
	for len(p) > 0 {
		n := 1 + rng.IntN(min(len(p), 1+rng.IntN(len(p)))) // mostly small ones
		pieces = append(pieces, p[:n])
		p = p[n:]
	}
	return pieces
}

func equalMessages(a, b []message) bool {
	return slices.EqualFunc(a, b, func(a, b message) bool { return a.op == b.op && bytes.Equal(a.data, b.data) })
}

// show keeps long messages out of the test log.
func show(ms []message) string {
	var b strings.Builder
	for _, m := range ms {
		fmt.Fprintf(&b, "[%#x %d bytes %.40q]", byte(m.op), len(m.data), m.data)
	}
	return b.String()
}

const (
	testMaxMessage   = 1 << 17
	testMaxFragments = 5
)

func newDecoder() *decoder {
	return &decoder{maxMessage: testMaxMessage, maxFragments: testMaxFragments}
}

// checkDecode feeds wire to new decoders in several ways, each of which must give the same messages and error.
func checkDecode(t *testing.T, wire []byte, want []message, wantErr error) {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	ways := map[string][][]byte{"whole": whole(wire), "byte by byte": byteByByte(wire)}
	for i := range 20 {
		ways[fmt.Sprint("random split ", i)] = randomly(rng, wire)
	}
	for name, pieces := range ways {
		d := newDecoder()
		got, err := feed(d, pieces)
		if err != wantErr {
			t.Errorf("%s: error %v, want %v", name, err, wantErr)
		}
		if !equalMessages(got, want) {
			t.Errorf("%s: messages %s, want %s", name, show(got), show(want))
		}
	}
}

func text(s string) message { return message{opText, []byte(s)} }
func ping(s string) message { return message{opPing, []byte(s)} }

func TestDecoderAccepts(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		wire []byte
		want []message
	}{
		{"§5.7 masked hello", stream("x:81 85 37fa213d 7f9f4d5158"), []message{text("Hello")}},
		{"§5.7 masked pong", stream("x:8a 85 37fa213d 7f9f4d5158"), []message{{opPong, []byte("Hello")}}},
		{"empty text", stream("81:"), []message{text("")}},
		{"empty binary", stream("82:"), []message{{opBinary, nil}}},
		{"empty ping, pong, close", stream("89:", "8a:", "88:"), []message{ping(""), {opPong, nil}, {opClose, nil}}},
		{"binary that is no text", stream("82:\xff\xfe"), []message{{opBinary, []byte("\xff\xfe")}}},
		{"close with code", stream("88:\x03\xe8bye"), []message{{opClose, []byte("\x03\xe8bye")}}},
		{"control of 125 bytes", stream("89:" + strings.Repeat("p", 125)), []message{ping(strings.Repeat("p", 125))}},
		{"several in a row", stream("81:a", "82:b", "81:c"), []message{text("a"), {opBinary, []byte("b")}, text("c")}},
		{"fragments", stream("01:Hel", "80:lo"), []message{text("Hello")}},
		{"fragments of a binary message", stream("02:\xff", "00:\xfe", "80:\xfd"), []message{{opBinary, []byte("\xff\xfe\xfd")}}},
		{"empty fragments", stream("01:", "00:", "00:a", "00:", "80:"), []message{text("a")}},
		{"only empty fragments", stream("01:", "80:"), []message{text("")}},
		{"as many fragments as allowed, twice",
			stream("01:a", "00:b", "00:c", "00:d", "80:e", "01:f", "00:g", "00:h", "00:i", "80:j"),
			[]message{text("abcde"), text("fghij")}},
		{"pings between fragments", stream("89:0", "01:Hel", "89:1", "8a:", "80:lo", "89:2"),
			[]message{ping("0"), ping("1"), {opPong, nil}, text("Hello"), ping("2")}},
		{"pings do not count as fragments or bytes", stream("01:a", "89:0", "89:1", "89:2", "89:3", "89:4", "80:b"),
			[]message{ping("0"), ping("1"), ping("2"), ping("3"), ping("4"), text("ab")}},
		{"close between fragments", stream("01:a", "88:\x03\xe8"), []message{{opClose, []byte("\x03\xe8")}}},
		{"runes of every length", stream("81:a\u00e9\u20ac\U0001F600\u0000\uFFFF\U0010FFFF"), []message{text("a\u00e9\u20ac\U0001F600\u0000\uFFFF\U0010FFFF")}},
		{"runes cut by fragments", stream("01:\xe2", "00:\x82", "00:\xac\xf0\x9f", "80:\x98\x80"), []message{text("\u20ac\U0001F600")}},
		{"a rune cut around a ping that is no text", stream("01:\xe2\x82", "89:\xff", "80:\xac"), []message{ping("\xff"), text("\u20ac")}},
		{"fragments up to the limit", stream("02:"+strings.Repeat("a", testMaxMessage-1), "00:b", "80:"),
			[]message{{opBinary, []byte(strings.Repeat("a", testMaxMessage-1) + "b")}}},
		{"part of a header", stream("x:81 fe 00"), nil},
		{"part of a payload", stream("81:a", "x:81 85 37fa213d 7f"), []message{text("a")}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			checkDecode(t, tt.wire, tt.want, nil)
		})
	}
}

func TestDecoderLengths(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 7, 8, 9, 124, 125, 126, 127, 255, 256, 65534, 65535, 65536, 65537, testMaxMessage} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			payload := make([]byte, n)
			for i := range payload {
				payload[i] = byte(i * 7 % 127)
			}
			wire := append(clientFrame(finBit|byte(opText), payload, testKey), stream("81:after")...)
			checkDecode(t, wire, []message{{opText, payload}, text("after")}, nil)
		})
	}
}

func TestDecoderRefuses(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", testMaxMessage)
	tests := []struct {
		name   string
		wire   []byte
		before []message // what is still delivered
		want   frameError
		code   uint16
	}{
		{"unmasked text", stream("x:81 05 48656c6c6f"), nil, errNotMasked, 1002},
		{"unmasked empty ping", stream("81:a", "x:89 00"), []message{text("a")}, errNotMasked, 1002},
		{"RSV1", stream("c1:a"), nil, errReservedBits, 1002},
		{"RSV2", stream("a1:a"), nil, errReservedBits, 1002},
		{"RSV3", stream("91:a"), nil, errReservedBits, 1002},
		{"RSV1 on a ping", stream("c9:a"), nil, errReservedBits, 1002},
		{"RSV1 on a continuation", stream("01:a", "c0:b"), nil, errReservedBits, 1002},
		{"reserved opcode 3", stream("83:"), nil, errReservedOpcode, 1002},
		{"reserved opcode 7", stream("87:"), nil, errReservedOpcode, 1002},
		{"reserved opcode 11", stream("8b:"), nil, errReservedOpcode, 1002},
		{"reserved opcode 15", stream("8f:"), nil, errReservedOpcode, 1002},
		{"fragmented ping", stream("09:a", "80:b"), nil, errFragmentedControl, 1002},
		{"fragmented pong", stream("0a:"), nil, errFragmentedControl, 1002},
		{"fragmented close", stream("08:"), nil, errFragmentedControl, 1002},
		{"ping of 126 bytes", stream("89:" + strings.Repeat("p", 126)), nil, errLongControl, 1002},
		{"close of 65536 bytes", stream("88:" + strings.Repeat("p", 65536)), nil, errLongControl, 1002},
		{"ping of no bytes in a long form", stream("x:89 fe 0000 37fa213d"), nil, errLongControl, 1002},
		{"16-bit length of 125", stream("x:81 fe 007d 37fa213d"), nil, errLongLength, 1002},
		{"16-bit length of 0", stream("x:81 fe 0000 37fa213d"), nil, errLongLength, 1002},
		{"64-bit length of 65535", stream("x:82 ff 000000000000ffff 37fa213d"), nil, errLongLength, 1002},
		{"64-bit length of 0", stream("x:82 ff 0000000000000000 37fa213d"), nil, errLongLength, 1002},
		{"64-bit length with the top bit", stream("x:82 ff 8000000000000000 37fa213d"), nil, errHugeLength, 1002},
		{"64-bit length of all bits", stream("x:82 ff ffffffffffffffff 37fa213d"), nil, errHugeLength, 1002},
		{"continuation of nothing", stream("80:a"), nil, errNothingToContinue, 1002},
		{"continuation of nothing, unfinished", stream("00:a"), nil, errNothingToContinue, 1002},
		{"continuation of a whole message", stream("81:a", "80:b"), []message{text("a")}, errNothingToContinue, 1002},
		{"text inside text", stream("01:a", "81:b"), nil, errNotContinued, 1002},
		{"binary inside text", stream("01:a", "89:p", "02:b"), []message{ping("p")}, errNotContinued, 1002},
		{"too many fragments", stream("01:a", "00:b", "00:c", "00:d", "00:e", "80:f"), nil, errTooManyFragments, 1008},
		{"too many empty fragments", stream("01:", "00:", "00:", "00:", "00:", "00:"), nil, errTooManyFragments, 1008},
		{"too big", stream("82:" + long + "a"), nil, errTooBig, 1009},
		{"too big, announced only", stream("x:82 ff 0000000000020001 37fa213d"), nil, errTooBig, 1009},
		{"greatest 63-bit length", stream("x:82 ff 7fffffffffffffff 37fa213d"), nil, errTooBig, 1009},
		{"greatest 63-bit length after a fragment", stream("02:a", "x:80 ff 7fffffffffffffff 37fa213d"), nil, errTooBig, 1009},
		{"fragments too big", stream("02:"+long, "89:p", "80:a"), []message{ping("p")}, errTooBig, 1009},
		{"text that is no UTF-8", stream("81:a\xff"), nil, errInvalidText, 1007},
		{"text with an overlong rune", stream("81:\xc0\x80"), nil, errInvalidText, 1007},
		{"text with a surrogate", stream("81:\xed\xa0\x80"), nil, errInvalidText, 1007},
		{"text above U+10FFFF", stream("81:\xf4\x90\x80\x80"), nil, errInvalidText, 1007},
		{"text that ends inside a rune", stream("81:a\xe2\x82"), nil, errInvalidText, 1007},
		{"text whose last fragment ends inside a rune", stream("01:a\xf0", "80:\x9f\x98"), nil, errInvalidText, 1007},
		{"text whose empty last fragment ends inside a rune", stream("01:a\xc3", "80:"), nil, errInvalidText, 1007},
		{"a rune broken between fragments", stream("01:\xe2\x82", "89:p", "00:a"), []message{ping("p")}, errInvalidText, 1007},
		{"invalid text in a fragment that never ends", stream("x:01 85 00000000 61ff"), nil, errInvalidText, 1007},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.want.code != tt.code {
				t.Errorf("close code %d, want %d", tt.want.code, tt.code)
			}
			checkDecode(t, tt.wire, tt.before, tt.want)
		})
	}
}

func TestErrorReasonsFitACloseFrame(t *testing.T) {
	t.Parallel()
	for _, e := range []frameError{
		errReservedBits, errReservedOpcode, errNotMasked, errFragmentedControl, errLongControl, errNothingToContinue,
		errNotContinued, errLongLength, errHugeLength, errInvalidText, errTooManyFragments, errTooBig, errShortClose,
		errCloseCode, errCloseReason,
	} {
		if len(e.reason) == 0 || len(e.reason) > 123 || !sendable(e.code) {
			t.Errorf("%v does not fit a Close frame", e)
		}
		if want := fmt.Sprintf("websocket: %s (%d)", e.reason, e.code); e.Error() != want {
			t.Errorf("Error() = %q, want %q", e.Error(), want)
		}
	}
}

// A violation is told at the very byte that makes it one: whoever sends it may send nothing more.
func TestDecoderRefusesEarly(t *testing.T) {
	t.Parallel()
	header := len(stream("01:")) // of a short frame
	tests := []struct {
		name string
		wire []byte
		at   int // bytes that must be enough, and one fewer must not
		want frameError
	}{
		{"unmasked", stream("x:81 05 48"), 2, errNotMasked},
		{"reserved bits", stream("x:c1 80 00000000"), 2, errReservedBits},
		{"too big", stream("x:82 ff 0000000000020001 37fa213d 00"), 14, errTooBig},
		{"too many fragments", stream("01:", "00:", "00:", "00:", "00:", "00:"), 5*header + 2, errTooManyFragments},
		{"lone continuation byte", stream("01:ab\x80cdefgh"), header + 3, errInvalidText},
		{"second byte of a surrogate", stream("01:\xed\xa0\x80"), header + 2, errInvalidText},
		{"second byte above U+10FFFF", stream("01:\xf4\x90\x80\x80"), header + 2, errInvalidText},
		{"fourth byte of a rune", stream("01:\xf0\x9f\x98", "00:", "80:a..."), 3*header + 3 + 1, errInvalidText},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for n := range len(tt.wire) + 1 {
				var want error
				if n >= tt.at {
					want = tt.want
				}
				if _, err := feed(newDecoder(), whole(tt.wire[:n])); err != want {
					t.Errorf("%d bytes at once: %v, want %v", n, err, want)
				}
				if _, err := feed(newDecoder(), byteByByte(tt.wire[:n])); err != want {
					t.Errorf("%d bytes one by one: %v, want %v", n, err, want)
				}
			}
		})
	}
}

// canBecomeText tries to complete p, with all the bounds that RFC 3629 gives a second byte.
func canBecomeText(p []byte) bool {
	if utf8.Valid(p) {
		return true
	}
	var buf [16]byte
	q := append(buf[:0], p...)
	for _, second := range []byte{0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf} {
		q := append(q, second)
		for range 3 {
			if utf8.Valid(q) {
				return true
			}
			q = append(q, 0x80)
		}
	}
	return false
}

func TestWholeRunes(t *testing.T) {
	t.Parallel()
	check := func(p ...byte) {
		n, ok := wholeRunes(p)
		if want := canBecomeText(p); ok != want {
			t.Errorf("wholeRunes(%x): ok = %v, want %v", p, ok, want)
		}
		if ok && (!utf8.Valid(p[:n]) || len(p)-n > 3 || utf8.Valid(p) != (n == len(p))) {
			t.Errorf("wholeRunes(%x) = %d", p, n)
		}
	}
	check()
	for a := range 256 {
		check(byte(a))
		for b := range 256 {
			check(byte(a), byte(b))
		}
	}
	// All that RFC 3629 treats differently, up to a whole rune after another byte.
	firsts := []byte{'a', 0x80, 0xbf, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xed, 0xef, 0xf0, 0xf1, 0xf4, 0xf5, 0xff}
	others := []byte{0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc2, 0xf0}
	for _, a := range firsts {
		for _, b := range others {
			for _, c := range others {
				check(a, b, c)
				check('a', a, b, c)
				for _, d := range others {
					check(a, b, c, d)
					check('a', a, b, c, d)
				}
			}
		}
	}
}

func within(part, p []byte) bool {
	first, start := uintptr(unsafe.Pointer(unsafe.SliceData(part))), uintptr(unsafe.Pointer(unsafe.SliceData(p)))
	return first >= start && first+uintptr(len(part)) <= start+uintptr(len(p))
}

func TestDecoderDoesNotCopyWholeFrames(t *testing.T) {
	t.Parallel()
	d := newDecoder()
	p := stream("81:first", "89:second", "82:third")
	for rest := p; len(rest) > 0; {
		m, n, err := d.next(rest)
		if err != nil || m.op == 0 {
			t.Fatalf("next = %v, %d, %v", m, n, err)
		}
		if !within(m.data, p) || cap(m.data) != len(m.data) {
			t.Errorf("%q is a copy or reaches over its end", m.data)
		}
		rest = rest[n:]
	}
	// The header came before, the payload lies whole in p.
	p = stream("81:fourth")
	if m, n, err := d.next(p[:4]); m.op != 0 || n != 4 || err != nil {
		t.Fatalf("next = %v, %d, %v", m, n, err)
	}
	if m, _, err := d.next(p[4:]); err != nil || string(m.data) != "fourth" || !within(m.data, p) {
		t.Errorf("next = %v, %v, want a part of p", m, err)
	}
}

func TestDecoderKeepsOnlyWhatArrived(t *testing.T) {
	t.Parallel()
	d := newDecoder()
	held := func(what string, atLeast, atMost int) {
		t.Helper()
		if n := cap(d.data) + cap(d.control); n < atLeast || n > atMost {
			t.Errorf("%s: holds %d bytes, want %d to %d", what, n, atLeast, atMost)
		}
	}
	take := func(p []byte, idle bool) (m message) {
		t.Helper()
		for len(p) > 0 {
			var n int
			var err error
			if m, n, err = d.next(p); err != nil {
				t.Fatal(err)
			}
			p = p[n:]
		}
		if d.idle() != idle {
			t.Errorf("idle = %v", d.idle())
		}
		return m
	}
	if !d.idle() {
		t.Error("a new decoder is not idle")
	}
	big := clientFrame(finBit|byte(opBinary), make([]byte, 65536), testKey)
	take(big[:1], false)
	take(big[1:14], false)
	held("a header that announces 64 KiB", 0, 0)
	take(big[14:1014], false)
	held("1000 bytes of it", 1000, 2000)
	if m := take(big[1014:], true); len(m.data) != 65536 {
		t.Errorf("got %d bytes", len(m.data))
	}
	held("between messages", 0, 0)

	take(stream("01:a"), false)
	split := stream("89:ping")
	take(split[:8], false)
	held("parts of a message and of a ping", 3, 6)
	first := take(split[8:], false)
	last := take(stream("80:b"), true)
	held("between messages", 0, 0)
	// Messages that did not lie whole in p own their bytes.
	take(stream("81:xxxxxxxxxxxxxxxx"), true)
	if string(first.data) != "ping" || string(last.data) != "ab" {
		t.Errorf("got %q and %q", first.data, last.data)
	}
}

func TestDecoderOfNothing(t *testing.T) {
	t.Parallel()
	d := newDecoder()
	if m, n, err := d.next(nil); m.op != 0 || n != 0 || err != nil {
		t.Errorf("next(nil) = %v, %d, %v", m, n, err)
	}
	// Without limits nothing is allowed but control frames and the empty message.
	d = &decoder{maxFragments: 1}
	checkErr := func(wire []byte, want error) {
		t.Helper()
		if _, err := feed(d, whole(wire)); err != want {
			t.Errorf("error %v, want %v", err, want)
		}
	}
	checkErr(stream("89:ping", "81:"), nil)
	checkErr(stream("81:a"), errTooBig)
	d = new(decoder)
	checkErr(stream("81:"), errTooManyFragments)
}

// Not parallel: testing.AllocsPerRun counts for the whole process.
func TestAllocations(t *testing.T) {
	small := clientFrame(finBit|byte(opText), []byte(`{"topics":["cats","dogs"]}`), [4]byte{}) // key 0: unmasking keeps it
	d := newDecoder()
	payload := make([]byte, 128)
	body := []byte("\x03\xe8bye")
	buf := make([]byte, 0, 256)
	for name, f := range map[string]func(){
		"decode a whole small frame": func() {
			if m, _, err := d.next(small); err != nil || m.op != opText {
				t.Fatal(m, err)
			}
		},
		"encode into a buffer with room": func() { buf = appendFrame(buf[:0], opText, payload) },
		"encode a Close frame":           func() { buf = appendClose(buf[:0], 4100, "slow_consumer") },
		"read a Close frame": func() {
			if code, err := closeCode(body); err != nil || code != 1000 {
				t.Fatal(code, err)
			}
		},
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// A message of very many parts must not be copied for each of them. Not parallel, like TestAllocations.
func TestManyFragmentsAreCheap(t *testing.T) {
	const fragments = 10_000
	frame := func(first byte) []byte { return clientFrame(first, []byte("a"), [4]byte{}) }
	wire := slices.Concat(frame(byte(opText)), bytes.Repeat(frame(byte(opContinuation)), fragments-2), frame(finBit))
	d := &decoder{maxMessage: 65536, maxFragments: fragments}
	n := testing.AllocsPerRun(1, func() {
		if m, _, err := d.next(wire); err != nil || len(m.data) != fragments {
			t.Fatal(len(m.data), err)
		}
	})
	if n > 20 {
		t.Errorf("%v allocations", n)
	}
}

func TestUnmask(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 4))
	for n := range 70 {
		for cut := range n + 1 {
			key := rng.Uint32()
			var turn [4]byte
			binary.LittleEndian.PutUint32(turn[:], key)
			p := make([]byte, n)
			want := make([]byte, n)
			for i := range p {
				p[i] = byte(rng.Uint32())
				want[i] = p[i] ^ turn[i%4]
			}
			unmask(p[cut:], unmask(p[:cut], key))
			if !bytes.Equal(p, want) {
				t.Fatalf("%d bytes cut at %d: %x, want %x", n, cut, p, want)
			}
		}
	}
}

func TestAppendFrame(t *testing.T) {
	t.Parallel()
	kib := bytes.Repeat([]byte{7}, 1<<16)
	tests := []struct {
		op      opcode
		payload []byte
		header  []byte
	}{
		{opText, []byte("Hello"), []byte{0x81, 5}}, // §5.7
		{opPing, []byte("Hello"), []byte{0x89, 5}}, // §5.7
		{opText, nil, []byte{0x81, 0}},
		{opPong, kib[:125], []byte{0x8a, 125}},
		{opBinary, kib[:125], []byte{0x82, 125}},
		{opBinary, kib[:126], []byte{0x82, 126, 0, 126}},
		{opBinary, kib[:256], []byte{0x82, 126, 1, 0}}, // §5.7
		{opBinary, kib[:65535], []byte{0x82, 126, 0xff, 0xff}},
		{opBinary, kib[:65536], []byte{0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0}}, // §5.7
	}
	for _, tt := range tests {
		before := []byte("before")
		got := appendFrame(before, tt.op, tt.payload)
		if want := slices.Concat(before, tt.header, tt.payload); !bytes.Equal(got, want) {
			t.Errorf("op %d, %d bytes: %.20x..., want %.20x...", tt.op, len(tt.payload), got, want)
		}
		if n := frameSize(len(tt.payload)); n != len(got)-len(before) {
			t.Errorf("frameSize(%d) = %d, want %d", len(tt.payload), n, len(got)-len(before))
		}
	}
}

func TestAppendClose(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		code   uint16
		reason string
		want   string // the body
	}{
		{"code and reason", 4100, "slow_consumer", "\x10\x04slow_consumer"},
		{"no reason", 1000, "", "\x03\xe8"},
		{"no code", 0, "lost", ""},
		{"no status", 1005, "lost", ""},
		{"123 bytes", 1001, strings.Repeat("a", 123), "\x03\xe9" + strings.Repeat("a", 123)},
		{"124 bytes", 1001, strings.Repeat("a", 124), "\x03\xe9" + strings.Repeat("a", 123)},
		{"cut before a rune of 2", 1001, strings.Repeat("a", 122) + "\u00e9", "\x03\xe9" + strings.Repeat("a", 122)},
		{"cut before a rune of 4", 1001, strings.Repeat("a", 120) + "\U0001F600", "\x03\xe9" + strings.Repeat("a", 120)},
		{"cut after a rune", 1001, strings.Repeat("a", 121) + "\u00e9b", "\x03\xe9" + strings.Repeat("a", 121) + "\u00e9"},
		{"not UTF-8", 1001, "a\xffb", "\x03\xe9a\uFFFDb"},
		{"not UTF-8 and then too long", 1001, strings.Repeat("a", 122) + "\xff", "\x03\xe9" + strings.Repeat("a", 122)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := appendClose([]byte("before"), tt.code, tt.reason)
			if want := "before\x88" + string(rune(len(tt.want))) + tt.want; string(got) != want {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
}

func TestCloseCode(t *testing.T) {
	t.Parallel()
	check := func(body string, want uint16, wantErr error) {
		t.Helper()
		if got, err := closeCode([]byte(body)); got != want || err != wantErr {
			t.Errorf("closeCode(%q) = %d, %v, want %d, %v", body, got, err, want, wantErr)
		}
	}
	check("", 1005, nil)
	check("\x03", 0, errShortClose)
	check("\x03\xe8bye \u20ac", 1000, nil)
	check("\x03\xe8bye \xe2\x82", 0, errCloseReason)
	check("\x03\xec\xff", 0, errCloseCode) // 1004, and what follows matters no more
	sendable := []uint16{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014}
	for code := range 1 << 16 {
		body := string([]byte{byte(code >> 8), byte(code)})
		if slices.Contains(sendable, uint16(code)) || code >= 3000 && code < 5000 {
			check(body, uint16(code), nil)
		} else {
			check(body, 0, errCloseCode)
		}
	}
	for err, code := range map[frameError]uint16{errShortClose: 1002, errCloseCode: 1002, errCloseReason: 1007} {
		if err.code != code {
			t.Errorf("%v: want %d", err, code)
		}
	}
}

// genStream draws a random sequence of messages and its encoding by a client: with any masks, fragments, and control
// frames between them.
func genStream(t *rapid.T) (want []message, wire []byte) {
	key := func() (k [4]byte) {
		binary.BigEndian.PutUint32(k[:], rapid.Uint32().Draw(t, "key"))
		return k
	}
	control := func() {
		op := rapid.SampledFrom([]opcode{opPing, opPong, opClose}).Draw(t, "control")
		data := rapid.SliceOfN(rapid.Byte(), 0, 125).Draw(t, "control payload")
		want = append(want, message{op, data})
		wire = append(wire, clientFrame(finBit|byte(op), data, key())...)
	}
	lengths := rapid.SampledFrom([]int{125, 126, 127, 65535, 65536})
	for range rapid.IntRange(0, 6).Draw(t, "messages") {
		m := message{op: rapid.SampledFrom([]opcode{opText, opBinary}).Draw(t, "op")}
		switch {
		case rapid.IntRange(0, 9).Draw(t, "long") == 0:
			m.data = bytes.Repeat([]byte("x"), lengths.Draw(t, "length"))
		case m.op == opText:
			m.data = []byte(rapid.String().Draw(t, "text"))
		default:
			m.data = rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "binary")
		}
		rest, op := m.data, byte(m.op)
		for range rapid.IntRange(0, testMaxFragments-1).Draw(t, "fragments") {
			n := rapid.IntRange(0, len(rest)).Draw(t, "fragment")
			wire = append(wire, clientFrame(op, rest[:n], key())...)
			rest, op = rest[n:], byte(opContinuation)
			for range rapid.IntRange(0, 2).Draw(t, "controls between") {
				control()
			}
		}
		wire = append(wire, clientFrame(finBit|op, rest, key())...)
		want = append(want, m)
		if rapid.Bool().Draw(t, "control after") {
			control()
		}
	}
	return want, wire
}

func TestDecoderProperty(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want, wire := genStream(t)
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "splits"), 0))
		for _, pieces := range [][][]byte{whole(wire), randomly(rng, wire), randomly(rng, wire)} {
			d := newDecoder()
			got, err := feed(d, pieces)
			if err != nil || !equalMessages(got, want) {
				t.Fatalf("got %s, %v\nwant %s", show(got), err, show(want))
			}
			if !d.idle() {
				t.Fatal("not idle after the last message")
			}
		}
	})
}
