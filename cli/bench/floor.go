package bench

import (
	"io"
	"net"
	"time"
)

// floorTime is how long the floor is measured.
const floorTime = 200 * time.Millisecond

// floor measures the cost of one write of a message to a loopback connection whose peer
// only reads. A delivery that is a write of its own cannot cost less.
func floor(size int) (time.Duration, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	to, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		return 0, err
	}
	from, err := listener.Accept()
	if err != nil {
		to.Close()
		return 0, err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(io.Discard, from) // until the end
		from.Close()
	}()
	defer func() { to.Close(); <-done }()
	frame := make([]byte, size+2)
	start, n := time.Now(), 0
	for time.Since(start) < floorTime {
		for range 64 {
			if _, err := to.Write(frame); err != nil {
				return 0, err
			}
		}
		n += 64
	}
	return time.Since(start) / time.Duration(n), nil
}
