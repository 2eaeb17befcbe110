package transport

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"unicode/utf8"
)

// The server's side of the WebSocket framing of RFC 6455, and nothing else: no I/O, no goroutine, no clock. Here is what
// comes; what goes out is in framing.go.
// The § marks below cite that RFC. Extensions are never negotiated, so there is no compression.

// opcode says what a frame is (§5.2).
type opcode byte

const (
	opContinuation opcode = 0x0
	opText         opcode = 0x1
	opBinary       opcode = 0x2
	opClose        opcode = 0x8
	opPing         opcode = 0x9
	opPong         opcode = 0xA
)

// control reports whether op belongs to the control frames (§5.5).
func (op opcode) control() bool { return op&0x8 != 0 }

// known reports whether op has a meaning; the others are reserved (§5.2).
func (op opcode) known() bool { return op <= opBinary || op >= opClose && op <= opPong }

// The close codes that this file gives out or takes in (§7.4.1).
const (
	closeProtocolError   uint16 = 1002
	closeUnsupportedData uint16 = 1003
	closeNoStatus        uint16 = 1005 // stands for an empty Close body, never sent
	closeInvalidData     uint16 = 1007
	closePolicy          uint16 = 1008
	closeTooBig          uint16 = 1009
)

const (
	// maxControlPayload is the most payload bytes that a control frame may have (§5.5).
	maxControlPayload = 125
	// maxCloseReason is what the two bytes of the code leave of them to the reason, in bytes (§5.5.1).
	maxCloseReason = maxControlPayload - 2

	maxHeader = 14 // bytes: 2, at most 8 of extended length, 4 of masking key (§5.2)

	finBit  = 0x80 // in the first byte: the last frame of its message
	rsvBits = 0x70 // in the first byte: for extensions
	opBits  = 0x0F // in the first byte: the opcode
	maskBit = 0x80 // in the second byte: a masking key follows
	lenBits = 0x7F // in the second byte: the length, or one of these two:
	len16   = 126  // the length is in the next 2 bytes
	len64   = 127  // the length is in the next 8 bytes
)

// frameError is a violation of the protocol: the close code to answer with and a reason of at most 123 bytes.
type frameError struct {
	code   uint16
	reason string
}

func (e frameError) Error() string { return fmt.Sprintf("websocket: %s (%d)", e.reason, e.code) }

// Everything that a peer can do wrong.
var (
	errReservedBits      = frameError{closeProtocolError, "reserved bits are set"}                      // §5.2
	errReservedOpcode    = frameError{closeProtocolError, "reserved opcode"}                            // §5.2
	errNotMasked         = frameError{closeProtocolError, "client frame is not masked"}                 // §5.1
	errFragmentedControl = frameError{closeProtocolError, "control frame is fragmented"}                // §5.5
	errLongControl       = frameError{closeProtocolError, "control frame is longer than 125 bytes"}     // §5.5
	errNothingToContinue = frameError{closeProtocolError, "continuation of no message"}                 // §5.4
	errNotContinued      = frameError{closeProtocolError, "new message inside a fragmented one"}        // §5.4
	errLongLength        = frameError{closeProtocolError, "length is not in its shortest form"}         // §5.2
	errHugeLength        = frameError{closeProtocolError, "length has its most significant bit set"}    // §5.2
	errInvalidText       = frameError{closeInvalidData, "text is not valid UTF-8"}                      // §8.1
	errTooManyFragments  = frameError{closePolicy, "message has too many fragments"}                    // §10.4
	errTooBig            = frameError{closeTooBig, "message is too big"}                                // §10.4
	errShortClose        = frameError{closeProtocolError, "close frame has half a code"}                // §5.5.1
	errCloseCode         = frameError{closeProtocolError, "close code is not one that may be sent"}     // §7.4
	errCloseReason       = frameError{closeInvalidData, "reason of the close frame is not valid UTF-8"} // §5.5.1
)

// message is one complete data message (opText, opBinary) or one control frame (opClose, opPing, opPong). The zero
// message, whose op is opContinuation, is none.
type message struct {
	op   opcode
	data []byte
}

// decoder parses what a client sends, in whatever pieces it arrives. With its limits set it is ready. It keeps no
// reference to what it was given, and between messages it keeps nothing at all: see idle.
type decoder struct {
	// Static: the limits of one message.
	maxMessage   int // payload bytes, over all fragments
	maxFragments int // frames, empty ones included

	// The header under way.
	head [maxHeader]byte
	have uint8 // bytes of head that have arrived

	// The frame under way: its header is complete, its payload may not be.
	open  bool
	fin   bool
	frame opcode
	key   uint32 // masking key, turned to the next byte; little endian
	left  int    // payload bytes still to come

	// The message under way. It grows with what arrives, not with what a header announces.
	op     opcode // opContinuation: none
	frames int    // frames begun
	valid  int    // leading bytes of data that are whole runes of valid text
	data   []byte

	// The control frame under way. It may come between the fragments of a message.
	control []byte

	counted int // bytes that it holds, as its connection has counted them
}

// next takes bytes from p, unmasks them in place and returns how many it took: up to the end of the first message
// (m.op is set), or else all of p. A frame that lies whole in p is not copied: m.data is a part of p then. m.data stays
// valid until the next call of next, as long as p does. After an error, a frameError, the decoder must not be used any more.
func (d *decoder) next(p []byte) (m message, n int, err error) {
	for m.op == 0 {
		if !d.open {
			k, err := d.takeHeader(p[n:])
			n += k
			if err != nil || !d.open {
				return message{}, n, err
			}
		}
		k := min(d.left, len(p)-n)
		part := p[n : n+k : n+k]
		n += k
		d.left -= k
		d.key = unmask(part, d.key)
		m, err = d.takePayload(part)
		if err != nil || d.left > 0 {
			return message{}, n, err
		}
	}
	return m, n, nil
}

// idle reports whether the decoder stands between messages and holds no bytes, so that it may serve another connection.
func (d *decoder) idle() bool { return d.have == 0 && !d.open && d.op == 0 }

// takeHeader takes the bytes of a frame header from p, returns how many, and opens the frame when they are all there.
func (d *decoder) takeHeader(p []byte) (n int, err error) {
	n = d.fill(p, 2)
	if d.have < 2 {
		return n, nil
	}
	if err := d.checkKind(); err != nil {
		return n, err
	}
	size := 2 + 4
	switch d.head[1] & lenBits {
	case len16:
		size += 2
	case len64:
		size += 8
	}
	n += d.fill(p[n:], size)
	if int(d.have) < size {
		return n, nil
	}
	length, err := d.length()
	if err != nil {
		return n, err
	}
	d.key = binary.LittleEndian.Uint32(d.head[size-4:])
	d.left = length
	d.have = 0
	d.open = true
	d.fin = d.head[0]&finBit != 0
	d.frame = opcode(d.head[0] & opBits)
	if !d.frame.control() {
		d.frames++
		if d.op == 0 {
			d.op = d.frame
		}
	}
	return n, nil
}

// fill takes header bytes from p until there are want of them, and returns how many it took.
func (d *decoder) fill(p []byte, want int) int {
	if int(d.have) >= want {
		return 0
	}
	n := copy(d.head[d.have:want], p)
	d.have += uint8(n)
	return n
}

// checkKind judges the first two bytes of a header: what the frame is, and whether it may come now.
func (d *decoder) checkKind() error {
	fin, op := d.head[0]&finBit != 0, opcode(d.head[0]&opBits)
	switch {
	case d.head[0]&rsvBits != 0:
		return errReservedBits
	case !op.known():
		return errReservedOpcode
	case d.head[1]&maskBit == 0:
		return errNotMasked
	case op.control() && !fin:
		return errFragmentedControl
	case op.control() && d.head[1]&lenBits > maxControlPayload:
		return errLongControl
	case op.control():
		return nil
	case op == opContinuation && d.op == 0:
		return errNothingToContinue
	case op != opContinuation && d.op != 0:
		return errNotContinued
	case d.frames >= d.maxFragments:
		return errTooManyFragments
	}
	return nil
}

// length returns the payload length in bytes that a complete header announces, if the limits allow it.
func (d *decoder) length() (int, error) {
	n := uint64(d.head[1] & lenBits)
	shortest := true
	switch n {
	case len16:
		n = uint64(binary.BigEndian.Uint16(d.head[2:]))
		shortest = n > maxControlPayload
	case len64:
		n = binary.BigEndian.Uint64(d.head[2:])
		shortest = n > math.MaxUint16
	}
	switch {
	case !shortest:
		return 0, errLongLength
	case n > math.MaxInt64:
		return 0, errHugeLength
	case opcode(d.head[0] & opBits).control():
		return int(n), nil // its own limit is below any other, and it takes nothing from the message's
	case n > uint64(d.maxMessage-len(d.data)):
		return 0, errTooBig
	}
	return int(n), nil
}

// takePayload takes an unmasked part of the open frame's payload, its end if nothing is left to come, and returns the
// message that it completes, if any.
func (d *decoder) takePayload(part []byte) (message, error) {
	end := d.left == 0
	d.open = !end
	if d.frame.control() {
		return d.takeControl(part, end), nil
	}
	return d.takeData(part, end && d.fin)
}

func (d *decoder) takeControl(part []byte, end bool) message {
	if !end || len(d.control) > 0 {
		d.control = d.keep(d.control, part)
		part = d.control
	}
	if !end {
		return message{}
	}
	d.control = nil // it is the message's now, and an idle connection must not pay for it
	return message{d.frame, part}
}

func (d *decoder) takeData(part []byte, end bool) (message, error) {
	if !end || len(d.data) > 0 {
		d.data = d.keep(d.data, part)
		part = d.data
	}
	if d.op == opText {
		n, ok := wholeRunes(part[d.valid:])
		d.valid += n
		if !ok || end && d.valid < len(part) {
			return message{}, errInvalidText
		}
	}
	if !end {
		return message{}, nil
	}
	m := message{d.op, part}
	d.op, d.frames, d.valid, d.data = 0, 0, 0, nil
	return m, nil
}

// keep appends to buf a part of the open frame. The room for it is at most twice what has arrived, and never more than
// what the message may still become: doubling is what keeps a message of very many parts cheap.
func (d *decoder) keep(buf, part []byte) []byte {
	need := len(buf) + len(part)
	if need > cap(buf) {
		most := d.maxMessage
		if d.fin {
			most = need + d.left
		}
		buf = append(make([]byte, 0, min(2*need, most)), buf...)
	}
	return append(buf, part...)
}

// wholeRunes returns the length of p without a last rune that is still incomplete, and whether all of p can be the
// beginning of valid UTF-8 (§8.1): a text is refused at the byte that spoils it, not at the end of a long message.
func wholeRunes(p []byte) (n int, ok bool) {
	n = len(p)
	for i := n - 1; i >= 0 && i > n-utf8.UTFMax; i-- {
		if utf8.RuneStart(p[i]) {
			if !utf8.FullRune(p[i:]) {
				n = i
			}
			break
		}
	}
	return n, utf8.Valid(p[:n])
}

// unmask undoes the masking of p (§5.3) and returns the key turned to the byte after p. The key is little endian: its
// lowest byte belongs to p[0].
func unmask(p []byte, key uint32) uint32 {
	wide := uint64(key)<<32 | uint64(key)
	for len(p) >= 8 {
		binary.LittleEndian.PutUint64(p, binary.LittleEndian.Uint64(p)^wide)
		p = p[8:]
	}
	for i := range p {
		p[i] ^= byte(key)
		key = bits.RotateLeft32(key, -8)
	}
	return key
}

// closeCode returns the code in the body of a received Close frame, 1005 if it is empty (§7.1.5). The error is a
// frameError.
func closeCode(body []byte) (uint16, error) {
	switch len(body) {
	case 0:
		return closeNoStatus, nil
	case 1:
		return 0, errShortClose
	}
	code := binary.BigEndian.Uint16(body)
	switch {
	case !sendable(code):
		return 0, errCloseCode
	case !utf8.Valid(body[2:]):
		return 0, errCloseReason
	}
	return code, nil
}

// sendable reports whether code may appear on the wire: 1004, 1005, 1006 and 1015 only have a meaning elsewhere, 1016
// to 2999 have none yet (§7.4, and the registry of close codes for 1012 to 1014).
func sendable(code uint16) bool {
	return code >= 1000 && code <= 1003 || code >= 1007 && code <= 1014 || code >= 3000 && code <= 4999
}
