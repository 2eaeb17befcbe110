package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"belfry/config"
)

// outside connects from another address than this machine's own.
func outside(n byte) net.Dialer {
	return net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, n)}}
}

const refusedByAddress = `belfry_refused_total{limit="max_address_connections"}`

// An address has so many connections and no more, whatever becomes of them; a
// place that is free again is free.
func TestAddressConnections(t *testing.T) {
	t.Parallel()
	b := start(t, "--max-address-connections=3", "--max-address-handshakes=0", "--protocols=http1+http2")
	sockets := []*wire{
		b.socketFrom(t, outside(2), opening("/ws?topic=cats")),
		b.socketFrom(t, outside(2), eventRequest("/sse?topic=cats")),
		b.socketFrom(t, outside(2), "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"),
	}
	sockets[0].accepted(t)
	sockets[1].stream(t)
	if got := sockets[2].answer(t); got.status != 200 {
		t.Fatalf("got %+v", got)
	}
	for range 3 {
		b.cutOff(t, outside(2))
	}
	if n := b.metric(t, refusedByAddress); n != 3 {
		t.Errorf("%v connections were refused", n)
	}
	b.socketFrom(t, outside(3), opening("/ws?topic=cats")).accepted(t) // which another's are none of
	for _, w := range sockets {
		before := b.metric(t, refusedByAddress)
		w.Close()
		dialer := outside(2)
		eventually(t, "the place is free", func() bool {
			conn, err := dialer.Dial("tcp", b.addr)
			if err != nil {
				return false
			}
			defer conn.Close()
			_, err = io.WriteString(conn, opening("/ws?topic=cats"))
			if err == nil {
				_, err = conn.Read(make([]byte, 1))
			}
			return err == nil
		})
		eventually(t, "and free again", func() bool { return b.metric(t, "belfry_addresses") <= 2 })
		if b.metric(t, refusedByAddress) < before {
			t.Error("a counter went down")
		}
	}
}

// cutOff makes a connection that is refused, and waits for its end.
func (b *testBroker) cutOff(t *testing.T, from net.Dialer) {
	t.Helper()
	conn, err := from.Dial("tcp", b.addr)
	if err != nil {
		return // so soon
	}
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, conn); n > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("who was to be refused was sent %d bytes: %v", n, err)
	}
}

// Connections that are no client's are bounded; those of clients do not count.
func TestHTTPConnections(t *testing.T) {
	t.Parallel()
	b := start(t, "--max-http-connections=5")
	b.http.Transport.(*http.Transport).DisableKeepAlives = true
	for range 10 {
		b.socket(t, opening("/ws?topic=cats")).accepted(t)
		b.stream(t, "/sse?topic=cats")
	}
	var idle []*wire
	for range 5 {
		idle = append(idle, b.socket(t))
	}
	eventually(t, "they are counted", func() bool {
		_, err := b.do("GET", "/health", "")
		return err != nil
	})
	idle[0].Close()
	eventually(t, "one more may", func() bool {
		got, err := b.do("GET", "/health", "")
		return err == nil && got.status == 200
	})
	eventually(t, "the refusals are counted", func() bool {
		got, err := b.do("GET", "/metrics", "")
		_, n, _ := strings.Cut(got.body, `belfry_refused_total{limit="max_http_connections"} `)
		return err == nil && n != "" && n[0] != '0'
	})
}

// Who comes by a trusted proxy counts by the address that it tells, on each
// transport, as long as the connection lasts, and is refused in a way that it
// understands.
func TestForwardedConnections(t *testing.T) {
	t.Parallel()
	b := start(t, "--insecure", "--trusted-proxies=127.0.0.1", "--max-address-connections=2", "--max-address-handshakes=0", "--protocols=http1+http2")
	const by = "X-Forwarded-For: 203.0.113.7, 198.51.100.1"
	handshake := func(protocol string) string {
		return strings.TrimSuffix(opening("/ws?topic=cats"), "\r\n") + by + "\r\n" + protocol + "\r\n"
	}
	first := b.socket(t, handshake(""))
	first.accepted(t)
	ctx, cancel := context.WithCancel(t.Context())
	b.streamH2(ctx, t, b.h2(t), "/sse?topic=cats", "X-Forwarded-For", "198.51.100.1")

	got := b.socket(t, handshake("")).answer(t)
	got.problem(t, 429, "too_many_address_connections")
	if got.header.Get("Retry-After") == "" {
		t.Error("nobody is told when to come again")
	}
	v1 := b.socket(t, handshake("Sec-WebSocket-Protocol: belfry.v1\r\n"))
	if _, err := http.ReadResponse(v1.reader(t), nil); err != nil {
		t.Fatal(err)
	}
	if op, payload, err := readFrame(v1.reader(t)); err != nil || op != text || !strings.Contains(payload, `"reason":"over_capacity","reconnect_after_ms"`) {
		t.Errorf("got %x %q %v", op, payload, err)
	}
	v1.closed(t, 1013, "over_capacity")
	source := b.stream(t, "/sse?topic=cats", by, "")
	if ev, ok := source.next(); ok {
		t.Errorf("an EventSource gets %v", ev)
	}
	if got := b.call(t, "GET", "/sse?topic=cats", "", "X-Forwarded-For", "198.51.100.1"); got.status != 429 {
		t.Errorf("another reader of streams: %+v", got)
	}
	if n := b.metric(t, refusedByAddress); n != 4 {
		t.Errorf("%v were refused", n)
	}
	other := strings.Replace(handshake(""), "198.51.100.1", "198.51.100.2", 1)
	b.socket(t, other).accepted(t)

	for _, leave := range []func(){func() { first.Close() }, cancel} {
		leave()
		eventually(t, "the place is free", func() bool {
			again := b.socket(t, handshake(""))
			defer again.Close()
			return again.answer(t).status == http.StatusSwitchingProtocols
		})
	}
	eventually(t, "only the other is left", func() bool { return b.metric(t, "belfry_addresses") == 1 })
}

// The rates and the limits can be changed while others are in.
func TestSetLimits(t *testing.T) {
	t.Parallel()
	b := start(t, "--max-publish-rate=3")
	publishes := 0
	eventually(t, "a publish is refused", func() bool {
		publishes++
		return b.call(t, "POST", "/publish", event("cats", "x")).status == http.StatusTooManyRequests
	})
	if publishes <= 3 {
		t.Errorf("publish %d is refused", publishes)
	}
}

// TestBounds: the limits of a configuration count together, or not at all.
func TestBounds(t *testing.T) {
	t.Parallel()
	limits := newBounds(nil)
	cfg := config.Config{ProxyHeader: "x-forwarded-for", MaxPublishRate: 7, Keys: []config.Key{{Name: "a"}, {Name: "b", Rate: 0.5}}}
	use, err := limits.of(cfg)
	if err != nil {
		t.Fatal(err)
	}
	use()
	for name, want := range map[string]string{"a": "[\"publish\";q=7;w=1]", "b": "[\"publish\";q=1;w=2]", "none": "[\"publish\";q=7;w=1]"} {
		if s, _ := limits.publishers.Key(name, 1); fmt.Sprint(s.Policy) != want {
			t.Errorf("%s: %v", name, s.Policy)
		}
	}
	cfg.TrustedProxies = []string{"nobody"}
	cfg.MaxPublishRate = 0
	if _, err := limits.of(cfg); err == nil {
		t.Error("a proxy without an address is taken")
	}
	if s, _ := limits.publishers.Key("a", 0); s.Policy == nil {
		t.Error("what failed has changed something")
	}
}
