package api

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strconv"
	"sync/atomic"
)

// requestIDs makes request ids, by which a response is found in the log. They are unique
// and cheap, not secret.
type requestIDs struct {
	prefix string // of this process
	last   *atomic.Uint64
}

func newRequestIDs() requestIDs {
	var random [4]byte
	rand.Read(random[:])
	return requestIDs{prefix: hex.EncodeToString(random[:]) + "-", last: new(atomic.Uint64)}
}

// of returns the id of the request if it is safe to repeat, otherwise a new one.
func (ids requestIDs) of(r *http.Request) string {
	if given := r.Header["X-Request-Id"]; len(given) == 1 && isRequestID(given[0]) {
		return given[0]
	}
	buf := make([]byte, 0, 32)
	buf = append(buf, ids.prefix...)
	buf = strconv.AppendUint(buf, ids.last.Add(1), 36)
	return string(buf)
}

func isRequestID(s string) bool {
	if len(s) < 1 || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isAlphanumeric(c) && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
