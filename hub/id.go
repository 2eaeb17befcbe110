package hub

import (
	"crypto/sha256"
	"encoding/hex"
)

// An ID is a client's secret name: whoever has it may connect as the client.
type ID [16]byte

// ParseID reads the 32 hexadecimal digits of a client id.
func ParseID(s string) (id ID, ok bool) {
	if len(s) != 2*len(id) {
		return ID{}, false
	}
	_, err := hex.Decode(id[:], []byte(s))
	return id, err == nil
}

func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Handle returns the public name that goes with an id.
func (id ID) Handle() Handle {
	sum := sha256.Sum256(id[:])
	return Handle(sum[:len(Handle{})])
}

// A Handle names a client in logs and to operators, without giving away its
// id: a prefix of the id's SHA-256.
type Handle [8]byte

// ParseHandle reads a handle's text.
func ParseHandle(s string) (h Handle, ok bool) {
	if len(s) != 2*len(h) {
		return Handle{}, false
	}
	_, err := hex.Decode(h[:], []byte(s))
	return h, err == nil
}

func (h Handle) String() string { return hex.EncodeToString(h[:]) }
