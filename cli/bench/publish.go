package bench

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"belfry/cli"
)

// publish publishes for the duration of the measurement, and one event at least, however
// slow the machine is.
func (r *run) publish(whole context.Context) {
	ctx, cancel := context.WithTimeout(whole, r.Duration)
	defer cancel()
	turns := make(chan int) // topics
	var publishers sync.WaitGroup
	for range r.Publishers {
		publishers.Go(func() {
			p := &publisher{run: r, message: r.message()}
			defer p.close()
			for topic := range turns {
				// Finish what has begun: otherwise the expected number is unknown.
				r.took(topic, p.publish(context.WithoutCancel(ctx), topic))
			}
		})
	}
	start := r.clock()
	for n, end := 0, whole.Done(); n == 0 || r.await(ctx, start, n); n, end = n+1, ctx.Done() {
		topic := n % r.Topics
		r.granted.Add(r.audience(topic))
		select {
		case turns <- topic:
		case <-end:
		}
	}
	close(turns)
	publishers.Wait()
}

// took counts the outcome of a publish.
func (r *run) took(topic int, err error) {
	if err != nil {
		r.failed.Add(1)
		r.granted.Add(-r.audience(topic))
		r.failure.Store(&err)
		time.Sleep(pause)
		return
	}
	r.sent.Add(1)
	r.expected.Add(r.audience(topic))
}

// await waits until event n is due. It reports false if it never will be.
func (r *run) await(ctx context.Context, start time.Duration, n int) bool {
	if r.Rate > 0 {
		due := start + time.Duration(float64(n)/float64(r.Rate)*1e9)
		if wait := due - r.clock(); wait > 0 {
			return sleep(ctx, wait)
		}
		return ctx.Err() == nil
	}
	room := int64(r.Window-1) * int64(r.Connections) / int64(r.Topics)
	for r.granted.Load()-r.received.Load() > room {
		select {
		case <-r.note:
		case <-time.After(pause): // check from time to time: a publish may have failed,
			if r.clock()-time.Duration(r.newest.Load()) > quietTime { // or events may be lost
				r.granted.Store(r.received.Load())
			}
		case <-ctx.Done():
			return false
		}
	}
	return ctx.Err() == nil
}

// A publisher publishes over one connection, one event at a time.
type publisher struct {
	run     *run
	message []byte
	head    string // of a request, up to the length of its body
	conn    net.Conn
	answers *bufio.Reader
	request []byte
}

func (p *publisher) close() {
	if p.conn != nil {
		p.conn.Close()
		p.conn = nil
	}
}

func (p *publisher) publish(ctx context.Context, topic int) error {
	if p.conn == nil {
		if err := p.connect(ctx); err != nil {
			return err
		}
	}
	stamp(p.message, p.run.clock())
	body := fmt.Sprintf(`{"topic":"%s%d","message":"%s"}`, p.run.prefix, topic, p.message)
	p.request = fmt.Appendf(p.request[:0], "%sContent-Length: %d\r\n\r\n%s", p.head, len(body), body)
	p.conn.SetDeadline(time.Now().Add(drainTime)) //nolint:errcheck // the next call fails then
	if _, err := p.conn.Write(p.request); err != nil {
		p.close()
		return err
	}
	res, err := http.ReadResponse(p.answers, nil)
	if err != nil {
		p.close()
		return err
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if err != nil || res.Close {
		p.close()
	}
	if err == nil && res.StatusCode != http.StatusOK {
		err = cli.Refusal(res, text)
	}
	return err
}

func (p *publisher) connect(ctx context.Context) error {
	u, err := url.Parse(p.run.broker.Base())
	if err != nil {
		return err
	}
	conn, host, err := p.run.broker.Dial(ctx)
	if err != nil {
		return err
	}
	p.conn, p.answers = conn, bufio.NewReader(conn)
	p.head = fmt.Sprintf("POST %s/publish HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n", u.EscapedPath(), host)
	if admission := p.run.broker.Header().Get("Authorization"); admission != "" {
		p.head += "Authorization: " + admission + "\r\n"
	}
	return nil
}
