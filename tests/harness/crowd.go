package harness

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
)

// A crowd counts what its connections receive.
type crowd struct {
	received atomic.Int64
	lost     atomic.Bool   // a connection has ended
	changed  chan struct{} // of capacity 1
	running  sync.WaitGroup
	conns    []io.Closer
}

// read counts messages until the connection ends.
func (c *crowd) read(from io.Reader) {
	buf := make([]byte, 64<<10)
	kept := 0
	for {
		n, err := from.Read(buf[kept:])
		text := buf[:kept+n]
		marks := bytes.Count(text, []byte(mark))
		c.received.Add(int64(marks))
		if err != nil {
			c.lost.Store(true)
		}
		if marks > 0 || err != nil {
			select {
			case c.changed <- struct{}{}:
			default:
			}
		}
		if err != nil {
			return
		}
		kept = copy(buf, text[len(text)-min(len(text), len(mark)-1):])
	}
}

// Wait waits until so many messages were received in all.
func (c *crowd) Wait(b *testing.B, total int64) {
	b.Helper()
	for c.received.Load() < total {
		if c.lost.Load() {
			b.Fatal("a connection was lost")
		}
		<-c.changed
	}
}

// A Door is a way to subscribe to the topic news.
type Door struct {
	Name, Request string
	TLS           bool
}

const UpgradeHeader = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"

// Gather connects n subscribers through a door.
func (p *BenchBroker) Gather(b *testing.B, through Door, n int, query string) *crowd {
	b.Helper()
	c := &crowd{changed: make(chan struct{}, 1)}
	b.Cleanup(func() {
		for _, conn := range c.conns {
			conn.Close()
		}
		c.running.Wait()
	})
	streams := p.streams(b)
	for range n {
		var from io.ReadCloser
		var err error
		if through.Request == "" {
			if p.tls != nil {
				streams = p.streams(b)
			}
			from, err = openStream(b.Context(), streams, p.web("/sse?topic=news"+query))
		} else {
			from, err = p.OpenSocket(fmt.Sprintf(through.Request, query))
		}
		if err != nil {
			b.Fatal(err)
		}
		c.conns = append(c.conns, from)
		c.running.Go(func() { c.read(from) })
	}
	return c
}

// streams speaks HTTP/2.
func (p *BenchBroker) streams(b *testing.B) http.RoundTripper {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(p.tls == nil)
	protocols.SetHTTP2(p.tls != nil)
	t := &http.Transport{Protocols: protocols, TLSClientConfig: p.tls.Clone()}
	b.Cleanup(t.CloseIdleConnections)
	return t
}

func openStream(ctx context.Context, through http.RoundTripper, url string) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := through.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	return response.Body, nil
}

// OpenSocket returns a connection that has been answered.
func (p *BenchBroker) OpenSocket(request string) (io.ReadCloser, error) {
	conn, err := net.Dial("tcp", p.Addr)
	if err != nil {
		return nil, err
	}
	if p.tls != nil {
		conn = tls.Client(conn, p.tls)
	}
	_, err = io.WriteString(conn, request)
	for end := []byte{}; err == nil && !bytes.HasSuffix(end, []byte("\r\n\r\n")); {
		one := make([]byte, 1) // and no more: what follows is for the reader
		_, err = io.ReadFull(conn, one)
		end = append(end, one...)
	}
	return conn, err
}
