package hostile_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"belfry/tests/harness"
)

// outside connects from another address than this machine's own.
func outside(n byte) net.Dialer {
	return net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, n)}}
}

const refusedByAddress = `belfry_refused_total{limit="max_address_connections"}`

// An address has a limited number of connections, however they end. A place that becomes
// free can be used again.
func TestAddressConnections(t *testing.T) {
	t.Parallel()
	b := harness.Start(t, "--max-address-connections=3", "--max-address-handshakes=0", "--protocols=http1+http2")
	sockets := []*harness.Wire{
		b.SocketFrom(t, outside(2), harness.Opening("/ws?topic=cats")),
		b.SocketFrom(t, outside(2), harness.EventRequest("/sse?topic=cats")),
		b.SocketFrom(t, outside(2), "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"),
	}
	sockets[0].Accepted(t)
	sockets[1].Stream(t)
	if got := sockets[2].Answer(t); got.Status != 200 {
		t.Fatalf("got %+v", got)
	}
	for range 3 {
		cutOff(b, t, outside(2))
	}
	if n := b.Metric(t, refusedByAddress); n != 3 {
		t.Errorf("%v connections were refused", n)
	}
	b.SocketFrom(t, outside(3), harness.Opening("/ws?topic=cats")).Accepted(t) // which another's are none of
	for _, w := range sockets {
		before := b.Metric(t, refusedByAddress)
		w.Close()
		dialer := outside(2)
		harness.Eventually(t, "the place is free", func() bool {
			conn, err := dialer.Dial("tcp", b.Addr)
			if err != nil {
				return false
			}
			defer conn.Close()
			_, err = io.WriteString(conn, harness.Opening("/ws?topic=cats"))
			if err == nil {
				_, err = conn.Read(make([]byte, 1))
			}
			return err == nil
		})
		harness.Eventually(t, "and free again", func() bool { return b.Metric(t, "belfry_addresses") <= 2 })
		if b.Metric(t, refusedByAddress) < before {
			t.Error("a counter went down")
		}
	}
}

// cutOff makes a connection that is refused, and waits for its end.
func cutOff(b *harness.Broker, t *testing.T, from net.Dialer) {
	t.Helper()
	conn, err := from.Dial("tcp", b.Addr)
	if err != nil {
		return // so soon
	}
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(harness.Patience)); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, conn); n > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("who was to be refused was sent %d bytes: %v", n, err)
	}
}

// Connections that are not a client's are bounded; those of clients do not count.
func TestHTTPConnections(t *testing.T) {
	t.Parallel()
	b := harness.Start(t, "--max-http-connections=5")
	b.HTTP.Transport.(*http.Transport).DisableKeepAlives = true
	for range 10 {
		b.Socket(t, harness.Opening("/ws?topic=cats")).Accepted(t)
		b.Stream(t, "/sse?topic=cats")
	}
	var idle []*harness.Wire
	for range 5 {
		idle = append(idle, b.Socket(t))
	}
	harness.Eventually(t, "they are counted", func() bool {
		_, err := b.Do("GET", "/health", "")
		return err != nil
	})
	idle[0].Close()
	harness.Eventually(t, "one more may", func() bool {
		got, err := b.Do("GET", "/health", "")
		return err == nil && got.Status == 200
	})
	harness.Eventually(t, "the refusals are counted", func() bool {
		got, err := b.Do("GET", "/metrics", "")
		_, n, _ := strings.Cut(got.Body, `belfry_refused_total{limit="max_http_connections"} `)
		return err == nil && n != "" && n[0] != '0'
	})
}

// A client of a trusted proxy counts by the address in the header. That holds on each
// transport, as long as the connection lasts. It is refused in a way that it understands.
func TestForwardedConnections(t *testing.T) {
	t.Parallel()
	b := harness.Start(t, "--insecure", "--trusted-proxies=127.0.0.1", "--max-address-connections=2", "--max-address-handshakes=0", "--protocols=http1+http2")
	const by = "X-Forwarded-For: 203.0.113.7, 198.51.100.1"
	handshake := func(protocol string) string {
		return strings.TrimSuffix(harness.Opening("/ws?topic=cats"), "\r\n") + by + "\r\n" + protocol + "\r\n"
	}
	first := b.Socket(t, handshake(""))
	first.Accepted(t)
	ctx, cancel := context.WithCancel(t.Context())
	b.StreamH2(ctx, t, b.H2(t), "/sse?topic=cats", "X-Forwarded-For", "198.51.100.1")

	got := b.Socket(t, handshake("")).Answer(t)
	got.Problem(t, 429, "too_many_address_connections")
	if got.Header.Get("Retry-After") == "" {
		t.Error("nobody is told when to come again")
	}
	v1 := b.Socket(t, handshake("Sec-WebSocket-Protocol: belfry.v1\r\n"))
	if _, err := http.ReadResponse(v1.Reread(t), nil); err != nil {
		t.Fatal(err)
	}
	if op, payload, err := harness.ReadFrame(v1.Reread(t)); err != nil || op != harness.Text || !strings.Contains(payload, `"reason":"over_capacity","reconnect_after_ms"`) {
		t.Errorf("got %x %q %v", op, payload, err)
	}
	v1.Closed(t, 1013, "over_capacity")
	source := b.Stream(t, "/sse?topic=cats", by, "")
	if ev, ok := source.Next(); ok {
		t.Errorf("an EventSource gets %v", ev)
	}
	if got := b.Call(t, "GET", "/sse?topic=cats", "", "X-Forwarded-For", "198.51.100.1"); got.Status != 429 {
		t.Errorf("another reader of streams: %+v", got)
	}
	if n := b.Metric(t, refusedByAddress); n != 4 {
		t.Errorf("%v were refused", n)
	}
	other := strings.Replace(handshake(""), "198.51.100.1", "198.51.100.2", 1)
	b.Socket(t, other).Accepted(t)

	for _, leave := range []func(){func() { first.Close() }, cancel} {
		leave()
		harness.Eventually(t, "the place is free", func() bool {
			again := b.Socket(t, handshake(""))
			defer again.Close()
			return again.Answer(t).Status == http.StatusSwitchingProtocols
		})
	}
	harness.Eventually(t, "only the other is left", func() bool { return b.Metric(t, "belfry_addresses") == 1 })
}

// The rates and the limits can change while connections are open.
func TestSetLimits(t *testing.T) {
	t.Parallel()
	b := harness.Start(t, "--max-publish-rate=3")
	publishes := 0
	harness.Eventually(t, "a publish is refused", func() bool {
		publishes++
		return b.Call(t, "POST", "/publish", harness.Event("cats", "x")).Status == http.StatusTooManyRequests
	})
	if publishes <= 3 {
		t.Errorf("publish %d is refused", publishes)
	}
}
