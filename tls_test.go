package main

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// What only TLS can do to a connection.

// wireTLS opens a bare WebSocket over a peer whose records are the test's.
func (b *testBroker) wireTLS(t *testing.T, d net.Dialer) (*tlsPeer, *wire) {
	t.Helper()
	r := b.register(t, `{"user_id": 1}`)
	p := b.tlsPeer(t, d)
	w := &wire{p, bufio.NewReader(p)}
	w.send(t, opening(r.Path))
	w.accepted(t)
	return p, w
}

// raw sends bytes that are no application data.
func (p *tlsPeer) raw(t *testing.T, some []byte) {
	t.Helper()
	if _, err := p.Conn.Write(some); err != nil {
		t.Fatal(err)
	}
}

// TestEarlyTLS: what came with the handshake and is decrypted already does not
// wait for more to come.
func TestEarlyTLS(t *testing.T) {
	t.Parallel()
	b := startTLS(t)
	r := b.register(t, `{"user_id": 1}`)
	for _, size := range []int{0, 1000, 5000, 15000} {
		p := b.tlsPeer(t, net.Dialer{})
		w := &wire{p, bufio.NewReader(p)}
		w.send(t, opening(r.Path)+strings.Repeat(say("ping"), size/10)+masked(final|ping, "there?"))
		w.accepted(t)
		if op, body := w.frame(t); op != pong || body != "there?" {
			t.Errorf("behind %d bytes: got frame %#x %q", size, op, body)
		}
		w.send(t, farewell(1000, ""))
		w.closed(t, 1000, "")
	}
}

// TestKeyUpdate: a peer may ask for other keys at any time, and is given them
// before what is sent next.
func TestKeyUpdate(t *testing.T) {
	t.Parallel()
	b := startTLS(t)
	p, w := b.wireTLS(t, net.Dialer{})
	want := 0
	for range 10 {
		for range 10 {
			p.raw(t, p.keyUpdate())
			want++
		}
		w.sync(t)
		if p.updates != want {
			t.Errorf("there were %d key updates, want %d", p.updates, want)
		}
		b.publish(t, event("cats", "purr"))
		w.expect(t, "purr")
	}
}

// TestKeyUpdateFlood: what a peer has the broker answer is bounded, even if it
// takes none of the answers.
func TestKeyUpdateFlood(t *testing.T) {
	t.Parallel()
	b := startTLS(t, "--ping-interval=1h")
	p, _ := b.wireTLS(t, net.Dialer{})
	frame := masked(final|text, strings.Repeat("x", 60000))
	for i := range len(frame) {
		var some []byte
		for range 15 { // more in a row are too many for the library
			some = append(some, p.keyUpdate()...)
		}
		if _, err := p.Conn.Write(append(some, p.record(recordApplication, []byte{frame[i]})...)); err != nil {
			break
		}
		if i > 10000 {
			t.Fatal("the peer is not cut off")
		}
	}
	eventually(t, "it is cut off", func() bool { return b.metric(t, "belfry_connections") == 0 })
}

// TestHalfRecords: a record may come in any number of pieces.
func TestHalfRecords(t *testing.T) {
	t.Parallel()
	b := startTLS(t)
	p, w := b.wireTLS(t, net.Dialer{})
	for _, record := range [][]byte{p.keyUpdate(), p.record(recordApplication, []byte(masked(final|ping, "slowly")))} {
		last := len(record) - 1
		for i := range last {
			p.raw(t, record[i:i+1])
			b.publish(t, event("cats", "purr"))
			w.expect(t, "purr")
		}
		p.raw(t, record[last:])
	}
	if op, body := w.frame(t); op != pong || body != "slowly" {
		t.Errorf("got frame %#x %q", op, body)
	}
}

// TestGarbageTLS: what is no record of the peer's ends the connection, and the
// peer is told so.
func TestGarbageTLS(t *testing.T) {
	t.Parallel()
	b := startTLS(t)
	for name, garbage := range map[string][]byte{
		"a record of other keys": append([]byte{recordApplication, 3, 3, 0, 40}, make([]byte, 40)...),
		"a record too long":      {recordApplication, 3, 3, 255, 255, 0},
		"no record":              []byte("GET / HTTP/1.1\r\n\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, w := b.wireTLS(t, net.Dialer{})
			p.raw(t, garbage)
			var alert tlsAlert
			if _, err := w.reader(t).ReadByte(); !errors.As(err, &alert) {
				t.Errorf("got %v, want an alert", err)
			}
		})
	}
}

// TestEndTLS: the end of a connection is the end of its TLS (RFC 8446 section
// 6.1), from either side. One that is cut has none.
func TestEndTLS(t *testing.T) {
	t.Parallel()
	b := startTLS(t)
	t.Run("a peer says farewell", func(t *testing.T) {
		_, w := b.wireTLS(t, net.Dialer{})
		w.send(t, farewell(1000, ""))
		w.closed(t, 1000, "")
	})
	t.Run("a peer ends its TLS", func(t *testing.T) {
		p, w := b.wireTLS(t, net.Dialer{})
		p.raw(t, p.record(recordAlert, []byte{1, byte(alertCloseNotify)}))
		w.ended(t)
	})
	t.Run("a stream ends", func(t *testing.T) {
		r := b.register(t, `{"user_id": 1}`)
		s := b.stream(t, "/sse/"+r.ClientID)
		b.unregister(t, r)
		s.closing("unregistered", false)
	})
	t.Run("a peer does not answer", func(t *testing.T) {
		b := startTLS(t, "--close-timeout=50ms")
		r := b.register(t, `{"user_id": 1}`)
		p := b.tlsPeer(t, net.Dialer{})
		w := &wire{p, bufio.NewReader(p)}
		w.send(t, opening(r.Path))
		w.accepted(t)
		b.unregister(t, r)
		w.farewell(t, 4000, "unregistered")
		if _, err := w.reader(t).ReadByte(); err == nil || err == io.EOF {
			t.Errorf("got %v, want to be cut", err)
		}
	})
}

// TestHandshakeTLS: a handshake has as long as a header; what is no TLS is told
// so.
func TestHandshakeTLS(t *testing.T) {
	t.Parallel()
	hasty := &testBroker{addr: startTLS(t, "--header-timeout=50ms").addr}
	hasty.socket(t).ended(t)
	hasty.socket(t, "\x16\x03\x01\x02\x00\x01").ended(t) // and no more
	b := startTLS(t)
	plain := &testBroker{addr: b.addr}
	got := plain.socket(t, "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").answer(t)
	if got.status != 400 || !strings.Contains(got.body, "HTTPS") {
		t.Errorf("plain HTTP is answered %d %q", got.status, got.body)
	}
	b.wire(t, b.register(t, `{"user_id": 1}`)).sync(t)
}

// TestOldTLS: TLS 1.2 does, 1.1 does not.
func TestOldTLS(t *testing.T) {
	t.Parallel()
	b := startTLS(t)
	old := b.tls.Clone()
	old.MaxVersion = tls.VersionTLS12
	b.tls = old
	w := b.wire(t, b.register(t, `{"user_id": 1}`))
	b.publish(t, event("cats", "purr"))
	w.expect(t, "purr")
	w.sync(t)
	w.send(t, farewell(1000, ""))
	w.closed(t, 1000, "")
	older := old.Clone()
	older.MinVersion, older.MaxVersion = tls.VersionTLS11, tls.VersionTLS11
	if conn, err := tls.Dial("tcp", b.addr, older); err == nil {
		conn.Close()
		t.Error("TLS 1.1 is accepted")
	}
}

// TestHSTS: browsers that came by TLS are told to go on so, but not where a
// developer tries things out.
func TestHSTS(t *testing.T) {
	t.Parallel()
	secure, plain := startTLS(t), start(t)
	const header = "Strict-Transport-Security"
	for _, test := range []struct {
		b          *testBroker
		host, want string
	}{
		{secure, "events.example", "max-age=31536000"},
		{secure, "events.example:8443", "max-age=31536000"},
		{secure, "localhost", ""},
		{secure, "localhost:8443", ""},
		{plain, "events.example", ""},
	} {
		for _, path := range []string{"/health", "/nowhere", "/sse?topic=cats"} {
			res, err := http.ReadResponse(test.b.socket(t, "GET "+path+" HTTP/1.1\r\nHost: "+test.host+"\r\n\r\n").reader(t), nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := res.Header.Get(header); got != test.want {
				t.Errorf("%s%s: got %q, want %q", test.host, path, got, test.want)
			}
		}
	}
}
