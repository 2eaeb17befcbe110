//go:build unix && !linux

package transport

import (
	"net"
	"syscall"
	"time"
)

// listenControl sets nothing: the kernel's defaults stay in force.
func listenControl(time.Duration) func(network, address string, c syscall.RawConn) error { return nil }

// readable reports whether a read of a socket would not block. It is a
// function for [syscall.RawConn.Read].
func readable(fd uintptr) bool {
	for {
		_, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		if err != syscall.EINTR {
			return err != syscall.EAGAIN
		}
	}
}

// A rawWriter writes to sockets without blocking. It serves one goroutine.
type rawWriter struct{}

func newRawWriter() *rawWriter { return &rawWriter{} }

// tryWrite writes as much of p as the kernel takes at once.
func (*rawWriter) tryWrite(c *conn, p []byte) (n int, err error) {
	failed := c.raw.Write(func(fd uintptr) bool {
		n, err = syscall.Write(int(fd), p)
		return err != syscall.EINTR
	})
	n = max(n, 0)
	if failed != nil {
		return n, failed
	}
	if err == syscall.EAGAIN {
		err = nil
	}
	return n, err
}

// unacknowledged cannot be asked for here: what the peer's TCP had not
// acknowledged when its connection ended is lost.
func unacknowledged(syscall.RawConn) int { return 0 }

// cut ends a connection without waiting for what it has not sent.
func cut(nc net.Conn) {
	if tcp, ok := nc.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // fails only for a socket that is gone
	}
	nc.Close()
}
