package protocol_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"belfry/tests/harness"
)

// What only TLS can do to a connection.

// wireTLS opens a bare WebSocket over a peer whose records are the test's.
func wireTLS(b *harness.Broker, t *testing.T, d net.Dialer) (*harness.TLSPeer, *harness.Wire) {
	t.Helper()
	r := b.Register(t, `{"user_id": 1}`)
	p := b.TLSPeer(t, d)
	w := harness.NewWire(p)
	w.Send(t, harness.Opening(r.Path))
	w.Accepted(t)
	return p, w
}

// raw sends bytes that are not application data.
func raw(p *harness.TLSPeer, t *testing.T, some []byte) {
	t.Helper()
	if _, err := p.Conn.Write(some); err != nil {
		t.Fatal(err)
	}
}

// TestEarlyTLS: what came with the handshake and is decrypted already does not
// wait for more to come.
func TestEarlyTLS(t *testing.T) {
	t.Parallel()
	b := harness.StartTLS(t)
	r := b.Register(t, `{"user_id": 1}`)
	for _, size := range []int{0, 1000, 5000, 15000} {
		p := b.TLSPeer(t, net.Dialer{})
		w := harness.NewWire(p)
		w.Send(t, harness.Opening(r.Path)+strings.Repeat(harness.Say("ping"), size/10)+harness.Masked(harness.Final|harness.Ping, "there?"))
		w.Accepted(t)
		if op, body := w.Frame(t); op != harness.Pong || body != "there?" {
			t.Errorf("after %d bytes: got frame %#x %q", size, op, body)
		}
		w.Send(t, harness.Farewell(1000, ""))
		w.Closed(t, 1000, "")
	}
}

// TestKeyUpdate: a peer may ask for other keys at any time, and is given them
// before what is sent next.
func TestKeyUpdate(t *testing.T) {
	t.Parallel()
	b := harness.StartTLS(t)
	p, w := wireTLS(b, t, net.Dialer{})
	want := 0
	for range 10 {
		for range 10 {
			raw(p, t, p.KeyUpdate())
			want++
		}
		w.Sync(t)
		if p.Updates != want {
			t.Errorf("there were %d key updates, want %d", p.Updates, want)
		}
		b.Publish(t, harness.Event("cats", "purr"))
		w.Expect(t, "purr")
	}
}

// TestKeyUpdateFlood: what a peer has the broker answer is bounded, even if it
// takes none of the answers.
func TestKeyUpdateFlood(t *testing.T) {
	t.Parallel()
	b := harness.StartTLS(t, "--ping-interval=1h")
	p, _ := wireTLS(b, t, net.Dialer{})
	frame := harness.Masked(harness.Final|harness.Text, strings.Repeat("x", 60000))
	for i := range len(frame) {
		var some []byte
		for range 15 { // more in a row are too many for the library
			some = append(some, p.KeyUpdate()...)
		}
		if _, err := p.Conn.Write(append(some, p.Record(harness.RecordApplication, []byte{frame[i]})...)); err != nil {
			break
		}
		if i > 10000 {
			t.Fatal("the peer is not cut off")
		}
	}
	harness.Eventually(t, "it is cut off", func() bool { return b.Metric(t, "belfry_connections") == 0 })
}

// TestHalfRecords: a record may come in any number of pieces.
func TestHalfRecords(t *testing.T) {
	t.Parallel()
	b := harness.StartTLS(t)
	p, w := wireTLS(b, t, net.Dialer{})
	for _, record := range [][]byte{p.KeyUpdate(), p.Record(harness.RecordApplication, []byte(harness.Masked(harness.Final|harness.Ping, "slowly")))} {
		last := len(record) - 1
		for i := range last {
			raw(p, t, record[i:i+1])
			b.Publish(t, harness.Event("cats", "purr"))
			w.Expect(t, "purr")
		}
		raw(p, t, record[last:])
	}
	if op, body := w.Frame(t); op != harness.Pong || body != "slowly" {
		t.Errorf("got frame %#x %q", op, body)
	}
}

// TestGarbageTLS: a record that is not the peer's ends the connection, and the peer is
// told.
func TestGarbageTLS(t *testing.T) {
	t.Parallel()
	b := harness.StartTLS(t)
	for name, garbage := range map[string][]byte{
		"a record of other keys": append([]byte{harness.RecordApplication, 3, 3, 0, 40}, make([]byte, 40)...),
		"a record too long":      {harness.RecordApplication, 3, 3, 255, 255, 0},
		"no record":              []byte("GET / HTTP/1.1\r\n\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, w := wireTLS(b, t, net.Dialer{})
			raw(p, t, garbage)
			var alert harness.TlsAlert
			if _, err := w.Reread(t).ReadByte(); !errors.As(err, &alert) {
				t.Errorf("got %v, want an alert", err)
			}
		})
	}
}

// TestEndTLS: the end of a connection is the end of its TLS (RFC 8446 section
// 6.1), from either side. One that is cut has none.
func TestEndTLS(t *testing.T) {
	t.Parallel()
	b := harness.StartTLS(t)
	t.Run("a peer says farewell", func(t *testing.T) {
		_, w := wireTLS(b, t, net.Dialer{})
		w.Send(t, harness.Farewell(1000, ""))
		w.Closed(t, 1000, "")
	})
	t.Run("a peer ends its TLS", func(t *testing.T) {
		p, w := wireTLS(b, t, net.Dialer{})
		raw(p, t, p.Record(harness.RecordAlert, []byte{1, byte(harness.AlertCloseNotify)}))
		w.Ended(t)
	})
	t.Run("a stream ends", func(t *testing.T) {
		r := b.Register(t, `{"user_id": 1}`)
		s := b.Stream(t, "/sse/"+r.ClientID)
		b.Unregister(t, r)
		s.Closing("unregistered", false)
	})
	t.Run("a peer does not answer", func(t *testing.T) {
		b := harness.StartTLS(t, "--close-timeout=50ms")
		r := b.Register(t, `{"user_id": 1}`)
		p := b.TLSPeer(t, net.Dialer{})
		w := harness.NewWire(p)
		w.Send(t, harness.Opening(r.Path))
		w.Accepted(t)
		b.Unregister(t, r)
		w.Farewell(t, 4000, "unregistered")
		if _, err := w.Reread(t).ReadByte(); err == nil || err == io.EOF {
			t.Errorf("got %v, want to be cut", err)
		}
	})
}

// TestHandshakeTLS: a handshake may take as long as a header. A peer that does not speak
// TLS is told.
func TestHandshakeTLS(t *testing.T) {
	t.Parallel()
	hasty := &harness.Broker{Addr: harness.StartTLS(t, "--header-timeout=50ms").Addr}
	hasty.Socket(t).Ended(t)
	hasty.Socket(t, "\x16\x03\x01\x02\x00\x01").Ended(t) // and no more
	b := harness.StartTLS(t)
	plain := &harness.Broker{Addr: b.Addr}
	got := plain.Socket(t, "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").Answer(t)
	if got.Status != 400 || !strings.Contains(got.Body, "HTTPS") {
		t.Errorf("plain HTTP is answered %d %q", got.Status, got.Body)
	}
	b.Wire(t, b.Register(t, `{"user_id": 1}`)).Sync(t)
}

// TestOldTLS: TLS 1.2 does, 1.1 does not.
func TestOldTLS(t *testing.T) {
	t.Parallel()
	b := harness.StartTLS(t)
	old := b.TLS.Clone()
	old.MaxVersion = tls.VersionTLS12
	b.TLS = old
	w := b.Wire(t, b.Register(t, `{"user_id": 1}`))
	b.Publish(t, harness.Event("cats", "purr"))
	w.Expect(t, "purr")
	w.Sync(t)
	w.Send(t, harness.Farewell(1000, ""))
	w.Closed(t, 1000, "")
	older := old.Clone()
	older.MinVersion, older.MaxVersion = tls.VersionTLS11, tls.VersionTLS11
	if conn, err := tls.Dial("tcp", b.Addr, older); err == nil {
		conn.Close()
		t.Error("TLS 1.1 is accepted")
	}
}

// TestHSTS: browsers that came by TLS are told to go on so, but not where a
// developer tries things out.
func TestHSTS(t *testing.T) {
	t.Parallel()
	secure, plain := harness.StartTLS(t), harness.Start(t)
	const header = "Strict-Transport-Security"
	for _, test := range []struct {
		b          *harness.Broker
		host, want string
	}{
		{secure, "events.example", "max-age=31536000"},
		{secure, "events.example:8443", "max-age=31536000"},
		{secure, "localhost", ""},
		{secure, "localhost:8443", ""},
		{plain, "events.example", ""},
	} {
		for _, path := range []string{"/health", "/nowhere", "/sse?topic=cats"} {
			res, err := http.ReadResponse(test.b.Socket(t, "GET "+path+" HTTP/1.1\r\nHost: "+test.host+"\r\n\r\n").Reread(t), nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := res.Header.Get(header); got != test.want {
				t.Errorf("%s%s: got %q, want %q", test.host, path, got, test.want)
			}
		}
	}
}
