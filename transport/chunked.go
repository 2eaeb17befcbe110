package transport

import (
	"net/http"
	"strconv"

	"belfry/hub"
)

// Streams over HTTP/1.1 are in chunks (RFC 9112 section 7.1), so that a peer can tell a
// broken stream from one that has ended. A frame is one chunk. Couriers need not know.

// lastChunk ends a stream in order.
const lastChunk = "0\r\n\r\n"

// isChunked reports whether the answer to a request has chunks.
func isChunked(r *http.Request) bool { return r.ProtoMajor == 1 && r.ProtoMinor > 0 }

// appendChunk appends a text as a chunk. An empty text is not a chunk: that would be the
// last one.
func appendChunk(dst, text []byte) []byte {
	if len(text) == 0 {
		return dst
	}
	dst = strconv.AppendInt(dst, int64(len(text)), 16)
	dst = append(dst, "\r\n"...)
	dst = append(dst, text...)
	return append(dst, "\r\n"...)
}

// A streamEncoding is a form of server-sent events, and the same in chunks.
type streamEncoding struct{ plain, chunked hub.Encoding }

// registerStream adds a form of server-sent events.
func registerStream(e hub.Encoder) streamEncoding {
	chunks := func(ev *hub.Event, at hub.Cursor) []byte { return appendChunk(nil, e(ev, at)) }
	return streamEncoding{plain: addForm(e), chunked: addForm(chunks)}
}

// chunked is a protocol of server-sent events in chunks.
type chunked struct{ eventStream }

func (p chunked) conn() hub.Conn {
	c := p.eventStream.conn()
	c.Encoding, c.Replay = p.encoding().chunked, p.encoding().chunked
	return c
}

func (p chunked) note(c *conn, n hub.Note) []byte { return appendChunk(nil, p.eventStream.note(c, n)) }

func (p chunked) heartbeat(at hub.Cursor) []byte {
	return appendChunk(nil, p.eventStream.heartbeat(at))
}

func (p chunked) farewell(c *conn, f farewell) []byte {
	return append(appendChunk(nil, p.eventStream.farewell(c, f)), lastChunk...)
}
