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
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"belfry/api/auth"
	"belfry/hub"
)

// A stream has one event in each line of a body that may have no end. Events are published
// as they come. While the hub has no room nothing more is read, so that the sender waits
// too.

// Bounds of what is read ahead and published together.
const (
	streamEvents = 256
	streamBytes  = 64 << 10
)

// maxLineErrors bounds the line errors in a summary. The reason for an early end is added
// to them.
const maxLineErrors = 100

// A stream is a request under way.
type stream struct {
	s       *Server
	x       *exchange
	ctx     context.Context // ends when reading must end
	control *http.ResponseController
	in      *bufio.Reader
	line    int    // of the last line read
	long    []byte // a line that does not fit in the reader's buffer

	batch []hub.Event
	lines []int // the line numbers of the batch's events
	bytes int

	summary summary
}

// A summary answers a stream.
type summary struct {
	accepted    int
	rejected    int // rejected lines
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
		return invalidKey.because("a stream cannot have a key: a repeat would publish its first events again; give each line an id, or send batches")
	}
	ctx, end := s.tenure(x.r.Context(), x, has(auth.Publish))
	defer end()
	st := &stream{s: s, x: x, ctx: ctx, control: http.NewResponseController(x.ResponseWriter)}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		s.aside(x, st.endReading, func() {})() // it ends when the deadline of the read passes
	})
	defer func() {
		if !stop() {
			<-ended // after that the connection belongs to the next request
		}
	}()
	st.in = bufio.NewReaderSize(st, streamBytes)
	// If a line cannot be read, the broker stops or the sender loses its rights, the rest
	// is unknown. The events that were accepted are published.
	if err := st.run(); err != nil {
		s.logDenial(x, err)
		p, _ := problemOf(err)
		st.summary.errors = append(st.summary.errors, lineError{st.line + 1, p})
	}
	slices.SortStableFunc(st.summary.errors, func(a, b lineError) int { return a.line - b.line })
	s.metrics.published(x.start)
	x.Header()["Content-Type"] = contentJSON
	st.extend()
	x.out.Write(append(st.summary.appendJSON(x.out.AvailableBuffer()), '\n'))
	_, _ = x.Write(x.out.Bytes()) // if the peer is gone, there is nobody to tell
	return nil
}

// run reads to the end.
func (st *stream) run() error {
	for {
		line, err := st.next()
		switch {
		case err == errLongLine:
			st.reject(st.line, payloadTooLarge.because(fmt.Sprintf("the line has more than %d bytes; send less, or raise max_body", st.x.limits.MaxBody)))
		case err != nil && err != io.EOF:
			return errors.Join(st.flush(), err)
		case len(bytes.Trim(line, whitespace)) > 0:
			st.take(line)
		}
		if err == io.EOF || len(st.batch) >= streamEvents || st.bytes >= streamBytes || !st.isAhead() {
			if err := st.flush(); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
	}
}

// isAhead reports whether the next line has been read already. If not, it may take long to
// arrive.
func (st *stream) isAhead() bool {
	there, _ := st.in.Peek(st.in.Buffered()) // cannot fail: they are there
	return bytes.IndexByte(there, '\n') >= 0
}

var errLongLine = errors.New("the line is too long")

// next returns the next line, valid until the next call. It fails with [io.EOF] after the
// last line, which may lack its line end. It fails with errLongLine after it has skipped a
// line that is too long.
func (st *stream) next() (line []byte, err error) {
	st.long = st.long[:0]
	for size := 0; ; {
		part, err := st.in.ReadSlice('\n')
		if size += len(part); size > 0 && (err == nil || err == io.EOF) {
			st.line++
		}
		tooLong := size > st.x.limits.MaxBody
		switch {
		case err == nil && tooLong:
			return nil, errLongLine
		case err == nil && size == len(part):
			return part, nil // the usual case
		case err == nil:
			return append(st.long, part...), nil
		case err == io.EOF && tooLong:
			st.long = st.long[:0]
			return nil, errLongLine // the next call meets the end
		case err == io.EOF:
			return append(st.long, part...), io.EOF
		case err != bufio.ErrBufferFull:
			return nil, st.broken(err)
		case !tooLong:
			st.long = append(st.long, part...)
		}
	}
}

// Read reads from the body.
func (st *stream) Read(p []byte) (int, error) {
	st.extend()
	return st.x.r.Body.Read(p)
}

// broken explains why the body cannot be read further.
func (st *stream) broken(err error) error {
	ended := why(st.ctx)
	switch {
	case ended != nil:
		return ended
	case errors.Is(err, os.ErrDeadlineExceeded):
		return requestTimeout.because("the next line took too long to arrive; send faster, or raise body_timeout")
	}
	return malformedRequest.because("the stream did not arrive completely; send the lines after the last accepted one again")
}

// extend gives the peer time for the next bytes.
func (st *stream) extend() {
	// A server that cannot move deadlines has none.
	now := time.Now()
	_ = st.control.SetReadDeadline(now.Add(st.s.opts.BodyTimeout))
	_ = st.control.SetWriteDeadline(now.Add(st.s.opts.BodyTimeout + st.s.opts.WriteTimeout))
	if st.ctx.Err() != nil {
		st.endReading() // the reading may have ended in between
	}
}

// endReading ends the stream at the present line.
func (st *stream) endReading() { _ = st.control.SetReadDeadline(time.Unix(1, 0)) }

// take adds the event of a line to the next batch.
func (st *stream) take(line []byte) {
	var req publishRequest
	err := decode(line, &req, st.x.limits.MaxDepth, publishMembers)
	var ev hub.Event
	if err == nil {
		asked := req.request()
		ev, err = st.s.event(&st.x.caller, &asked)
	}
	if err != nil {
		st.s.logDenial(st.x, err)
		p, _ := problemOf(err)
		st.reject(st.line, p)
		return
	}
	st.batch, st.lines = append(st.batch, ev), append(st.lines, st.line)
	st.bytes += len(ev.Message)
}

// reject skips a line.
func (st *stream) reject(line int, p *problem) {
	st.summary.rejected++
	if len(st.summary.errors) < maxLineErrors {
		st.summary.errors = append(st.summary.errors, lineError{line, p})
	}
}

// refresh checks whether the sender may still publish the events of the batch, just before
// it is published.
func (st *stream) refresh() error {
	before := st.x.who
	if err := st.s.refresh(&st.x.caller, has(auth.Publish)); err != nil || st.x.who == before {
		return err
	}
	kept := 0
	for i := range st.batch {
		if err := st.x.who.MayPublish(st.batch[i].Topic); err != nil {
			st.s.logDenial(st.x, err)
			p, _ := problemOf(err)
			st.reject(st.lines[i], p)
			continue
		}
		st.batch[kept], st.lines[kept] = st.batch[i], st.lines[i]
		kept++
	}
	st.drop(kept)
	return nil
}

// drop keeps only the first events of the batch.
func (st *stream) drop(kept int) {
	clear(st.batch[kept:]) // the hub has copies; nothing here must retain what it evicts
	st.batch, st.lines = st.batch[:kept], st.lines[:kept]
}

// flush publishes the batch. While the hub has no room it waits.
func (st *stream) flush() error {
	if len(st.batch) == 0 {
		return nil
	}
	err := st.allowed()
	for {
		if err == nil {
			err = st.refresh()
		}
		if err == nil && len(st.batch) > 0 {
			err = st.publish()
		}
		switch {
		case err == hub.ErrBusy && st.ctx.Err() == nil:
			st.extend() // the wait used up the time of the read
			err = nil
		case err == hub.ErrBusy && why(st.ctx) != nil:
			err = why(st.ctx)
			fallthrough
		case err != nil:
			if len(st.lines) > 0 {
				st.line = st.lines[0] - 1
			}
			return err
		default:
			st.drop(0)
			st.bytes = 0
			return nil
		}
	}
}

// publish publishes the batch.
func (st *stream) publish() error {
	done, err := st.s.opts.Hub.PublishAll(st.x.r.Context(), hub.Publication{Events: st.batch})
	if err != nil {
		return err
	}
	if st.summary.accepted == 0 {
		st.summary.first = done[0].Cursor
	}
	st.summary.last = done[len(done)-1].Cursor
	st.summary.accepted += len(done)
	return nil
}

// allowed waits until the publisher's rate permits the batch.
func (st *stream) allowed() error {
	left := len(st.batch)
	if st.summary.accepted == 0 {
		left-- // one event was taken before the body was read
	}
	for n := left; left > 0; {
		status, ok := st.s.takeQuota(st.x.who, n)
		switch {
		case ok:
			left -= n
		case n > 1:
			n = 1
		default:
			if err := st.pause(status.Wait); err != nil {
				return err
			}
		}
	}
	return nil
}

// pause waits, and so does the peer.
func (st *stream) pause(d time.Duration) error {
	st.extend()
	wait := time.NewTimer(d)
	defer wait.Stop()
	select {
	case <-wait.C:
		return nil
	case <-st.ctx.Done():
		if err := why(st.ctx); err != nil {
			return err
		}
		return hub.ErrBusy
	}
}
