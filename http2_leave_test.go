package main

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"
)

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
	last   uint32 // stream; they are odd
}

func (b *testBroker) rawH2(t *testing.T) *rawH2 {
	t.Helper()
	conn, err := net.Dial("tcp", b.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if b.tls != nil {
		cfg := b.tls.Clone()
		cfg.NextProtos = []string{"h2"}
		conn = tls.Client(conn, cfg)
	}
	if err := conn.SetDeadline(time.Now().Add(3 * patience)); err != nil {
		t.Fatal(err)
	}
	c := &rawH2{Conn: conn, t: t, reader: bufio.NewReader(conn), secure: b.tls != nil, host: b.addr, last: ^uint32(0)}
	c.write(appendH2([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), h2Settings, 0, 0, nil))
	return c
}

func (c *rawH2) write(p []byte) {
	c.t.Helper()
	if _, err := c.Write(p); err != nil {
		c.t.Fatal(err)
	}
}

// request appends a request for a path on a new stream (RFC 7541).
func (c *rawH2) request(dst []byte, path string) []byte {
	c.last += 2
	block := []byte{0x82, 0x86} // GET, http
	if c.secure {
		block[1]++
	}
	block = append(append(block, 0x04, byte(len(path))), path...)
	block = append(append(block, 0x01, byte(len(c.host))), c.host...)
	return appendH2(dst, h2Headers, h2EndStream|h2EndHeaders, c.last, block)
}

// reset appends the end of a stream that the client cancels.
func (c *rawH2) reset(dst []byte, stream uint32) []byte {
	const cancel = 0x8
	return appendH2(dst, h2Reset, 0, stream, []byte{0, 0, 0, cancel})
}

// settled waits until the broker has read what was sent.
func (c *rawH2) settled() {
	c.t.Helper()
	c.write(appendH2(nil, h2Ping, 0, 0, make([]byte, 8)))
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

// TestLeaveHTTP2: clients that ask for a stream and leave at once, in the same
// segment or when their requests have been read, are not connected afterwards, and
// the broker lives.
func TestLeaveHTTP2(t *testing.T) {
	t.Parallel()
	b := start(t, "--protocols=http1+http2", "--close-timeout=50ms")
	registered := "/sse/" + b.register(t, `{"user_id": 1}`).ClientID
	const bursts, streams = 12, 30
	for n := range bursts {
		path := "/sse?topic=cats"
		if n%2 == 1 {
			path = registered
		}
		c := b.rawH2(t)
		var burst []byte
		for range streams {
			burst = c.request(burst, path)
			if n%4 < 2 {
				burst = c.reset(burst, c.last)
			}
		}
		c.write(burst)
		if n%4 >= 2 {
			if n%8 >= 4 {
				c.settled()
			}
			burst = nil
			for stream := uint32(1); stream <= c.last; stream += 2 {
				burst = c.reset(burst, stream)
			}
			c.write(burst)
		}
		c.settled()
		if n%3 == 0 {
			c.Close()
		}
	}
	b.away(t)
	eventually(t, "each connection that was opened has ended", func() bool {
		return b.metric(t, "belfry_connections") == 0 &&
			b.metric(t, "belfry_connections_opened_total") == b.metric(t, "belfry_connections_closed_total")
	})
	// And it is of use.
	s := b.streamH2(t.Context(), t, b.h2(t), registered)
	b.publish(t, event("cats", "one"))
	s.expect("message", "one")
}
