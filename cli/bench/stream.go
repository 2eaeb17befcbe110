package bench

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"time"
)

// A message begins with a mark and the time when it was sent, in hexadecimal nanoseconds
// of this process's clock. No protocol changes them. So they can be found in the data of a
// connection without parsing the rest.
const (
	mark     = "~bb~"
	stampLen = 16
	// MinSize is the size of the shortest message, in bytes.
	MinSize = len(mark) + stampLen
)

// stamp writes the mark and the time to the beginning of a message.
func stamp(message []byte, sent time.Duration) {
	var clock [stampLen / 2]byte
	binary.BigEndian.PutUint64(clock[:], uint64(sent))
	hex.Encode(message[copy(message, mark):], clock[:])
}

// A stream finds messages in the data of one connection.
type stream struct {
	frames bool   // a WebSocket (RFC 6455 section 5.2); otherwise text
	rest   []byte // the end of the data, perhaps the beginning of a message

	head    [10]byte // the head of the present frame
	have    int      // bytes of head so far
	inside  bool     // the head is complete
	left    uint64   // bytes of the frame still to come
	control []byte   // the payload of a control frame

	event func(sent time.Duration)
	pong  func(payload []byte)
}

var errClosed = errors.New("the broker has closed the connection")

// The opcodes that are handled.
const (
	opClose = 8
	opPing  = 9
)

// feed handles received data. It fails when the broker closes the connection.
func (s *stream) feed(b []byte) error {
	if !s.frames {
		s.scan(b)
		return nil
	}
	for len(b) > 0 || s.inside && s.left == 0 {
		if !s.inside {
			n := copy(s.head[s.have:s.headLen()], b)
			s.have, b = s.have+n, b[n:]
			if s.have == s.headLen() {
				s.begin()
			}
			continue
		}
		n := min(s.left, uint64(len(b)))
		if s.opcode() >= opClose {
			s.control = append(s.control, b[:n]...)
		} else {
			s.scan(b[:n])
		}
		s.left, b = s.left-n, b[n:]
		if s.left > 0 {
			continue
		}
		if s.opcode() == opClose {
			return errClosed
		}
		s.end()
	}
	return nil
}

func (s *stream) opcode() byte { return s.head[0] & 15 }

// headLen returns the length of the frame's head, as far as it is known.
func (s *stream) headLen() int {
	switch {
	case s.have >= 2 && s.head[1] == 126:
		return 4
	case s.have >= 2 && s.head[1] == 127:
		return 10
	}
	return 2
}

func (s *stream) begin() {
	s.inside = true
	switch s.have {
	case 4:
		s.left = uint64(binary.BigEndian.Uint16(s.head[2:]))
	case 10:
		s.left = binary.BigEndian.Uint64(s.head[2:])
	default:
		s.left = uint64(s.head[1])
	}
}

func (s *stream) end() {
	if s.opcode() == opPing {
		s.pong(s.control)
	}
	s.control, s.rest = s.control[:0], s.rest[:0]
	s.inside, s.have = false, 0
}

// scan finds the messages in a part of the text.
func (s *stream) scan(b []byte) {
	if len(s.rest) > 0 {
		s.rest = append(s.rest, b...)
		b = s.rest
	}
	for {
		i := bytes.Index(b, []byte(mark))
		if i < 0 {
			b = b[max(0, len(b)-len(mark)+1):]
			break
		}
		if b = b[i:]; len(b) < MinSize {
			break
		}
		var clock [stampLen / 2]byte
		if _, err := hex.Decode(clock[:], b[len(mark):MinSize]); err != nil {
			b = b[1:] // a false match
			continue
		}
		s.event(time.Duration(binary.BigEndian.Uint64(clock[:])))
		b = b[MinSize:]
	}
	s.rest = append(s.rest[:0], b...)
}
