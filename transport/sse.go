package transport

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"belfry/hub"
)

// Server-sent events (HTML standard, section 9.2).

// The forms of events: of sse only the message, of sseWhole all that clients may know.
var (
	sseMessage = registerStream(func(ev *hub.Event, at hub.Cursor) []byte {
		return appendServerSentEvent(nil, ev.Message, at)
	})
	sseEvent = registerStream(func(ev *hub.Event, at hub.Cursor) []byte {
		return appendServerSentEvent(nil, v1Event(ev, at, false), at)
	})
)

// An eventStream is a protocol of server-sent events.
type eventStream interface {
	protocol
	encoding() streamEncoding
}

// sse is the protocol of server-sent events. What the peer sends is discarded.
type sse struct{}

func (sse) name() string { return "sse" }

func (sse) encoding() streamEncoding { return sseMessage }

func (p sse) conn() hub.Conn { return streamConn(p) }

// streamConn is how the hub sees the connection of a stream.
func streamConn(p eventStream) hub.Conn {
	plain := p.encoding().plain
	return hub.Conn{Encoding: plain, Replay: plain, Notes: true}
}

func (sse) note(_ *conn, n hub.Note) []byte {
	switch n := n.(type) {
	case hub.Welcome:
		// It has data because some libraries in wide use keep ids only of events with
		// data. If their connection broke before the first one, they would come back
		// without a cursor.
		return append(appendID(append(welcomeEvent(n), "}\n"...), n.Cursor), '\n')
	case hub.Gap:
		return append(AppendGap([]byte("event: gap\ndata: {"), n), "}\n\n"...)
	}
	return nil // streams do not ask for anything, so there are no answers
}

// welcomeEvent is the beginning of a welcome, with its data but for the end.
func welcomeEvent(w hub.Welcome) []byte {
	return AppendCursor(appendStrings([]byte("event: welcome\ndata: {\"topics\":"), w.Topics), w.Cursor)
}

// heartbeat is an event without data. In a browser no listener hears it, but the browser
// keeps its id. Other readers tell it by its name.
func (sse) heartbeat(at hub.Cursor) []byte {
	return append(appendID([]byte("event: heartbeat\n"), at), '\n')
}

func (sse) ping() []byte { return nil }

func (sse) farewell(c *conn, f farewell) []byte {
	text := append([]byte("event: closing\ndata: {\"reason\":\""), f.why.String()...)
	text = append(text, '"')
	if f.comesBack() {
		text = append(text, `,"reconnect_after_ms":`...)
		text = strconv.AppendInt(text, c.reconnectAfter().Milliseconds(), 10)
	}
	return append(text, "}\n\n"...)
}

func (sse) message(*conn, message) {}

// sseWhole is the same with all that clients may know of an event, and the time between
// heartbeats, for programs that are more than an EventSource.
type sseWhole struct{ sse }

func (sseWhole) encoding() streamEncoding { return sseEvent }

func (p sseWhole) conn() hub.Conn { return streamConn(p) }

func (p sseWhole) note(c *conn, n hub.Note) []byte {
	w, ok := n.(hub.Welcome)
	if !ok {
		return p.sse.note(c, n)
	}
	text := fmt.Appendf(welcomeEvent(w), ",\"heartbeat_ms\":%d}\n", c.server.opts.Heartbeat.Milliseconds())
	return append(appendID(text, w.Cursor), '\n')
}

// streamProtocol returns the protocol that a URL asks for, in chunks if its HTTP has them.
func streamProtocol(r *http.Request) protocol {
	p := eventStream(sse{})
	if r.URL.Query().Get("envelope") != "" {
		p = sseWhole{}
	}
	if isChunked(r) {
		p = chunked{p}
	}
	return p
}

// Stream answers a request for server-sent events and gives the connection to the hub. It
// fails, before anything is answered, with invalid, what the caller has found wrong with
// the request, or with the errors of [hub.Hub.Admit] and [hub.Hub.AdmitNew]. For an
// EventSource it does not fail, but answers in the ways that an EventSource understands.
func (s *Server) Stream(w http.ResponseWriter, r *http.Request, want hub.Want, invalid error) error {
	err := invalid
	if err == nil {
		err = s.admit(want)
	}
	source := strings.Contains(r.Header.Get("Accept"), "text/event-stream")
	if err != nil && !source {
		return err
	}
	c := &conn{server: s, speaks: streamProtocol(r), deaf: true, discards: true}
	s.assign(c, want)
	header := w.Header()
	header.Set("Cache-Control", "no-store, no-transform")
	if err != nil && !transient(err) {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	header.Set("Content-Type", "text/event-stream; charset=utf-8") // some readers know only this spelling
	header.Set("X-Accel-Buffering", "no")                          // nginx would gather events otherwise
	retry := fmt.Appendf(nil, "retry: %d\n", c.reconnectAfter().Milliseconds())
	switch {
	case err != nil:
		_, _ = w.Write(append(retry, '\n')) // fails only if the peer is gone
		return nil
	case r.Method == http.MethodHead:
		return nil
	}
	return s.stream(w, r, c, want, retry)
}

// transient reports whether the same request may be served later.
func transient(err error) bool {
	return errors.Is(err, hub.ErrTooManyClients) || errors.Is(err, hub.ErrTooManyUserClients) ||
		errors.Is(err, hub.ErrTooManyConnections) || errors.Is(err, hub.ErrOverCapacity) ||
		errors.Is(err, hub.ErrDraining) || errors.Is(err, hub.ErrClosed)
}

// stream gives a connection to the hub, with its socket if that can be taken over.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, c *conn, want hub.Want, retry []byte) error {
	if r.ProtoMajor >= 2 {
		st := newHTTPStream(w, s.opts.StallTimeout, tailOf(r.Context()))
		c.sock, c.sink = st, http2Sink{st}
		c.opening = &opening{answer: retry, refuse: func(c *conn, f farewell) []byte {
			if f.comesBack() {
				return retry
			}
			return nil // and so the answer is 204
		}}
		s.attach(c, want)
		st.serve(r.Context(), c)
		return nil
	}
	header := w.Header().Clone()
	header.Set("Connection", "close") // the end of the stream is that of the connection
	body, end := retry, ""
	if isChunked(r) {
		header.Set("Transfer-Encoding", "chunked")
		body, end = appendChunk(nil, retry), lastChunk
	}
	answer := append(responseHead(http.StatusOK, header), body...)
	c.opening = &opening{answer: answer, refuse: func(c *conn, f farewell) []byte {
		if f.comesBack() {
			return append(answer, end...)
		}
		header.Del("Content-Type")
		header.Del("Transfer-Encoding")
		return responseHead(http.StatusNoContent, header)
	}}
	ok, err := s.takeSocket(w, c)
	if ok {
		s.attach(c, want)
	}
	return err
}

// responseHead returns the beginning of a response, up to its body.
func responseHead(status int, header http.Header) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\nDate: %s\r\n", status, http.StatusText(status), time.Now().UTC().Format(http.TimeFormat))
	_ = header.Write(&b) // a Buffer does not fail
	b.WriteString("\r\n")
	return b.Bytes()
}

// appendServerSentEvent appends a message as one event (HTML standard, section
// 9.2.6). Each of its lines is a field of its own, so that a line can't forge one. The id
// is the last field: some readers keep it as soon as it comes, and would skip an event that
// they have only a part of.
func appendServerSentEvent(dst []byte, message []byte, at hub.Cursor) []byte {
	for {
		end := bytes.IndexAny(message, "\r\n")
		dst = append(dst, "data: "...)
		if end < 0 {
			dst = append(append(dst, message...), '\n')
			return append(appendID(dst, at), '\n')
		}
		dst = append(dst, message[:end]...)
		dst = append(dst, '\n')
		if message[end] == '\r' && end+1 < len(message) && message[end+1] == '\n' {
			end++
		}
		message = message[end+1:]
	}
}

// appendID appends the field that moves an EventSource's resume point.
func appendID(dst []byte, at hub.Cursor) []byte {
	dst = append(dst, "id: "...)
	dst = at.AppendTo(dst)
	return append(dst, '\n')
}
