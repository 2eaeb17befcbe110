package transport

import (
	"bufio"
	"bytes"
	"errors"
	"net"
	"net/http"
	"strings"

	"nhooyr.io/websocket"
)

//lint:file-ignore SA1019 the library is frozen, and we stay with it: see docs/adr/0007-nhooyr-websocket.md

// A HandshakeError is a WebSocket handshake that is refused by HTTP.
type HandshakeError struct {
	status int
	header http.Header
	text   string
}

func (e *HandshakeError) Error() string { return e.text }

// Status is the HTTP status to answer with.
func (e *HandshakeError) Status() int { return e.status }

// Header holds what the answer must say beside its status, such as Upgrade
// (RFC 9110 section 15.5.22) or Sec-WebSocket-Version (RFC 6455 section 4.4).
func (e *HandshakeError) Header() http.Header { return e.header }

// offersV1 reports whether a request offers the subprotocol belfry.v1.
func offersV1(r *http.Request) bool {
	for _, line := range r.Header["Sec-Websocket-Protocol"] {
		for name := range strings.SplitSeq(line, ",") {
			if strings.TrimSpace(name) == v1Name {
				return true
			}
		}
	}
	return false
}

// negotiate checks a client's opening handshake (RFC 6455 section 4.2) and
// returns the answer that accepts it, as it goes over the wire, and the
// subprotocol that was agreed on, or a [*HandshakeError].
func negotiate(r *http.Request) (answer []byte, subprotocol string, err error) {
	if r.ProtoMajor >= 2 {
		// Status 426 would say so, but must name what to upgrade to, which
		// HTTP/2 has no way to (RFC 9113 section 8.2.2).
		return nil, "", &HandshakeError{status: http.StatusBadRequest, text: "a WebSocket is opened over HTTP/1.1"}
	}
	w := &negotiator{header: make(http.Header)}
	_, err = websocket.Accept(w, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true, // origins are checked before, together with those of other requests
		CompressionMode:    websocket.CompressionDisabled,
		Subprotocols:       []string{v1Name, cloudEventsName},
	})
	if w.accepted == nil {
		for _, name := range []string{"Content-Type", "X-Content-Type-Options"} {
			w.header.Del(name) // they describe a body that is not used
		}
		return nil, "", &HandshakeError{status: w.status, header: w.header, text: err.Error()}
	}
	return w.accepted, w.header.Get("Sec-WebSocket-Protocol"), nil
}

var errNegotiated = errors.New("the handshake is negotiated; the connection is ours")

// A negotiator lets the library decide about a handshake and keeps the
// answer. It does not give it the connection: with the answer known, the
// library has done its part, and builds nothing that would have to be undone.
type negotiator struct {
	header   http.Header
	status   int
	accepted []byte
}

func (w *negotiator) Header() http.Header { return w.header }

func (w *negotiator) Write(p []byte) (int, error) { return len(p), nil }

func (w *negotiator) WriteHeader(status int) {
	if w.status != 0 {
		return
	}
	w.status = status
	if status == http.StatusSwitchingProtocols {
		var b bytes.Buffer
		b.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
		_ = w.header.Write(&b) // a Buffer does not fail
		b.WriteString("\r\n")
		w.accepted = b.Bytes()
	}
}

func (w *negotiator) Hijack() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, errNegotiated }
