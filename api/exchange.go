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

// An exchange is one request and what has become of it. It is the
// ResponseWriter that handlers see, and it is used again for other requests:
// nothing of it may be kept by who has been called with it.
type exchange struct {
	http.ResponseWriter
	r      *http.Request
	route  *route
	params httprouter.Params
	id     string      // the request's
	guard  *auth.Guard // of the listener that the request came to
	caller
	leave  func()    // to be called when what the request has begun ends; or nil
	start  time.Time // when the request's header had been read
	status int       // 0 before the header is written
	bytes  int64     // of the response's body

	in      bytes.Buffer // the request's body
	limited io.LimitedReader
	scratch []byte
	out     bytes.Buffer // the response's body
}

// keepCapacity bounds, in bytes, each buffer that waits for the next request.
const keepCapacity = 64 << 10

var exchanges = sync.Pool{New: func() any { return new(exchange) }}

func newExchange(w http.ResponseWriter, r *http.Request) *exchange {
	x := exchanges.Get().(*exchange)
	x.ResponseWriter, x.r, x.route, x.start = w, r, unmatched, time.Now()
	return x
}

// release gives x back to the pool without what belongs to its request.
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

// Hijack implements [http.Hijacker]. The status is that of a connection that
// goes on, with another protocol or without end.
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

// Unwrap lets [http.ResponseController] reach what the server's own writer can
// do besides.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }
