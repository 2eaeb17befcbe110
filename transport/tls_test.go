package transport

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"belfry/hub"
)

// testCertificate is one for all tests: to make it takes longer than most of them.
var testCertificate = sync.OnceValues(func() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
})

// sealedPair returns both ends of a TLS connection, the broker's one taken over.
func sealedPair(tb testing.TB) (c *conn, client *tls.Conn) {
	tb.Helper()
	certificate, err := testCertificate()
	if err != nil {
		tb.Fatal(err)
	}
	below, err := Listen(tb.Context(), "127.0.0.1:0", time.Minute)
	if err != nil {
		tb.Fatal(err)
	}
	ln := ListenTLS(below, &tls.Config{Certificates: []tls.Certificate{certificate}})
	defer ln.Close()
	accepted := make(chan error, 1)
	c = &conn{}
	go func() {
		sock, err := ln.Accept()
		if err == nil {
			if err = sock.(*tls.Conn).Handshake(); err == nil {
				err = c.use(sock)
			}
		}
		accepted <- err
	}()
	client, err = tls.Dial("tcp", ln.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	if err := errors.Join(err, <-accepted); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { client.Close(); c.sock.Close() })
	return c, client
}

// below returns the socket below a connection's TLS.
func (c *conn) below() *tlsSocket { return c.sink.(*tlsSink).below }

// TestSealedGone: who still reads when the courier has closed the socket gets
// nothing of another one that has its descriptor now.
func TestSealedGone(t *testing.T) {
	t.Parallel()
	c, client := sealedPair(t)
	if n, err := c.sock.Read(make([]byte, 1)); err != error(notReady{}) {
		t.Errorf("nothing has come, and a read gives %d, %v", n, err)
	}
	if _, err := io.WriteString(client, "x"); err != nil {
		t.Fatal(err)
	}
	if err := c.below().Close(); err != nil {
		t.Fatal(err)
	}
	if n, err := c.sock.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("it is closed, and a read gives %d, %v", n, err)
	}
}

// A deaf broker takes what couriers report.
type deafBroker struct{ broker }

func (deafBroker) ChunkWritten(*hub.Conn) error { return nil }

// TestSealedTrailer: what lies after the last event is counted in bytes of
// records, and nothing does that is in a record with an event's end: the peer
// needs all of that.
func TestSealedTrailer(t *testing.T) {
	t.Parallel()
	const overhead = 5 + 1 + 16 // of a record of TLS 1.3: header, type and tag
	event := func(position hub.Position, size int) *hub.Frame {
		return &hub.Frame{Position: position, Bytes: make([]byte, size)}
	}
	control := &hub.Frame{Bytes: make([]byte, 20)}
	for _, test := range []struct {
		what   string
		writes [][]*hub.Frame
		upTo   hub.Position
		want   uint32
	}{
		{"an event", [][]*hub.Frame{{event(1, 100)}}, 1, 0},
		{"a control frame after it", [][]*hub.Frame{{event(1, 100)}, {control}}, 1, 20 + overhead},
		{"two of them", [][]*hub.Frame{{event(1, 100)}, {control}, {control}}, 1, 2 * (20 + overhead)},
		{"one in the same record", [][]*hub.Frame{{event(1, 100), control}}, 1, 0},
		{"and another event", [][]*hub.Frame{{event(1, 100)}, {control}, {event(2, 100)}}, 2, 0},
		{"an event of many records", [][]*hub.Frame{{event(1, 100)}, {event(2, 3*recordBytes)}}, 2, 0},
		{"a control frame of many", [][]*hub.Frame{{event(1, 100)}, {event(0, 2*recordBytes)}}, 1, 2 * (recordBytes + overhead)},
	} {
		c, _ := sealedPair(t)
		k := newCourier(0, deafBroker{}, &Options{})
		c.phase = phaseOpen
		for _, frames := range test.writes {
			for _, f := range frames {
				k.push(c, f)
			}
			k.flush()
		}
		if c.waiting != nil || c.resume.after != test.want || c.resume.written != test.upTo {
			t.Errorf("%s: %d bytes after event %d, want %d after %d; waiting: %v", test.what, c.resume.after, c.resume.written, test.want, test.upTo, c.waiting)
		}
	}
}

// BenchmarkSeal: what the record of an event costs beside the system call.
func BenchmarkSeal(b *testing.B) {
	for name, size := range map[string]int{"128": 128, "1024": 1024, "16384": 16384} {
		b.Run(name, func(b *testing.B) {
			c, _ := sealedPair(b)
			s, p, buf := c.below(), make([]byte, size), []byte(nil)
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				s.lendBuffer(buf)
				if _, err := c.sock.Write(p); err != nil {
					b.Fatal(err)
				}
				buf = s.records()
			}
		})
	}
}
