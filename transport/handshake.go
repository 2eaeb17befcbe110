package transport

import (
	"bufio"
	"bytes"
	"errors"
	"net"
	"net/http"

	"nhooyr.io/websocket"
)

//lint:file-ignore SA1019 the library is frozen, and we stay with it: see docs/adr/0007-nhooyr-websocket.md

// A HandshakeError is why a WebSocket handshake is refused, as an HTTP response.
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

// negotiate checks a client's opening handshake (RFC 6455 section 4.2) and
// returns the answer that accepts it with a subprotocol, as it goes over the wire,
// or a [*HandshakeError].
func negotiate(r *http.Request, subprotocol string) (answer []byte, err error) {
	if r.ProtoMajor >= 2 {
		// Status 426 would say so, but it must name what to upgrade to. HTTP/2 has no
		// field for that (RFC 9113 section 8.2.2).
		return nil, &HandshakeError{status: http.StatusBadRequest, text: "a WebSocket is opened over HTTP/1.1"}
	}
	w := &negotiator{header: make(http.Header), subprotocol: subprotocol}
	_, err = websocket.Accept(w, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true, // the caller has checked the origin, as for other requests
		CompressionMode:    websocket.CompressionDisabled,
	})
	if w.accepted == nil {
		for _, name := range []string{"Content-Type", "X-Content-Type-Options"} {
			w.header.Del(name) // they describe a body that is not used
		}
		if w.header.Get("Sec-WebSocket-Version") != "" { // of another version (RFC 6455 section 4.4)
			w.status = http.StatusUpgradeRequired
			w.header.Set("Connection", "Upgrade")
			w.header.Set("Upgrade", "websocket")
		}
		return nil, &HandshakeError{status: w.status, header: w.header, text: err.Error()}
	}
	return w.accepted, nil
}

var errNegotiated = errors.New("the handshake is negotiated; the connection is ours")

// A negotiator lets the library decide about a handshake and keeps the answer. It does not
// give the library the connection. So the library builds nothing that would have to be
// undone.
type negotiator struct {
	header      http.Header
	subprotocol string // the library would compare names without regard to case
	status      int
	accepted    []byte
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
		b.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
		// Spelled as in RFC 6455: some readers accept only that.
		b.WriteString("Sec-WebSocket-Accept: " + w.header.Get("Sec-WebSocket-Accept") + "\r\n")
		if w.subprotocol != "" {
			b.WriteString("Sec-WebSocket-Protocol: " + w.subprotocol + "\r\n")
		}
		b.WriteString("\r\n")
		w.accepted = b.Bytes()
	}
}

func (w *negotiator) Hijack() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, errNegotiated }
