package checker_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"

	"belfry/hub"
	"belfry/tests/harness"
)

// How the checker's subscribers are connected. Nothing here may end a test:
// it runs in goroutines of its own.

// What a subscriber can be told.
type heardKind uint8

const (
	hEvent   heardKind = iota // an event
	hReplay                   // an event of a replay
	hWelcome                  // where the connection begins
	hCursor                   // how far it is: a heartbeat, or a closing
	hAck
	hLive
	hGap
	hPong
)

// A heard is what a subscriber was told.
type heard struct {
	kind   heardKind
	key    int32        // of an event
	at     hub.Cursor   // its cursor, if it has one
	high   hub.Position // what was known to be published then
	detail *heardDetail // of all that is rare
}

type heardDetail struct {
	ref      int
	topics   []string
	from, to hub.Cursor // of a gap
	reason   string     // of a gap
}

// A goodbye is the end of a connection by the broker.
type goodbye struct {
	code   int
	reason string
}

func (g *goodbye) Error() string { return fmt.Sprintf("closed with %d %s", g.code, g.reason) }

// A line is a connection to the broker.
type line interface {
	Next() (heard, error) // fails with a *goodbye at the end
	say(bytes string)     // a peer that is gone does not matter
	end(abort bool)       // at once; abort: by a reset
}

// A target is what a subscriber asks for.
type target struct {
	path   string
	header string // lines of HTTP, with line ends
	small  bool   // with a small receive buffer
	early  string // what leaves with it
}

// dial opens a TCP connection to the broker.
func (w *checkWorld) dial(small bool) (net.Conn, error) {
	var d net.Dialer
	if small {
		d = harness.SmallBuffer
	}
	d.Timeout = harness.Patience
	return d.Dial("tcp", w.b.Addr)
}

// request sends the head of a request over a new connection and reads that of
// the answer.
func (w *checkWorld) request(to target, head string) (*tcpLine, *http.Response, error) {
	conn, err := w.dial(to.small)
	if err != nil {
		return nil, nil, err
	}
	conn = w.b.Secured(conn)
	l := &tcpLine{w: w, conn: conn, in: bufio.NewReader(conn)}
	l.say(head)
	l.conn.SetReadDeadline(time.Now().Add(harness.Patience)) //nolint:errcheck // reading fails then
	res, err := http.ReadResponse(l.in, nil)
	if err != nil {
		conn.Close()
		return nil, nil, fmt.Errorf("no answer: %w", err)
	}
	return l, res, nil
}

// A tcpLine has a socket of its own.
type tcpLine struct {
	w    *checkWorld
	conn net.Conn
	in   *bufio.Reader
}

func (l *tcpLine) say(bytes string) { io.WriteString(l.conn, bytes) } //nolint:errcheck // see line

func (l *tcpLine) end(abort bool) { hangUpConn(l.conn, abort) }

// hangUpConn closes a connection, by a reset if asked to. See wire.reset for
// the lock.
func hangUpConn(conn net.Conn, abort bool) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if abort {
		tcp := harness.TcpOf(conn)
		tcp.SetLinger(0) //nolint:errcheck // of an open socket
		conn = tcp       // TLS has an end of its own
	}
	conn.Close()
}

// A wsLine speaks WebSocket.
type wsLine struct {
	*tcpLine
	parse func(text string) (heard, error)
}

func (w *checkWorld) webSocket(to target, parse func(string) (heard, error)) (line, error) {
	head := strings.TrimSuffix(harness.Opening(to.path), "\r\n") + to.header + "\r\n" + to.early
	l, res, err := w.request(to, head)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		body, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10))
		l.end(true)
		return nil, fmt.Errorf("%s is answered %s %s", to.path, res.Status, body)
	}
	return &wsLine{l, parse}, nil
}

func (l *wsLine) Next() (heard, error) {
	for {
		if err := l.conn.SetReadDeadline(time.Now().Add(harness.Patience)); err != nil {
			return heard{}, err
		}
		op, body, err := harness.ReadFrame(l.in)
		switch {
		case err != nil:
			return heard{}, err
		case op == harness.Ping:
			l.say(harness.Masked(harness.Final|harness.Pong, body))
		case op == harness.Closing && len(body) < 2:
			return heard{}, &goodbye{code: 1005}
		case op == harness.Closing:
			return heard{}, &goodbye{int(body[0])<<8 | int(body[1]), body[2:]}
		case op == harness.Pong:
			return heard{kind: hPong}, nil
		case op == harness.Text:
			return l.parse(body)
		default:
			return heard{}, fmt.Errorf("a frame %#x has come: %q", op, body)
		}
	}
}

// parseBare reads a message of the protocol without a name.
func parseBare(message string) (heard, error) {
	key, _, err := readPost(message)
	return heard{kind: hEvent, key: key}, err
}

// An h2Line is a stream of HTTP/2.
type h2Line struct {
	sseReader
	transport *http.Transport
	body      io.ReadCloser
	cancel    context.CancelFunc
	limit     *time.Timer

	mu   sync.Mutex
	conn net.Conn
}

func (w *checkWorld) stream2(to target) (line, error) {
	l := &h2Line{transport: w.b.HTTP2Transport()}
	l.transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
		conn, err := w.dial(to.small)
		if err != nil {
			return nil, err
		}
		l.mu.Lock()
		l.conn = conn
		l.mu.Unlock()
		return conn, nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel, l.limit = cancel, time.AfterFunc(harness.Patience, cancel)
	req, err := http.NewRequestWithContext(ctx, "GET", w.b.URL("http", to.path), nil)
	if err != nil {
		return nil, err
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(to.header, "\r\n"), "\r\n") {
		if name, value, ok := strings.Cut(line, ": "); ok {
			req.Header.Set(name, value)
		}
	}
	res, err := l.transport.RoundTrip(req)
	l.limit.Stop()
	if err == nil && res.ProtoMajor != 2 {
		err = fmt.Errorf("the answer is %s", res.Proto)
	}
	if err != nil {
		l.end(true)
		return nil, err
	}
	l.body = res.Body
	if err := refusedStream(res); err != nil {
		l.end(true)
		return nil, err
	}
	l.sseReader = sseReader{in: bufio.NewReader(res.Body)}
	return l, nil
}

func (l *h2Line) Next() (heard, error) {
	// Only a read is bounded: its subscriber may pause for longer.
	l.limit.Reset(harness.Patience)
	defer l.limit.Stop()
	return l.read()
}

// say says nothing: a stream has nothing to listen with.
func (l *h2Line) say(string) {}

// end gives up the stream, or breaks its connection.
func (l *h2Line) end(abort bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if abort && l.conn != nil {
		hangUpConn(l.conn, true)
	}
	l.limit.Stop()
	l.cancel()
	if l.body != nil {
		l.body.Close()
	}
	l.transport.CloseIdleConnections()
	if l.conn != nil {
		l.conn.Close()
	}
}

// An sseLine is a stream over a socket of its own.
type sseLine struct {
	*tcpLine
	sseReader
}

func (w *checkWorld) stream(to target) (line, error) {
	l, res, err := w.request(to, "GET "+to.path+" HTTP/1.1\r\nHost: localhost\r\n"+to.header+"\r\n")
	if err == nil {
		if err = refusedStream(res); err == nil {
			return &sseLine{l, sseReader{in: bufio.NewReader(res.Body)}}, nil
		}
		l.end(true)
	}
	return nil, err
}

// refusedStream reports what an answer is if it is not a stream.
func refusedStream(res *http.Response) error {
	switch {
	case res.StatusCode == http.StatusNoContent:
		return &goodbye{res.StatusCode, "no content"}
	case res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != harness.EventStream:
		return fmt.Errorf("a stream is answered %s %v", res.Status, res.Header)
	}
	return nil
}

func (l *sseLine) Next() (heard, error) {
	if err := l.conn.SetReadDeadline(time.Now().Add(harness.Patience)); err != nil {
		return heard{}, err
	}
	return l.read()
}

var errHeard = errors.New("that must not be told")
