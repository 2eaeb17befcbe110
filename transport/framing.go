package transport

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// What the server sends in the framing of RFC 6455. See frame.go.

// frameSize returns the wire size, in bytes, of a server's frame with payloadLen bytes of payload.
func frameSize(payloadLen int) int {
	switch {
	case payloadLen <= maxControlPayload:
		return 2 + payloadLen
	case payloadLen <= math.MaxUint16:
		return 4 + payloadLen
	}
	return 10 + payloadLen
}

// appendFrame appends one frame, neither fragmented nor masked (§5.1: a server must not mask). The payload of opText
// must be valid UTF-8, that of a control frame at most 125 bytes.
func appendFrame(dst []byte, op opcode, payload []byte) []byte {
	n := len(payload)
	dst = slices.Grow(dst, frameSize(n))
	dst = append(dst, finBit|byte(op))
	switch {
	case n <= maxControlPayload:
		dst = append(dst, byte(n))
	case n <= math.MaxUint16:
		dst = binary.BigEndian.AppendUint16(append(dst, len16), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, len64), uint64(n))
	}
	return append(dst, payload...)
}

// appendClose appends a Close frame (§5.5.1). The code 0, or 1005 as closeCode returns it, makes an empty body, which has
// no place for a reason. A reason is made valid UTF-8 and cut to 123 bytes, never inside a rune: a browser that is sent
// a broken one reports neither the code nor the reason.
func appendClose(dst []byte, code uint16, reason string) []byte {
	if code == 0 || code == closeNoStatus {
		return appendFrame(dst, opClose, nil)
	}
	reason = strings.ToValidUTF8(reason, "\uFFFD")
	if len(reason) > maxCloseReason {
		n := maxCloseReason
		for !utf8.RuneStart(reason[n]) {
			n--
		}
		reason = reason[:n]
	}
	var body [maxControlPayload]byte
	binary.BigEndian.PutUint16(body[:], code)
	return appendFrame(dst, opClose, body[:2+copy(body[2:], reason)])
}
