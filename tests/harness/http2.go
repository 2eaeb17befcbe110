package harness

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// The interface over HTTP/2: without TLS, as proxies speak it, and in TestOverTLS
// as browsers do.

// HTTP2Transport speaks HTTP/2 alone: agreed on by TLS, or without TLS by prior
// knowledge.
func (b *Broker) HTTP2Transport() *http.Transport {
	transport := &http.Transport{Protocols: new(http.Protocols), TLSClientConfig: b.TLS.Clone()}
	transport.Protocols.SetHTTP2(b.TLS != nil)
	transport.Protocols.SetUnencryptedHTTP2(b.TLS == nil)
	return transport
}

// H2 returns a client that speaks HTTP/2. It has room for little that is not
// read.
func (b *Broker) H2(t *testing.T) *http.Client {
	t.Helper()
	const room = 64 << 10
	transport := b.HTTP2Transport()
	transport.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: room, MaxReceiveBufferPerConnection: room}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// StreamH2 opens a stream of server-sent events over HTTP/2.
func (b *Broker) StreamH2(ctx context.Context, t *testing.T, client *http.Client, target string, header ...string) *Stream {
	t.Helper()
	ctx, giveUp := context.WithCancel(ctx)
	limit := time.AfterFunc(Patience, giveUp)
	t.Cleanup(giveUp)
	req, err := http.NewRequestWithContext(ctx, "GET", b.URL("http", target), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := client.Do(req)
	limit.Stop()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	if res.ProtoMajor != 2 || res.StatusCode != 200 || res.Header.Get("Content-Type") != EventStream {
		t.Fatalf("the request was answered %s %s %v", res.Proto, res.Status, res.Header)
	}
	return &Stream{t: t, Reread: bufio.NewReader(res.Body), bound: func() func() { limit.Reset(Patience); return func() { limit.Stop() } }}
}

// HTTP/2 without a library: no client sends what is sent here, and none so fast.

// The frames (RFC 9113 section 6).
const (
	h2Headers, h2Reset, h2Settings, h2Ping = 0x1, 0x3, 0x4, 0x6

	h2EndStream, h2EndHeaders, h2Ack = 0x1, 0x4, 0x1
)

func appendH2(dst []byte, kind, flags byte, stream uint32, payload []byte) []byte {
	dst = append(dst, byte(len(payload)>>16), byte(len(payload)>>8), byte(len(payload)), kind, flags)
	return append(binary.BigEndian.AppendUint32(dst, stream), payload...)
}

// A rawH2 is a connection of HTTP/2.
type rawH2 struct {
	net.Conn
	t      *testing.T
	reader *bufio.Reader
	secure bool
	host   string
	Last   uint32 // stream; they are odd
}

func (b *Broker) RawH2(t *testing.T) *rawH2 {
	t.Helper()
	return b.RawH2From(t, net.Dialer{})
}

// RawH2From is RawH2 with a socket of the dialer's.
func (b *Broker) RawH2From(t *testing.T, dialer net.Dialer) *rawH2 {
	t.Helper()
	conn, err := dialer.Dial("tcp", b.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if b.TLS != nil {
		cfg := b.TLS.Clone()
		cfg.NextProtos = []string{"h2"}
		conn = tls.Client(conn, cfg)
	}
	if err := conn.SetDeadline(time.Now().Add(3 * Patience)); err != nil {
		t.Fatal(err)
	}
	c := &rawH2{Conn: conn, t: t, reader: bufio.NewReader(conn), secure: b.TLS != nil, host: b.Addr, Last: ^uint32(0)}
	c.Send(appendH2([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), h2Settings, 0, 0, nil))
	return c
}

func (c *rawH2) Send(p []byte) {
	c.t.Helper()
	if _, err := c.Write(p); err != nil {
		c.t.Fatal(err)
	}
}

// Request appends a request for a path on a new stream (RFC 7541).
func (c *rawH2) Request(dst []byte, path string) []byte {
	c.Last += 2
	block := []byte{0x82, 0x86} // GET, http
	if c.secure {
		block[1]++
	}
	block = append(append(block, 0x04, byte(len(path))), path...)
	block = append(append(block, 0x01, byte(len(c.host))), c.host...)
	return appendH2(dst, h2Headers, h2EndStream|h2EndHeaders, c.Last, block)
}

// Reset appends the end of a stream that the client cancels.
func (c *rawH2) Reset(dst []byte, stream uint32) []byte {
	const cancel = 0x8
	return appendH2(dst, h2Reset, 0, stream, []byte{0, 0, 0, cancel})
}

// Settled waits until the broker has read what was sent.
func (c *rawH2) Settled() {
	c.t.Helper()
	c.Send(appendH2(nil, h2Ping, 0, 0, make([]byte, 8)))
	var head [9]byte
	for {
		if _, err := io.ReadFull(c.reader, head[:]); err != nil {
			c.t.Fatal(err)
		}
		size := int(head[0])<<16 | int(head[1])<<8 | int(head[2])
		if _, err := c.reader.Discard(size); err != nil {
			c.t.Fatal(err)
		}
		if head[3] == h2Ping && head[4] == h2Ack {
			return
		}
	}
}
