package harness

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// A source publishes 1, 2, 3 ... as messages, in turn to the topics n.0, n.1 and
// n.2, each fifth to the user 1 alone.
type source struct {
	t    *testing.T
	b    *Broker
	Mu   sync.Mutex // held while a number is being published
	Last int        // the last that was
	Stop bool
}

func (b *Broker) PublishNumbers(t *testing.T) *source {
	s := &source{t: t, b: b}
	var running sync.WaitGroup
	running.Go(func() {
		for s.publish() {
		}
	})
	t.Cleanup(func() {
		s.Mu.Lock()
		s.Stop = true
		s.Mu.Unlock()
		running.Wait()
	})
	return s
}

func (s *source) publish() (more bool) {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	if s.Stop {
		return false
	}
	n := s.Last + 1
	user := ""
	if n%5 == 0 {
		user = `"user_id": 1, `
	}
	got, err := s.b.Do("POST", "/publish", fmt.Sprintf(`{"topic": "n.%d", %s"message": "%d"}`, n%3, user, n))
	if err != nil || got.Status != http.StatusOK {
		s.t.Errorf("publishing %d: %v %+v", n, err, got)
		return false
	}
	s.Last = n
	return true
}

// Wait waits until count more numbers are published.
func (s *source) Wait(count int) {
	s.t.Helper()
	published := func() int {
		s.Mu.Lock()
		defer s.Mu.Unlock()
		return s.Last
	}
	last := published()
	for end := last + count; last < end; last = published() { // each may take its time
		Eventually(s.t, "another number is published", func() bool { return published() > last })
	}
}

// A NumberReader is a client that gets the numbers of a source.
type NumberReader struct {
	T      *testing.T
	B      *Broker
	Source *source
	Random *rand.Rand
	Client Registration
	*Wire
	fresh bool // nothing has come over this connection
	first int  // that has come over the one before it
	Last  int  // that has come
}

func (n *NumberReader) Connect() {
	n.T.Helper()
	n.Wire, n.fresh = n.B.Wire(n.T, n.Client), true
}

// Take checks the next number.
func (n *NumberReader) Take(message string) {
	n.T.Helper()
	got, err := strconv.Atoi(strings.TrimLeft(message, " "))
	repeat := n.fresh && n.first <= got && got <= n.Last
	if err != nil || got != n.Last+1 && !repeat {
		n.T.Fatalf("after %d (first of a connection: %t, the one before began with %d) came %q", n.Last, n.fresh, n.first, message)
	}
	if n.fresh {
		n.fresh, n.first = false, got
	}
	n.Last = got
}

// Read reads so many numbers.
func (n *NumberReader) Read(count int) {
	n.T.Helper()
	for range count {
		op, message := n.Frame(n.T)
		if op != Text {
			n.T.Fatalf("got %#x %q, want a number", op, message)
		}
		n.Take(message)
	}
}

// ReadTo reads up to a number.
func (n *NumberReader) ReadTo(last int) {
	n.T.Helper()
	for n.Last < last {
		n.Read(1)
	}
}

// ReadToClose reads up to the Close frame, and checks that it is the end.
func (n *NumberReader) ReadToClose(code int, reason string) {
	n.T.Helper()
	for {
		op, message := n.Frame(n.T)
		switch {
		case op == Text:
			n.Take(message)
		case op != Closing || message != closeBody(code, reason):
			n.T.Fatalf("got %#x %q, want a Close frame with %d %q", op, message, code, reason)
		default:
			return
		}
	}
}

// Reset goes without a word. What this side's TCP has taken and the client has
// not read would be lost, so it reads everything before.
func (n *NumberReader) Reset() {
	n.T.Helper()
	n.Source.Mu.Lock()
	defer n.Source.Mu.Unlock()
	n.ReadTo(n.Source.Last)
	n.Wire.Reset(n.T)
}

// Close says farewell while more comes.
func (n *NumberReader) Close() {
	n.T.Helper()
	n.Send(n.T, Farewell(1000, ""))
	n.ReadToClose(1000, "")
	n.Ended(n.T)
}

// TakeOver opens the next connection while this one goes on.
func (n *NumberReader) TakeOver() {
	n.T.Helper()
	next := n.B.Wire(n.T, n.Client)
	n.ReadToClose(4001, "replaced")
	n.Send(n.T, Farewell(4001, ""))
	n.Ended(n.T)
	n.Wire, n.fresh = next, true
}

// CatchUp reads everything that there is, and checks that it was no less.
func (n *NumberReader) CatchUp() {
	n.T.Helper()
	n.Source.Mu.Lock()
	n.Source.Stop = true
	last := n.Source.Last
	n.Source.Mu.Unlock()
	n.ReadTo(last)
	n.Send(n.T, Masked(Final|Ping, ""))
	for op, message := n.Frame(n.T); op != Pong; op, message = n.Frame(n.T) {
		n.Take(message) // a repeat, if the connection is fresh
	}
	n.ReadTo(last)
}

// Padded is a number as a message of 4000 bytes.
func Padded(n int) string { return fmt.Sprintf("%4000d", n) }

// SlowReader connects a client that has room for little.
func SlowReader(t *testing.T, b *Broker) *NumberReader {
	t.Helper()
	slow := &NumberReader{T: t, B: b, Client: b.Register(t, `{"user_id": 1}`), fresh: true}
	slow.Wire = b.SocketFrom(t, SmallBuffer, Opening(slow.Client.Path))
	slow.Accepted(t)
	return slow
}

// SmallBuffer dials with a receive buffer as small as can be, so that little
// disappears into it. It must be set before the connection is made.
var SmallBuffer = net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) {
		failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096)
	})
	if err != nil {
		return err
	}
	return failed
}}

// A slowPublish is a publish whose body has not arrived whole.
type slowPublish struct {
	*Wire
	rest string
}

func (b *Broker) SlowPublish(t *testing.T, body string) slowPublish {
	t.Helper()
	w := b.Socket(t, "POST /publish HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: "+strconv.Itoa(len(body))+"\r\n\r\n")
	if got := w.Answer(t); got.Status != http.StatusContinue { // somebody has begun to read the body
		t.Fatalf("got %d %s", got.Status, got.Body)
	}
	half := len(body) / 2
	w.Send(t, body[:half])
	return slowPublish{w, body[half:]}
}

// Finish sends the rest and returns the receipt.
func (p slowPublish) Finish(t *testing.T) Receipt {
	t.Helper()
	p.Send(t, p.rest)
	var r Receipt
	if got := p.Answer(t); got.Status != http.StatusOK {
		t.Errorf("got %d %s", got.Status, got.Body)
	} else if err := json.Unmarshal([]byte(got.Body), &r); err != nil {
		t.Errorf("%v: %s", err, got.Body)
	}
	return r
}
