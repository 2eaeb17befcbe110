package bench

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"belfry/cli"
	"belfry/client"
)

// A line is a receiving connection.
type line struct {
	net.Conn
	read *bufio.Reader // may hold data that arrived with the handshake
}

// readBuffer is the size of a connection's buffer, in bytes.
const readBuffer = 8 << 10

// dial returns a connection that is subscribed to a topic.
func (r *run) dial(ctx context.Context, topic string) (*line, error) {
	conn, host, err := r.broker.Dial(ctx)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	path, status := "/ws", http.StatusSwitchingProtocols
	header := r.broker.Header()
	if r.Transport == "sse" {
		path, status = "/sse", http.StatusOK
		header.Set("Accept", "text/event-stream")
	} else {
		nonce := make([]byte, 16)
		rand.Read(nonce) //nolint:errcheck // it never fails
		header.Set("Connection", "Upgrade")
		header.Set("Upgrade", "websocket")
		header.Set("Sec-Websocket-Version", "13")
		header.Set("Sec-Websocket-Key", base64.StdEncoding.EncodeToString(nonce))
	}
	if r.Transport == "v1" {
		header.Set("Sec-Websocket-Protocol", "belfry.v1")
	}
	l := &line{conn, bufio.NewReaderSize(conn, readBuffer)}
	if err := l.ask(r.broker, host, path+"?topic="+url.QueryEscape(topic), header, status); err != nil {
		conn.Close()
		return nil, err
	}
	return l, nil
}

// ask sends the request that opens the connection.
func (l *line) ask(b cli.Broker, host, target string, header http.Header, status int) error {
	u, err := url.Parse(b.Base())
	if err != nil {
		return err
	}
	l.SetDeadline(time.Now().Add(readyTime)) //nolint:errcheck // the next call fails then
	if _, err := fmt.Fprintf(l, "GET %s%s HTTP/1.1\r\nHost: %s\r\n", u.EscapedPath(), target, host); err != nil {
		return err
	}
	if err := header.Write(l); err != nil {
		return err
	}
	if _, err := io.WriteString(l, "\r\n"); err != nil {
		return err
	}
	res, err := http.ReadResponse(l.read, nil)
	if err != nil {
		return err
	}
	if res.StatusCode != status {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 64<<10)) // a part is enough
		return cli.Refusal(res, text)
	}
	return l.SetDeadline(time.Time{})
}

// dialPatiently connects to a broker that may admit connections only slowly.
func (r *run) dialPatiently(ctx context.Context, i int) (*line, error) {
	for try := 1; ; try++ {
		l, err := r.dial(ctx, r.topic(i))
		problem, refused := errors.AsType[*client.Problem](err)
		if !refused || try == dialTries || problem.Status != http.StatusTooManyRequests && problem.Status != http.StatusServiceUnavailable {
			return l, err
		}
		if !sleep(ctx, max(pause, problem.RetryAfter)) {
			return nil, ctx.Err()
		}
	}
}

// sleep reports false if ctx has ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// receive counts the events of a connection, and of those that replace it when it is lost.
func (r *run) receive(ctx context.Context, l *line, i int) {
	for {
		r.listen(ctx, l)
		for {
			if ctx.Err() != nil {
				return
			}
			next, err := r.dial(ctx, r.topic(i))
			if err == nil {
				l = next
				r.reconnects.Add(1)
				break
			}
			sleep(ctx, pause)
		}
	}
}

// listen counts the events of a connection until it is lost.
func (r *run) listen(ctx context.Context, l *line) {
	write := func(b []byte) { _, _ = l.Write(b) } // reading fails if this does
	s := &stream{
		frames: r.Transport != "sse",
		event:  r.tally.event,
		pong: func(payload []byte) { // with a mask of zeros (RFC 6455 section 5.3)
			write(append([]byte{0x8a, 0x80 | byte(len(payload)), 0, 0, 0, 0}, payload...))
		},
	}
	feed := func(b []byte) error {
		r.tally.now = r.clock()
		return s.feed(b)
	}
	feedAlone := func(b []byte) error {
		r.tally.Lock()
		defer r.tell()
		return feed(b)
	}
	early, _ := l.read.Peek(l.read.Buffered()) // all of it
	if feedAlone(early) != nil {
		l.Close()
		return
	}
	if r.poller.take(l.Conn, feed, func(w func([]byte)) { write = w }) {
		return
	}
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	defer l.Close()
	buffer := make([]byte, readBuffer)
	for {
		n, err := l.Read(buffer)
		if err != nil || feedAlone(buffer[:n]) != nil {
			return
		}
	}
}
