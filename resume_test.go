package main

import (
	"errors"
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

// A client that comes back gets what it has missed, oldest first, and then
// goes on live.

// TestComeBack: whatever way a client goes, what is published meanwhile waits
// for it. What it had before it has confirmed, so nothing comes twice.
func TestComeBack(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		flags []string
		leave func(w *wire, t *testing.T)
	}{
		{"reset", nil, (*wire).reset},
		{"end", nil, (*wire).hangUp},
		{"close", nil, func(w *wire, t *testing.T) {
			w.send(t, farewell(1001, "going away"))
			w.echoed(t, 1001)
		}},
		{"broken frame", nil, func(w *wire, t *testing.T) {
			w.send(t, "\xff\xff")
			w.closed(t, 1002, "reserved bits are set")
		}},
		{"silence", []string{"--ping-interval=50ms", "--pong-timeout=" + shortTime.String()}, func(w *wire, t *testing.T) {
			w.closed(t, 4101, "pong_timeout")
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := start(t, test.flags...)
			r := b.register(t, `{"user_id": 1, "topics": ["cats", "dogs.*"]}`)
			b.publish(t, event("cats", "too early"))
			w := b.wire(t, r)
			b.publish(t, event("cats", "one"))
			w.expect(t, "one")
			w.sync(t)

			test.leave(w, t)
			b.away(t)
			if got := b.publish(t, event("dogs.rex", "two")); got.Matched != 1 || got.Queued != 0 {
				t.Errorf("while it is away: %+v", got)
			}
			b.publish(t, event("fish", "not for it"))
			b.publish(t, `{"topic": "cats", "user_id": 1, "message": "three"}`)
			b.publish(t, `{"topic": "cats", "user_id": 2, "message": "not for it"}`)
			b.publish(t, event("cats", "four"))

			p := b.connect(t, r)
			p.expect(t, "two", "three", "four")
			b.publish(t, event("cats", "five"))
			p.expect(t, "five")
			p.silent(t)
		})
	}
}

// TestNoHole: while numbers are published as fast as can be, a client comes and
// goes. It gets them all, in order. Those that it had not confirmed when it
// went may come again, which the protocol cannot avoid: it has no
// acknowledgements.
func TestNoHole(t *testing.T) {
	t.Parallel()
	const rounds = 30
	for kind, subscription := range map[string]string{"topics": `["n.0", "n.1", "n.2"]`, "patterns": `["n.>", "n.1"]`} {
		for name, leave := range map[string]func(*numberReader){
			"reset": (*numberReader).reset,
			"close": (*numberReader).close,
		} {
			t.Run(kind+", "+name, func(t *testing.T) {
				t.Parallel()
				b := start(t, "--history-events=100000")
				n := readNumbers(t, b, subscription)
				for range rounds {
					n.read(n.random.IntN(20))
					leave(n)
					b.away(t)
					n.source.wait(n.random.IntN(20))
					n.connect()
				}
				n.catchUp()
			})
		}
		t.Run(kind+", takeover", func(t *testing.T) {
			t.Parallel()
			b := start(t, "--history-events=100000")
			n := readNumbers(t, b, subscription)
			for range 5 {
				n.read(20 + n.random.IntN(20))
				n.takeOver()
			}
			n.catchUp()
		})
	}
}

// A source publishes 1, 2, 3 ... as messages, in turn to the topics n.0, n.1 and
// n.2, each fifth to the user 1 alone.
type source struct {
	t    *testing.T
	b    *testBroker
	mu   sync.Mutex // held while a number is being published
	last int        // the last that was
	stop bool
}

func (b *testBroker) publishNumbers(t *testing.T) *source {
	s := &source{t: t, b: b}
	var running sync.WaitGroup
	running.Go(func() {
		for s.publish() {
		}
	})
	t.Cleanup(func() {
		s.mu.Lock()
		s.stop = true
		s.mu.Unlock()
		running.Wait()
	})
	return s
}

func (s *source) publish() (more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stop {
		return false
	}
	n := s.last + 1
	user := ""
	if n%5 == 0 {
		user = `"user_id": 1, `
	}
	got, err := s.b.do("POST", "/publish", fmt.Sprintf(`{"topic": "n.%d", %s"message": "%d"}`, n%3, user, n))
	if err != nil || got.status != http.StatusOK {
		s.t.Errorf("publishing %d: %v %+v", n, err, got)
		return false
	}
	s.last = n
	return true
}

// wait waits until count more numbers are published.
func (s *source) wait(count int) {
	s.t.Helper()
	published := func() int {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.last
	}
	last := published()
	for end := last + count; last < end; last = published() { // each may take its time
		eventually(s.t, "another number is published", func() bool { return published() > last })
	}
}

// A numberReader is a client that gets the numbers of a source.
type numberReader struct {
	t      *testing.T
	b      *testBroker
	source *source
	random *rand.Rand
	client registration
	*wire
	fresh bool // nothing has come over this connection
	first int  // that has come over the one before it
	last  int  // that has come
}

func readNumbers(t *testing.T, b *testBroker, subscription string) *numberReader {
	n := &numberReader{t: t, b: b, random: rand.New(rand.NewPCG(1, 2))}
	n.client = b.register(t, `{"user_id": 1, "topics": `+subscription+`}`)
	n.connect()
	n.source = b.publishNumbers(t)
	return n
}

func (n *numberReader) connect() {
	n.t.Helper()
	n.wire, n.fresh = n.b.wire(n.t, n.client), true
}

// take checks the next number.
func (n *numberReader) take(message string) {
	n.t.Helper()
	got, err := strconv.Atoi(strings.TrimLeft(message, " "))
	repeat := n.fresh && n.first <= got && got <= n.last
	if err != nil || got != n.last+1 && !repeat {
		n.t.Fatalf("after %d (first of a connection: %t, the one before began with %d) came %q", n.last, n.fresh, n.first, message)
	}
	if n.fresh {
		n.fresh, n.first = false, got
	}
	n.last = got
}

// read reads so many numbers.
func (n *numberReader) read(count int) {
	n.t.Helper()
	for range count {
		op, message := n.frame(n.t)
		if op != text {
			n.t.Fatalf("got %#x %q, want a number", op, message)
		}
		n.take(message)
	}
}

// readTo reads up to a number.
func (n *numberReader) readTo(last int) {
	n.t.Helper()
	for n.last < last {
		n.read(1)
	}
}

// readToClose reads up to the Close frame, and checks that it is the end.
func (n *numberReader) readToClose(code int, reason string) {
	n.t.Helper()
	for {
		op, message := n.frame(n.t)
		switch {
		case op == text:
			n.take(message)
		case op != closing || message != closeBody(code, reason):
			n.t.Fatalf("got %#x %q, want a Close frame with %d %q", op, message, code, reason)
		default:
			return
		}
	}
}

// reset goes without a word. What this side's TCP has taken and the client has
// not read would be lost, so it reads everything before.
func (n *numberReader) reset() {
	n.t.Helper()
	n.source.mu.Lock()
	defer n.source.mu.Unlock()
	n.readTo(n.source.last)
	n.wire.reset(n.t)
}

// close says farewell while more comes.
func (n *numberReader) close() {
	n.t.Helper()
	n.send(n.t, farewell(1000, ""))
	n.readToClose(1000, "")
	n.ended(n.t)
}

// takeOver opens the next connection while this one goes on.
func (n *numberReader) takeOver() {
	n.t.Helper()
	next := n.b.wire(n.t, n.client)
	n.readToClose(4001, "replaced")
	n.send(n.t, farewell(4001, ""))
	n.ended(n.t)
	n.wire, n.fresh = next, true
}

// catchUp reads everything that there is, and checks that it was no less.
func (n *numberReader) catchUp() {
	n.t.Helper()
	n.source.mu.Lock()
	n.source.stop = true
	last := n.source.last
	n.source.mu.Unlock()
	n.readTo(last)
	n.send(n.t, masked(final|ping, ""))
	for op, message := n.frame(n.t); op != pong; op, message = n.frame(n.t) {
		n.take(message) // a repeat, if the connection is fresh
	}
	n.readTo(last)
}

// TestTooLate: a client whose time has run out is not known any more.
func TestTooLate(t *testing.T) {
	t.Parallel()
	for _, window := range []string{"0s", "50ms"} {
		t.Run(window, func(t *testing.T) {
			t.Parallel()
			b := start(t, "--resume-window="+window)
			r := b.register(t, `{"user_id": 1}`)
			w := b.wire(t, r)
			w.send(t, farewell(1000, ""))
			w.echoed(t, 1000)
			if window != "0s" {
				eventually(t, "the client is forgotten", func() bool { return b.census(t).Clients == 0 })
			}
			b.refused(t, r, http.StatusNotFound, "unknown_client")
			if got := b.publish(t, event("cats", "purr")); got.Matched != 0 {
				t.Errorf("for a client that is gone: %+v", got)
			}
			if b.unregister(t, r) {
				t.Error("the client was still there")
			}
		})
	}
}

// TestGap: when what a client has missed is not there any more it is told so,
// rather than given the rest as if that were all.
func TestGap(t *testing.T) {
	t.Parallel()
	const count = 3 // that are retained
	for _, test := range []struct {
		name    string
		missed  int // of its topic
		others  int // of a topic that is not its own
		replies string
	}{
		{"nothing", 0, 0, ""},
		{"as much as is retained", count, 0, "1 2 3"},
		{"one more", count + 1, 0, "gap"},
		{"one, and too many of others", 1, count + 1, "1"},
		{"none, and too many of others", 0, count + 1, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := start(t, "--history-events="+strconv.Itoa(count))
			r := b.register(t, `{"user_id": 1}`)
			b.connect(t, r).leave()
			b.away(t)
			for i := range test.missed {
				b.publish(t, event("cats", strconv.Itoa(i+1)))
			}
			for range test.others {
				b.publish(t, event("dogs", "bark"))
				b.publish(t, `{"topic": "cats", "user_id": 2, "message": "for another"}`)
			}
			p := b.connect(t, r)
			if test.replies == "gap" {
				p.closed(t, 4003, "gap")
				b.refused(t, r, http.StatusNotFound, "unknown_client")
				return
			}
			p.expect(t, strings.Fields(test.replies)...)
			b.publish(t, event("cats", "live"))
			p.expect(t, "live")
			p.silent(t)
		})
	}
}

// TestTopicsWhileAway: topics may change while a client is away, and count from
// then on.
func TestTopicsWhileAway(t *testing.T) {
	t.Parallel()
	b := start(t)
	r := b.register(t, `{"user_id": 1, "topics": ["cats", "birds"]}`)
	b.connect(t, r).leave()
	b.away(t)
	change := func(method, path, topic string) {
		t.Helper()
		if got := b.call(t, method, path+"?client_id="+r.ClientID+"&topic="+topic, ""); got.status != 200 {
			t.Fatalf("%s %s: %d %s", method, path, got.status, got.body)
		}
	}
	publish := func(text string) {
		t.Helper()
		for _, topic := range []string{"cats", "dogs", "birds", "fish.cod"} {
			b.publish(t, event(topic, topic+" "+text))
		}
	}
	publish("1")
	change("POST", "/add_topic", "dogs")
	publish("2")
	change("DELETE", "/remove_topic", "birds")
	change("POST", "/add_topic", "fish.*")
	publish("3")
	change("DELETE", "/remove_topic", "cats") // what it has missed of it goes, too
	change("POST", "/add_topic", "cats")
	publish("4")

	p := b.connect(t, r)
	p.expect(t, "dogs 2", "dogs 3", "fish.cod 3", "cats 4", "dogs 4", "fish.cod 4")
	p.silent(t)
}

// TestSlowConsumer: a client that stops reading is closed when more waits for it
// than may, the others get everything, and it may come back.
func TestSlowConsumer(t *testing.T) {
	t.Parallel()
	b := start(t, "--history-events=100000", "--client-queue-bytes=262144")
	slow := slowReader(t, b)
	quick := b.connect(t, b.register(t, `{"user_id": 2}`))

	published := 0
	for b.metric(t, `belfry_disconnects_total{reason="slow_consumer"}`) == 0 {
		for range 10 {
			published++
			b.publish(t, event("cats", padded(published)))
		}
		if published > 10000 {
			t.Fatal("the client that does not read is not closed")
		}
	}
	for i := range published {
		quick.expect(t, padded(i+1))
	}
	quick.silent(t)
	slow.readToClose(4100, "slow_consumer")
	slow.send(t, farewell(4100, ""))
	slow.ended(t)
	if slow.last == 0 || slow.last == published {
		t.Errorf("of %d events the slow client had %d before it was closed", published, slow.last)
	}

	slow.connect()
	slow.readTo(published)
	published++
	b.publish(t, event("cats", padded(published)))
	slow.readTo(published)
	slow.sync(t)
}

// TestTakeoverFromSlow: what waits for a connection that is taken over goes to
// the next one.
func TestTakeoverFromSlow(t *testing.T) {
	t.Parallel()
	b := start(t)
	slow := slowReader(t, b)
	const published = 90
	for i := range published {
		b.publish(t, event("cats", padded(i+1)))
	}
	slow.takeOver()
	if slow.last == 0 || slow.last == published {
		t.Errorf("the first connection had %d of %d events", slow.last, published)
	}
	slow.readTo(published)
	slow.sync(t)
}

// padded is a number as a message of 4000 bytes.
func padded(n int) string { return fmt.Sprintf("%4000d", n) }

// slowReader connects a client that has room for little.
func slowReader(t *testing.T, b *testBroker) *numberReader {
	t.Helper()
	slow := &numberReader{t: t, b: b, client: b.register(t, `{"user_id": 1}`), fresh: true}
	slow.wire = b.socketFrom(t, smallBuffer, opening(slow.client.Path))
	slow.accepted(t)
	return slow
}

// smallBuffer dials with a receive buffer as small as can be, so that little
// disappears into it. It must be set before the connection is made.
var smallBuffer = net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) {
		failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096)
	})
	if err != nil {
		return err
	}
	return failed
}}

// TestDeafPeer: a client that reads nothing at all is cut off after the time
// that it has to answer a Close frame, without one. It may come back, too.
func TestDeafPeer(t *testing.T) {
	t.Parallel()
	b := start(t, "--history-events=100000", "--client-queue-bytes=262144", "--close-timeout=10ms")
	deaf := slowReader(t, b)
	published := 0
	for b.metric(t, "belfry_connections_closed_total") == 0 {
		published++
		b.publish(t, event("cats", padded(published)))
		if published > 10000 {
			t.Fatal("the client that does not read is not cut off")
		}
	}
	for {
		op, message, err := readFrame(deaf.reader(t))
		if errors.Is(err, syscall.ECONNRESET) {
			break
		}
		if err != nil || op != text {
			t.Fatalf("got %#x %q, %v; want some numbers and then a reset", op, message, err)
		}
		deaf.take(message)
	}

	p := b.connect(t, deaf.client)
	b.publish(t, event("cats", "live"))
	for p.next(t) != "live" {
	}
	p.silent(t)
}
