package hub

import "strings"

// A Position numbers the events of a log in the order in which the hub took
// them. Positions grow; they need not be dense (invariant 1). The first event has
// position 1; 0 stands before all of them.
type Position uint64

// A Cursor names a position in one particular log. Its text has a constant
// length, and of two cursors of one log the later one sorts later. Those of two logs have
// no order.
type Cursor struct {
	Epoch    uint64 // which log; below 2^48
	Position Position
}

// CursorLen is the length of a cursor's text, in bytes.
const CursorLen = 24

func (c Cursor) String() string {
	return string(c.AppendTo(make([]byte, 0, CursorLen)))
}

// AppendTo appends the cursor's text.
func (c Cursor) AppendTo(dst []byte) []byte {
	for _, half := range [2]uint64{c.Epoch, uint64(c.Position)} {
		for shift := 44; shift >= 0; shift -= 4 {
			dst = append(dst, hexDigits[half>>shift&15])
		}
	}
	return dst
}

// ParseCursor reads a cursor's text.
func ParseCursor(s string) (c Cursor, ok bool) {
	if len(s) != CursorLen {
		return Cursor{}, false
	}
	var halves [2]uint64
	for i := range len(s) {
		digit := strings.IndexByte(hexDigits, s[i])
		if digit < 0 {
			return Cursor{}, false
		}
		half := &halves[i/(CursorLen/2)]
		*half = *half<<4 | uint64(digit)
	}
	return Cursor{halves[0], Position(halves[1])}, true
}

const hexDigits = "0123456789abcdef"
