package transport

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"
)

// An http2Sink is a stream of HTTP/2, which has no socket of its own.
type http2Sink struct{ stream byteStream }

// write lends the stream what waits; the stream says when it has written that. Frames
// without bytes, such as those of expired events, are not lent.
func (s http2Sink) write(k *courier, c *conn) (more bool) {
	buf := make([]byte, 0, min(scratchBytes, c.waiting.bytes))
	p := c.waiting.next(buf)
	if len(p) == 0 {
		k.advance(c, 0, 0)
		return true
	}
	c.waiting.flight, c.waiting.copied = len(p), cap(buf)
	k.weigh(c)
	k.lag(c)
	k.stats.Writes++
	s.stream.lend(p)
	return false
}

func (s http2Sink) pending(*conn) int { return s.stream.unacked() }

func (http2Sink) records() bool { return false }

func (s http2Sink) closeWrite(*courier, *conn) { closeWrite(s.stream) }

func (s http2Sink) close(*conn) { s.stream.Close() }

func (s http2Sink) abort(*conn) {
	s.stream.abortWrite()
	s.stream.Close()
}

// A byteStream takes a connection's bytes if its socket can't be taken over.
type byteStream interface {
	io.Closer
	// lend gives the stream bytes to write. reportWritten reports the result. The courier
	// does not lend more before that.
	lend(p []byte)
	// unacked returns how many of the bytes that were written the peer may not have.
	unacked() int
	// abortWrite ends a write under way, and what the peer has not read yet is lost
	// to it. The stream must not be closed yet.
	abortWrite()
}

// An httpStream is the response to a request whose socket can't be taken over: one of many
// streams over HTTP/2 (RFC 9113 section 5). Its bytes are written by the
// request's own goroutine.
type httpStream struct {
	w      http.ResponseWriter
	to     *http.ResponseController
	stall  time.Duration // how long a write may take
	below  tail          // nil: not known
	writes chan []byte   // of capacity 1: the courier lends one at a time
	hungUp chan struct{} // of capacity 1
	ended  chan struct{} // closed when the courier has ended the connection
}

func newHTTPStream(w http.ResponseWriter, stall time.Duration, below tail) *httpStream {
	return &httpStream{
		w: w, to: http.NewResponseController(w), stall: stall, below: below,
		writes: make(chan []byte, 1), hungUp: make(chan struct{}, 1), ended: make(chan struct{}),
	}
}

// serve writes what the courier lends until it ends the connection.
func (st *httpStream) serve(ctx context.Context, c *conn) {
	defer func() {
		if v := recover(); v != nil {
			c.courier.opts.panicked(v, c)
			c.courier.tell(report{kind: reportFailed, c: c})
			<-st.ended                  // the courier may use the response until then
			panic(http.ErrAbortHandler) // the peer sees that the stream is not whole
		}
	}()
	gone, written := ctx.Done(), false
	for {
		select {
		case p := <-st.writes:
			n, err := st.write(p)
			written = written || n > 0
			c.courier.tell(report{kind: reportWritten, c: c, n: n, err: err})
		case <-gone:
			gone = nil
			c.courier.tell(report{kind: reportGone, c: c})
		case <-st.hungUp:
			c.courier.tell(report{kind: reportGone, c: c})
		case <-st.ended:
			if !written {
				st.w.Header().Del("Content-Type")
				st.w.WriteHeader(http.StatusNoContent)
			}
			return
		}
	}
}

func (st *httpStream) write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	_ = st.to.SetWriteDeadline(time.Now().Add(st.stall)) // without a deadline the write may take longer
	n, err := st.w.Write(p)
	if err == nil {
		err = st.to.Flush()
	}
	_ = st.to.SetWriteDeadline(time.Time{}) // it would end the stream later, even at rest
	return n, err
}

func (st *httpStream) lend(p []byte) { st.writes <- p }

// Read has nothing to read: the peer sends only its request.
func (st *httpStream) Read([]byte) (int, error) { return 0, io.EOF }

// Write is not how a stream is written to.
func (st *httpStream) Write([]byte) (int, error) { return 0, errors.ErrUnsupported }

// CloseWrite ends the stream after what it was lent.
func (st *httpStream) CloseWrite() error {
	st.hungUp <- struct{}{}
	return nil
}

// Close ends the stream in order, if nothing is being written.
func (st *httpStream) Close() error {
	close(st.ended)
	return nil
}

func (st *httpStream) abortWrite() { _ = st.to.SetWriteDeadline(time.Unix(0, 1)) }
