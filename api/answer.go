package api

import (
	"strconv"

	"github.com/go-json-experiment/json"
)

// Values of headers, shared by all responses: net/http does not change them.
var (
	nosniff         = []string{"nosniff"}
	noReferrer      = []string{"no-referrer"} // URLs hold client ids
	bareContent     = []string{"default-src 'none'; frame-ancestors 'none'"}
	varyOrigin      = []string{"Origin"}
	noStore         = []string{"no-store"}
	contentText     = []string{"text/plain; charset=utf-8"}
	contentJSON     = []string{"application/json"}
	contentProblem  = []string{"application/problem+json"}
	bearer          = []string{"Bearer"} // RFC 6750 section 3
	identityCoding  = []string{"identity"}
	acceptableTypes = contentJSON
)

// A text is a response that is not JSON.
type text string

// lengthKnown is the largest response, in bytes, whose length net/http finds by itself. It
// would send a longer one in chunks.
const lengthKnown = 2048

// An appender is a response that writes its own JSON. These are so frequent that
// reflection would cost too much.
type appender interface {
	appendJSON(dst []byte) []byte
}

// answer writes a response with status 200.
func (x *exchange) answer(value any) error {
	switch v := value.(type) {
	case nil:
		return nil
	case text:
		x.Header()["Content-Type"] = contentText
		x.out.WriteString(string(v))
	case appender:
		x.Header()["Content-Type"] = contentJSON
		x.out.Write(append(v.appendJSON(x.out.AvailableBuffer()), '\n'))
	default:
		x.Header()["Content-Type"] = contentJSON
		if err := x.encode(v); err != nil {
			return err
		}
	}
	if n := x.out.Len(); n > lengthKnown {
		x.Header()["Content-Length"] = []string{strconv.Itoa(n)}
	}
	_, _ = x.Write(x.out.Bytes()) // an error means that the peer has gone
	return nil
}

// encode appends v to the response's body as JSON. The line feed at the end is for
// terminals.
func (x *exchange) encode(v any) error {
	if err := json.MarshalWrite(&x.out, v); err != nil {
		return err
	}
	return x.out.WriteByte('\n')
}
