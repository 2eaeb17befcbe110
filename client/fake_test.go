package client_test

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"nhooyr.io/websocket"

	"belfry/client"
)

//lint:file-ignore SA1019 the library is frozen, and we stay with it: see docs/adr/0007-nhooyr-websocket.md

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A stage is a broker without a will of its own, on a network without a wire,
// in a bubble in which time passes only when nothing else happens.
type stage struct {
	t        *testing.T
	conns    chan net.Conn // dialed
	arrivals chan *peer    // of handshakes
	server   http.Server
	http     *http.Client

	mu     sync.Mutex
	refuse http.HandlerFunc // answers handshakes instead, if set
	down   bool             // dialing fails
	dials  int
}

// bubble runs a test with a stage, in parallel with others.
func bubble(t *testing.T, test func(*testing.T, *stage)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { test(t, newStage(t)) })
}

func newStage(t *testing.T) *stage {
	s := &stage{t: t, conns: make(chan net.Conn), arrivals: make(chan *peer, 16)}
	s.http = &http.Client{Transport: &http.Transport{DialContext: s.dial}}
	s.server.Handler = s
	go func() { _ = s.server.Serve(s) }() // until Close
	t.Cleanup(func() {
		s.http.CloseIdleConnections()
		_ = s.server.Close()
	})
	return s
}

var errDown = errors.New("nobody is at home")

func (s *stage) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	s.mu.Lock()
	down := s.down
	s.dials++
	s.mu.Unlock()
	if down {
		return nil, errDown
	}
	ours, theirs := net.Pipe()
	select {
	case s.conns <- theirs:
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *stage) setDown(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

func (s *stage) setRefuse(h http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = h
}

// Accept, Close and Addr make the stage a net.Listener.
func (s *stage) Accept() (net.Conn, error) {
	c, ok := <-s.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (s *stage) Close() error   { close(s.conns); return nil }
func (s *stage) Addr() net.Addr { return &net.TCPAddr{} }

// ServeHTTP makes a peer of a handshake.
func (s *stage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	refuse := s.refuse
	s.mu.Unlock()
	if refuse != nil {
		refuse(w, r)
		return
	}
	p := &peer{t: s.t, url: r.URL, header: r.Header, operations: make(chan string, 1024), ended: make(chan error, 1)}
	conn, err := websocket.Accept(&keeper{w, p}, r, &websocket.AcceptOptions{Subprotocols: []string{"belfry.v1"}})
	if err != nil {
		s.t.Errorf("handshake: %v", err)
		return
	}
	p.socket = conn
	s.arrivals <- p
	p.ended <- p.read()
	_ = conn.CloseNow() // it has ended
}

// A keeper keeps the connection that the library takes over.
type keeper struct {
	http.ResponseWriter
	peer *peer
}

func (k *keeper) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := k.ResponseWriter.(http.Hijacker).Hijack()
	k.peer.raw = conn
	return conn, rw, err
}

// A peer is the broker's end of a connection.
type peer struct {
	t          *testing.T
	url        *url.URL
	header     http.Header
	socket     *websocket.Conn
	raw        net.Conn
	operations chan string
	ended      chan error // how the client went
}

func (p *peer) read() error {
	for {
		_, text, err := p.socket.Read(context.Background())
		if err != nil {
			return err
		}
		p.operations <- string(text)
	}
}

// next waits for the client's next connection.
func (s *stage) next() *peer {
	s.t.Helper()
	select {
	case p := <-s.arrivals:
		return p
	case <-time.After(patience):
		s.t.Fatal("the client does not connect")
		return nil
	}
}

// patience is time in a bubble, longer than any wait in these tests.
const patience = 2 * time.Hour

// say sends messages.
func (p *peer) say(messages ...string) {
	p.t.Helper()
	for _, m := range messages {
		if err := p.socket.Write(context.Background(), websocket.MessageText, []byte(m)); err != nil {
			p.t.Fatalf("say %s: %v", m, err)
		}
	}
}

// try sends a message after which the client may hang up.
func (p *peer) try(message string) {
	_ = p.socket.Write(context.Background(), websocket.MessageText, []byte(message)) // in vain, then
}

// welcome greets an unregistered client.
func (p *peer) welcome(cursor string, topics ...string) {
	p.t.Helper()
	p.say(fmt.Sprintf(`{"type":"welcome","handle":"00ff","topics":%s,"cursor":%q,"heartbeat_ms":15000,"limits":{"max_message":65536,"max_subscriptions":128,"max_last":1000}}`, list(topics), cursor))
}

// welcomeUser greets a registered client.
func (p *peer) welcomeUser(cursor string, topics ...string) {
	p.t.Helper()
	p.say(fmt.Sprintf(`{"type":"welcome","handle":"00ff","user_id":"1","topics":%s,"cursor":%q,"heartbeat_ms":15000,"limits":{"max_message":65536}}`, list(topics), cursor))
}

func list(topics []string) string {
	quoted := make([]string, len(topics))
	for i, topic := range topics {
		quoted[i] = fmt.Sprintf("%q", topic)
	}
	return "[" + strings.Join(quoted, ",") + "]"
}

// accept answers a handshake's key (RFC 6455 section 4.2.2).
func accept(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// event is a message with a cursor, the id of which is that too.
func event(topic, cursor string) string {
	return fmt.Sprintf(`{"type":"event","topic":%q,"id":%q,"time":"2026-11-21T03:09:16.25Z","data":%q,"cursor":%q}`, topic, cursor, topic, cursor)
}

// replayed is the same event in a replay.
func replayed(topic, cursor string) string {
	return fmt.Sprintf(`{"type":"event","topic":%q,"id":%q,"time":"2026-11-21T03:09:16.25Z","data":%q,"replay":true}`, topic, cursor, topic)
}

// answer is an ack or a live.
func answer(kind string, ref int, cursor string) string {
	return fmt.Sprintf(`{"type":%q,"ref":%d,"cursor":%q}`, kind, ref, cursor)
}

// expect waits for the client's next messages.
func (p *peer) expect(operations ...string) {
	p.t.Helper()
	for _, want := range operations {
		select {
		case got := <-p.operations:
			if got != want {
				p.t.Fatalf("the client sends\n%s, want\n%s", got, want)
			}
		case <-time.After(patience):
			p.t.Fatalf("the client does not send %s", want)
		}
	}
}

// silent checks that the client has sent nothing more.
func (p *peer) silent() {
	p.t.Helper()
	synctest.Wait()
	select {
	case got := <-p.operations:
		p.t.Errorf("the client sends %s", got)
	default:
	}
}

// cut ends the connection without a Close frame.
func (p *peer) cut() { _ = p.raw.Close() }

// close ends the connection with a Close frame.
func (p *peer) close(code int, reason string) {
	_ = p.socket.Close(websocket.StatusCode(code), reason) // it ends in any case
}

// begins checks where the client wants to begin.
func (p *peer) begins(query string) {
	p.t.Helper()
	if p.url.RawQuery != query {
		p.t.Fatalf("the client connects with %q, want %q", p.url.RawQuery, query)
	}
}

// A reader is an application.
type reader struct {
	*client.Client
	t *testing.T
}

// open makes a client with the stage's network.
func (s *stage) open(address string, o client.Options) *reader {
	return s.openFunc(func(context.Context) (string, error) { return address, nil }, o)
}

func (s *stage) openStatic(address string, o client.Options) *reader {
	o.HTTPClient = s.http
	c := client.New(address, &o)
	s.t.Cleanup(c.Close)
	return &reader{c, s.t}
}

func (s *stage) openFunc(f func(context.Context) (string, error), o client.Options) *reader {
	o.HTTPClient = s.http
	c := client.NewFunc(f, &o)
	s.t.Cleanup(c.Close)
	return &reader{c, s.t}
}

func (r *reader) next() (client.Message, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return r.Next(ctx)
}

// expect waits for the next messages, in short form.
func (r *reader) expect(want ...string) {
	r.t.Helper()
	for _, want := range want {
		m, err := r.next()
		if err != nil {
			r.t.Fatalf("%v, want %s", err, want)
		}
		if got := short(m); got != want {
			r.t.Fatalf("got %s, want %s", got, want)
		}
	}
}

// ends waits for the client's end.
func (r *reader) ends() error {
	r.t.Helper()
	m, err := r.next()
	if err == nil {
		r.t.Fatalf("got %s, want the end", short(m))
	}
	return err
}

// at checks the resume point.
func (r *reader) at(want string) {
	r.t.Helper()
	synctest.Wait()
	if got := r.Cursor(); got != want {
		r.t.Errorf("the cursor is %q, want %q", got, want)
	}
}

// short is a message in a few words.
func short(m client.Message) string {
	switch m := m.(type) {
	case *client.Event:
		if m.Replay != nil {
			return fmt.Sprintf("replay of %s: %s %s at %s", m.Replay, m.Topic, m.ID, m.Cursor)
		}
		return fmt.Sprintf("%s %s at %s", m.Topic, m.ID, m.Cursor)
	case *client.Gap:
		return fmt.Sprintf("gap %v (%s, %s] %s", m.Topics, m.From, m.To, m.Reason)
	case *client.Ack:
		return "ack " + m.Request.String()
	case *client.Live:
		return "live " + m.Request.String()
	case *client.Restart:
		return "restart " + m.Request.String()
	case *client.Refused:
		return fmt.Sprintf("refused %s %s", m.Request, m.Code)
	case *client.Connected:
		return fmt.Sprintf("connected %v", m.Topics)
	case *client.Disconnected:
		return "disconnected"
	}
	return fmt.Sprintf("%#v", m)
}

func (r *reader) subscribe(s client.Subscription) *client.Request {
	r.t.Helper()
	request, err := r.Subscribe(s)
	if err != nil {
		r.t.Fatal(err)
	}
	return request
}

func (r *reader) unsubscribe(topics ...string) *client.Request {
	r.t.Helper()
	request, err := r.Unsubscribe(topics...)
	if err != nil {
		r.t.Fatal(err)
	}
	return request
}
