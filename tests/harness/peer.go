package harness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"nhooyr.io/websocket"
)

//lint:file-ignore SA1019 the library is frozen, and we stay with it: see docs/adr/0007-nhooyr-websocket.md

// A Peer is a client that behaves well, with a WebSocket implementation that
// is not the broker's. It reads all the time.
type Peer struct {
	conn     *websocket.Conn
	messages chan string // what it has read; closed at the end
	err      error       // why that ended; set before
}

// Connect opens a connection to a registered URL.
func (b *Broker) Connect(t *testing.T, r Registration) *Peer {
	t.Helper()
	p, _, err := b.Dial(r.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Leave)
	return p
}

// Refused checks that a registered URL is refused with that status and code.
func (b *Broker) Refused(t *testing.T, r Registration, status int, code string) {
	t.Helper()
	p, got, err := b.Dial(r.URL)
	if err == nil {
		p.Leave()
		t.Fatalf("the broker has accepted a connection, want %d %s", status, code)
	}
	if got.Status == 0 {
		t.Fatal(err)
	}
	got.Problem(t, status, code)
}

func (b *Broker) Dial(url string) (*Peer, Answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	conn, res, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPClient: &b.HTTP})
	if err != nil {
		if res == nil {
			return nil, Answer{}, err
		}
		body, _ := io.ReadAll(res.Body) // the library gives the beginning of it
		return nil, Answer{res.StatusCode, res.Header, string(body)}, err
	}
	conn.SetReadLimit(-1)
	p := &Peer{conn: conn, messages: make(chan string, 1<<16)}
	go p.read()
	return p, Answer{}, nil
}

func (p *Peer) read() {
	defer close(p.messages)
	for {
		kind, message, err := p.conn.Read(context.Background())
		if err == nil && kind != websocket.MessageText {
			err = fmt.Errorf("a message of type %v has come: %q", kind, message)
		}
		if err != nil {
			p.err = err
			return
		}
		p.messages <- string(message)
	}
}

// Leave hangs up without a farewell.
func (p *Peer) Leave() {
	p.conn.CloseNow()
	for range p.messages {
	}
}

// Next returns the next message.
func (p *Peer) Next(t *testing.T) string {
	t.Helper()
	select {
	case message, ok := <-p.messages:
		if !ok {
			t.Fatalf("the connection has ended: %v", p.err)
		}
		return message
	case <-time.After(Patience):
		t.Fatal("no message has come")
	}
	return ""
}

// Expect checks the next messages.
func (p *Peer) Expect(t *testing.T, want ...string) {
	t.Helper()
	for _, w := range want {
		if got := p.Next(t); got != w {
			t.Fatalf("got %.100q, want %.100q", got, w)
		}
	}
}

// Silent checks that the broker has written no further message. The connection
// keeps what is written in order, so that a pong comes after what was due
// before it.
func (p *Peer) Silent(t *testing.T) {
	t.Helper()
	p.Sync(t)
	select {
	case message, ok := <-p.messages:
		t.Fatalf("got %q (%t), want nothing", message, ok)
	default:
	}
}

// Sync waits until the broker has acted on everything sent before, and this
// side has read everything that the broker wrote before that.
func (p *Peer) Sync(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	if err := p.conn.Ping(ctx); err != nil {
		t.Fatal(err)
	}
}

// Send sends texts, and returns when the broker has acted on them.
func (p *Peer) Send(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if err := p.conn.Write(context.Background(), websocket.MessageText, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	p.Sync(t)
}

// Closed checks that only a Close frame follows.
func (p *Peer) Closed(t *testing.T, code int, reason string) {
	t.Helper()
	select {
	case message, ok := <-p.messages:
		if ok {
			t.Fatalf("got %q, want the end with %d %s", message, code, reason)
		}
	case <-time.After(Patience):
		t.Fatalf("no end has come, want %d %s", code, reason)
	}
	var got websocket.CloseError
	if !errors.As(p.err, &got) || int(got.Code) != code || got.Reason != reason {
		t.Errorf("the connection has ended with %v, want %d %s", p.err, code, reason)
	}
}
