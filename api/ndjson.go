package api

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"belfry/api/limit"
	"belfry/hub"
)

// Events in a stream: one in each line of the body, which may have no end. They
// are published as they come; while the hub has no room nothing more is read, so
// that the sender waits, too.

// Bounds of what is read ahead and published together.
const (
	streamEvents = 256
	streamBytes  = 64 << 10
)

// maxLineErrors bounds the errors that a summary lists.
const maxLineErrors = 100

// A stream is a request under way.
type stream struct {
	s       *Server
	x       *exchange
	control *http.ResponseController
	in      *bufio.Reader
	line    int // number of the last line read
	long    []byte

	batch []hub.Event
	lines []int // of the batch's events
	bytes int

	summary summary
}

// A summary answers a stream.
type summary struct {
	accepted    int
	rejected    int // lines
	first, last hub.Cursor
	errors      []lineError
}

// A lineError says why a line was not published.
type lineError struct {
	line int
	*problem
}

// appendJSON implements [appender].
func (r *summary) appendJSON(dst []byte) []byte {
	dst = append(dst, `{"accepted":`...)
	dst = strconv.AppendInt(dst, int64(r.accepted), 10)
	dst = append(dst, `,"rejected":`...)
	dst = strconv.AppendInt(dst, int64(r.rejected), 10)
	if r.accepted > 0 {
		dst = append(r.first.AppendTo(append(dst, `,"first_cursor":"`...)), '"')
		dst = append(r.last.AppendTo(append(dst, `,"last_cursor":"`...)), '"')
	}
	dst = append(dst, `,"errors":[`...)
	for i, e := range r.errors {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"line":`...)
		dst = strconv.AppendInt(dst, int64(e.line), 10)
		dst = append(append(append(dst, `,"code":"`...), e.code...), `","detail":`...)
		dst, _ = jsontext.AppendQuote(dst, bytes.ToValidUTF8([]byte(e.detail), []byte("\uFFFD"))) // cannot fail: it is UTF-8
		dst = append(dst, '}')
	}
	return append(dst, `]}`...)
}

// publishStream publishes a stream and answers with its summary.
func (s *Server) publishStream(x *exchange) error {
	if x.r.Header["Idempotency-Key"] != nil {
		return invalidKey.because("a stream has no key: what of it was published before it broke off would be published again; give each line an id, or send batches")
	}
	st := &stream{s: s, x: x, control: http.NewResponseController(x.ResponseWriter), in: bufio.NewReaderSize(x.r.Body, streamBytes)}
	// Of the first line that can't be read, or if the broker stops, the rest is
	// not known. What was taken is.
	if err := st.run(); err != nil {
		p, _ := problemOf(err)
		st.reject(st.line+1, p)
	}
	s.metrics.published(x.start)
	x.Header()["Content-Type"] = contentJSON
	st.extend()
	x.out.Write(append(st.summary.appendJSON(x.out.AvailableBuffer()), '\n'))
	_, err := x.Write(x.out.Bytes())
	_ = err // if the peer is gone, there is nobody to tell
	return nil
}

// run reads to the end.
func (st *stream) run() error {
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-st.s.opts.Stopping:
			_ = st.control.SetReadDeadline(time.Unix(1, 0)) // the stream ends here
		case <-ended:
		}
	}()
	for {
		line, err := st.next()
		if err != nil && err != io.EOF {
			return errors.Join(st.flush(), err)
		}
		if len(bytes.Trim(line, whitespace)) > 0 {
			st.take(line)
		}
		if err == io.EOF || len(st.batch) >= streamEvents || st.bytes >= streamBytes || st.in.Buffered() == 0 {
			if err := st.flush(); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
	}
}

// next returns the next line. It fails with [io.EOF] behind the last.
func (st *stream) next() ([]byte, error) {
	most := st.x.limits.MaxBody
	st.long = st.long[:0]
	for {
		if st.in.Buffered() == 0 && !st.s.isStopping() {
			st.extend()
		}
		part, err := st.in.ReadSlice('\n')
		if len(st.long)+len(part) > most {
			return nil, payloadTooLarge.because(fmt.Sprintf("the line has more than %d bytes; send less, or raise max_body", most))
		}
		switch {
		case err == nil && len(st.long) == 0:
			st.line++
			return part, nil
		case err == bufio.ErrBufferFull:
			st.long = append(st.long, part...)
			continue
		case err == nil:
			st.line++
			return append(st.long, part...), nil
		case err == io.EOF:
			if st.long = append(st.long, part...); len(st.long) > 0 {
				st.line++
			}
			return st.long, io.EOF
		case st.s.isStopping():
			return nil, hub.ErrDraining
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, requestTimeout.because("the next line took too long to arrive; send faster, or raise body_timeout")
		}
		return nil, malformedRequest.because("the stream did not arrive whole; send what is behind the last line that was accepted again")
	}
}

// extend gives the peer the time that it has for the next bytes.
func (st *stream) extend() {
	// A server that can't move its deadlines has none.
	now := time.Now()
	_ = st.control.SetReadDeadline(now.Add(st.s.opts.BodyTimeout))
	_ = st.control.SetWriteDeadline(now.Add(st.s.opts.BodyTimeout + st.s.opts.WriteTimeout))
}

// take adds the event of a line to those that are published next.
func (st *stream) take(line []byte) {
	var req publishRequest
	err := decode(line, &req, st.x.limits.MaxDepth, publishMembers)
	var ev hub.Event
	if err == nil {
		ev, err = st.s.event(st.x, &req)
	}
	if err != nil {
		p, _ := problemOf(err)
		st.reject(st.line, p)
		return
	}
	st.batch, st.lines = append(st.batch, ev), append(st.lines, st.line)
	st.bytes += len(ev.Message)
}

func (st *stream) reject(line int, p *problem) {
	st.summary.rejected++
	if len(st.summary.errors) < maxLineErrors {
		st.summary.errors = append(st.summary.errors, lineError{line, p})
	}
}

// flush publishes what has been taken. As long as there is no room it waits.
func (st *stream) flush() error {
	if len(st.batch) == 0 {
		return nil
	}
	ctx := st.x.r.Context()
	if err := st.allowed(ctx); err != nil {
		return err
	}
	for {
		done, err := st.s.opts.Hub.PublishAll(ctx, hub.Publication{Events: st.batch})
		if err == hub.ErrBusy && ctx.Err() == nil && !st.s.isStopping() {
			continue // it has waited already
		}
		if err != nil {
			st.line = st.lines[0] - 1
			return err
		}
		if st.summary.accepted == 0 {
			st.summary.first = done[0].Cursor
		}
		st.summary.last = done[len(done)-1].Cursor
		st.summary.accepted += len(done)
		st.batch, st.lines, st.bytes = nil, nil, 0
		return nil
	}
}

// allowed waits until the publisher may publish what has been taken.
func (st *stream) allowed(ctx context.Context) error {
	left := len(st.batch)
	if st.summary.accepted == 0 {
		left-- // one was taken before the body was read
	}
	for left > 0 {
		err := st.s.mayPublish(st.x, 1)
		refusal, ok := errors.AsType[*limit.Refusal](err)
		if err != nil && !ok {
			return err
		}
		if !ok {
			left--
			continue
		}
		wait := time.NewTimer(refusal.After)
		select {
		case <-wait.C:
		case <-st.s.opts.Stopping:
			wait.Stop()
			return hub.ErrDraining
		case <-ctx.Done():
			wait.Stop()
			return hub.ErrBusy
		}
	}
	return nil
}

// isStopping reports whether no request should wait any more.
func (s *Server) isStopping() bool {
	select {
	case <-s.opts.Stopping:
		return true
	default:
		return false
	}
}
