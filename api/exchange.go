package api

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/julienschmidt/httprouter"

	"belfry/api/auth"
)

// An exchange is one request and its response. It is the ResponseWriter that handlers see.
// It is reused for other requests, so handlers must not keep it or a part of it.
type exchange struct {
	http.ResponseWriter
	r      *http.Request
	route  *route
	params httprouter.Params
	id     string      // the request's
	guard  *auth.Guard // of the listener that the request came to
	caller
	leave  func()    // called when the admitted work ends; or nil
	start  time.Time // when the request's header had been read
	status int       // 0 before the header is written
	bytes  int64     // of the response's body

	in      bytes.Buffer // the request's body
	limited io.LimitedReader
	scratch []byte
	out     bytes.Buffer // the response's body
}

// keepCapacity bounds each buffer that is kept for the next request, in bytes.
const keepCapacity = 64 << 10

var exchanges = sync.Pool{New: func() any { return new(exchange) }}

func newExchange(w http.ResponseWriter, r *http.Request) *exchange {
	x := exchanges.Get().(*exchange)
	x.ResponseWriter, x.r, x.route, x.start = w, r, unmatched, time.Now()
	return x
}

// release clears x and returns it to the pool.
func (x *exchange) release() {
	if x.in.Cap() > keepCapacity || cap(x.scratch) > keepCapacity || x.out.Cap() > keepCapacity {
		return
	}
	x.in.Reset()
	x.out.Reset()
	*x = exchange{in: x.in, scratch: x.scratch[:0], out: x.out}
	exchanges.Put(x)
}

// WriteHeader keeps the status for the access log.
func (x *exchange) WriteHeader(status int) {
	if x.status == 0 {
		x.status = status
	}
	x.ResponseWriter.WriteHeader(status)
}

// Write counts for the access log.
func (x *exchange) Write(p []byte) (int, error) {
	if x.status == 0 {
		x.status = http.StatusOK
	}
	n, err := x.ResponseWriter.Write(p)
	x.bytes += int64(n)
	return n, err
}

// Hijack implements [http.Hijacker]. The status is that of a connection that goes on, with
// another protocol or without end.
func (x *exchange) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(x.ResponseWriter).Hijack()
	if err == nil && x.leave != nil {
		tellEnd(conn, x.leave)
		x.leave = nil
	}
	switch {
	case err != nil:
	case x.route.stream:
		x.status = http.StatusOK
	default:
		x.status = http.StatusSwitchingProtocols
	}
	return conn, buffered, err
}

// Unwrap gives [http.ResponseController] the server's own writer.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }
