package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// A visitor counts what it is told.
type visitor struct{ taken, closed atomic.Int32 }

func (v *visitor) Taken()         { v.taken.Add(1) }
func (v *visitor) Closed()        { v.closed.Add(1) }
func (v *visitor) OnClose(func()) {}

func TestAdmit(t *testing.T) {
	t.Parallel()
	tcp, err := Listen(context.Background(), "127.0.0.1:0", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	unix, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	for _, below := range []net.Listener{tcp, unix} {
		asked, v := 0, new(visitor)
		ln := Admit(below, func(from net.Addr) (Visit, bool) {
			asked++
			if from.Network() != below.Addr().Network() {
				t.Errorf("asked about %v", from)
			}
			return v, asked > 1
		})
		first, second := dial(t, ln), dial(t, ln)
		sock, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := first.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("who is not admitted reads: %v", err)
		}
		if asked != 2 || v.closed.Load() != 0 {
			t.Errorf("asked %d times, %d told closed", asked, v.closed.Load())
		}
		if _, err := second.Write([]byte("x")); err != nil {
			t.Error(err)
		}
		if _, err := io.ReadFull(sock, make([]byte, 1)); err != nil {
			t.Error(err)
		}
		// What couriers need of it.
		c := new(conn)
		if err := c.use(sock); err != nil || c.fd <= 0 {
			t.Errorf("a courier can't use it: %v", err)
		}
		taken(sock)
		closeWrite(sock)
		if _, err := second.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("after the end of the sending side: %v", err)
		}
		c.sink.abort(c)
		sock.Close()
		if v.taken.Load() != 1 || v.closed.Load() < 1 {
			t.Errorf("told taken %d times, closed %d times", v.taken.Load(), v.closed.Load())
		}
		ln.Close()
		if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a closed listener: %v", err)
		}
	}
}

func dial(t *testing.T, ln net.Listener) net.Conn {
	t.Helper()
	c, err := net.Dial(ln.Addr().Network(), ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// What is admitted may speak TLS.
func TestAdmitTLS(t *testing.T) {
	t.Parallel()
	tcp, err := Listen(context.Background(), "127.0.0.1:0", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	v := new(visitor)
	example := httptest.NewUnstartedServer(nil)
	example.StartTLS()
	defer example.Close()
	ln := ListenTLS(Admit(tcp, func(net.Addr) (Visit, bool) { return v, true }), &tls.Config{Certificates: example.TLS.Certificates})
	defer ln.Close()
	peer := tls.Client(dial(t, ln), &tls.Config{InsecureSkipVerify: true})
	greeted := make(chan error, 1)
	go func() { greeted <- peer.Handshake() }()
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	sock := accepted.(*tls.Conn)
	if err := errors.Join(sock.Handshake(), <-greeted); err != nil {
		t.Fatal(err)
	}
	c := new(conn)
	if err := c.use(sock); err != nil || !c.sink.records() {
		t.Errorf("a courier can't use it: %v", err)
	}
	taken(sock)
	c.sink.abort(c)
	if v.taken.Load() != 1 || v.closed.Load() != 1 {
		t.Errorf("told taken %d times, closed %d times", v.taken.Load(), v.closed.Load())
	}
}
