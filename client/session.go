package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"nhooyr.io/websocket"
)

//lint:file-ignore SA1019 the library is frozen, and we stay with it: see docs/adr/0007-nhooyr-websocket.md

// closeTimeout bounds the wait for the broker's answer to our Close frame.
const closeTimeout = time.Second

// A session is one connection. Two goroutines serve it. The client's own goroutine reads,
// and waits if the application is slow. Another one writes.
type session struct {
	client *Client
	socket *websocket.Conn
	watch  *watch

	// The deadline of the broker's welcome.
	greeting *time.Timer

	ctx    context.Context // of reading; its end cuts the connection
	cancel context.CancelCauseFunc

	// Owned by the reader.
	buffer  []byte
	welcome bool           // it has been received
	began   time.Time      // when it was
	after   *time.Duration // from the message closing
	writing sync.WaitGroup // the goroutine that writes
	renewal renewal        // of the token
}

// dial connects; the welcome is left to serve.
func (c *Client) dial(address, token string) (*session, error) {
	start := time.Now()
	ctx, cancel := context.WithTimeout(c.ctx, c.opts.DialTimeout)
	defer cancel()
	header := c.opts.Header
	if token != "" {
		if header = header.Clone(); header == nil {
			header = make(http.Header)
		}
		header.Set("Authorization", "Bearer "+token)
	}
	socket, response, err := websocket.Dial(ctx, address, &websocket.DialOptions{
		HTTPClient: c.opts.HTTPClient, HTTPHeader: header,
		Subprotocols: []string{subprotocol}, CompressionMode: websocket.CompressionDisabled,
	})
	switch {
	case err != nil && response != nil:
		return nil, &HandshakeError{Status: response.StatusCode, Err: err}
	case err != nil:
		return nil, err
	case socket.Subprotocol() != subprotocol:
		_ = socket.CloseNow() // an error changes nothing
		return nil, &HandshakeError{Status: response.StatusCode, Err: errors.New("the server does not speak the subprotocol")}
	}
	socket.SetReadLimit(-1) // our own limit has an error of its own
	s := &session{client: c, socket: socket}
	s.ctx, s.cancel = context.WithCancelCause(context.WithoutCancel(c.ctx))
	s.watch = newWatch(func() { s.cancel(ErrSilent) })
	s.greeting = time.AfterFunc(time.Until(start.Add(c.opts.DialTimeout)), func() { s.cancel(ErrSilent) })
	return s, nil
}

// serve reads until the connection ends.
func (s *session) serve() ending {
	farewell := make(chan struct{})
	stop := context.AfterFunc(s.client.ctx, func() {
		defer close(farewell)
		s.leave()
	})
	var err error
	for err == nil {
		err = s.read()
	}
	err = s.why(err)
	s.greeting.Stop()
	s.cancel(nil)
	s.renewal.end()
	s.renewal.of.Wait()
	_ = s.socket.CloseNow() // a failed read leaves the socket open
	s.writing.Wait()
	if !stop() {
		<-farewell
	}
	e := ending{err: err, after: s.after}
	if s.welcome {
		e.lasted = time.Since(s.began)
	}
	return e
}

// why returns the reason for the end of reading. The broker's Close frame has priority: it
// may forbid the client to return.
func (s *session) why(err error) error {
	var closed websocket.CloseError
	if errors.As(err, &closed) {
		return &CloseError{Code: int(closed.Code), Reason: closed.Reason}
	}
	if cause := context.Cause(s.ctx); cause != nil {
		return cause
	}
	return err
}

// read reads a message and handles it.
func (s *session) read() error {
	text, err := s.receive()
	if err != nil {
		return err
	}
	f, err := parse(text)
	switch {
	case err != nil:
		return err
	case f.Type == "closing" && f.ReconnectAfterMS != nil:
		after := milliseconds(*f.ReconnectAfterMS)
		s.after = &after
	}
	switch {
	case s.welcome:
		s.take(f)
	case f.Type == "welcome":
		s.start(f)
	case f.Type != "closing": // closing comes first if the broker has no room
		return fmt.Errorf("%w: the first message is of type %q, want welcome", ErrProtocol, f.Type)
	}
	return nil
}

// receive returns the next message, valid until the next call. The watch runs only during
// it: if a slow application keeps messages waiting, the line is not dead.
func (s *session) receive() ([]byte, error) {
	s.watch.heard()
	defer s.watch.stop()
	kind, r, err := s.socket.Reader(s.ctx)
	if err != nil {
		return nil, err
	}
	if kind != websocket.MessageText {
		return nil, fmt.Errorf("%w: a binary message", ErrProtocol)
	}
	text := s.buffer[:0]
	for {
		text = slices.Grow(text, 512)
		n, err := r.Read(text[len(text):cap(text)])
		text = text[:len(text)+n]
		s.watch.heard()
		switch limit := s.client.opts.ReadLimit; {
		case int64(len(text)) > limit:
			return nil, &TooLargeError{Limit: limit}
		case err == io.EOF:
			if s.buffer = nil; cap(text) <= maxKept {
				s.buffer = text
			}
			return text, nil
		case err != nil:
			return nil, err
		}
	}
}

// maxKept is the largest buffer that is kept for the next message.
const maxKept = 64 << 10

// start handles the welcome.
func (s *session) start(f *frame) {
	s.welcome, s.began = true, time.Now()
	s.greeting.Stop()
	c := s.client
	c.credential.accepted()
	s.watch.set(c.opts, milliseconds(f.HeartbeatMS))
	c.mu.Lock()
	messages := c.state.welcome(f)
	c.mu.Unlock()
	for _, m := range messages {
		c.put(m)
	}
	s.writing.Go(s.write)
}

// take handles a message after the welcome. After the client's end messages are dropped.
// Reading continues until the broker answers our Close frame.
func (s *session) take(f *frame) {
	c := s.client
	switch {
	case f.Type == "expiring":
		s.renewToken(milliseconds(f.ExpiresInMS))
	case f.Type == "ack" && f.Ref == authRef:
		s.renewal.end()
	}
	c.mu.Lock()
	m := c.state.take(f)
	at := c.state.at()
	c.mu.Unlock()
	if m == nil {
		c.queue.advance(at)
	} else {
		c.queue.put(m, at)
	}
}

// write sends messages until the connection ends.
func (s *session) write() {
	for s.sendAll() {
		select {
		case <-s.client.wake:
		case <-s.watch.ping:
			if !s.send(pingText) {
				return
			}
		case <-s.ctx.Done():
			return
		}
	}
}

var pingText, _ = operation{Op: "ping"}.text()

// sendAll reports false if the connection has ended.
func (s *session) sendAll() bool {
	c := s.client
	for {
		c.mu.Lock()
		text, refused := c.state.next()
		c.mu.Unlock()
		switch {
		case refused != nil:
			if !c.queue.slip(refused) { // the reader waits with an event that is not queued yet
				return false
			}
		case text == nil:
			return true
		case !s.send(text):
			return false
		}
	}
}

// send reports false if the connection has ended. The reader finds out why: the broker's
// Close frame may still be under way.
func (s *session) send(text []byte) bool {
	ctx, cancel := context.WithTimeout(s.ctx, s.client.opts.PingTimeout)
	defer cancel()
	return s.socket.Write(ctx, websocket.MessageText, text) == nil
}

// leave closes the connection with a Close frame. The reader continues, so that it sees
// the broker's answer.
func (s *session) leave() {
	t := time.AfterFunc(closeTimeout, func() { s.cancel(ErrClosed) })
	defer t.Stop()
	_ = s.socket.Close(websocket.StatusNormalClosure, "") // the connection ends either way
}
