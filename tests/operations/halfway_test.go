package operations_test

import (
	"crypto/tls"
	"net"
	"testing"
	"time"

	"belfry/tests/harness"
)

// A stingy socket sends the beginning of what is written to it, and then nothing.
type stingy struct {
	net.Conn
	sent chan struct{} // closed when it has
}

func (s *stingy) Write(p []byte) (int, error) {
	defer close(s.sent)
	_, err := s.Conn.Write(p[:len(p)/2])
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// TestShutdownInAHandshake: a peer in the middle of its TLS handshake does not delay the
// shutdown, and sees it.
func TestShutdownInAHandshake(t *testing.T) {
	t.Parallel()
	b := harness.StartTLS(t, "--drain=50ms")
	conn, err := net.Dial("tcp", b.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(harness.Patience)); err != nil {
		t.Fatal(err)
	}
	half := &stingy{conn, make(chan struct{})}
	shaken := make(chan error, 1)
	go func() { shaken <- tls.Client(half, b.TLS.Clone()).Handshake() }()
	<-half.sent
	ends(b, t)
	if err := <-shaken; err == nil {
		t.Error("the handshake has come to its end")
	} else if net, ok := err.(net.Error); ok && net.Timeout() {
		t.Error("the peer does not see the end")
	}
}
