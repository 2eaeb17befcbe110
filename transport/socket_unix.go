//go:build unix && !linux

package transport

import (
	"syscall"
	"time"
)

// listenControl sets nothing: the kernel's defaults stay in force.
func listenControl(time.Duration) func(network, address string, c syscall.RawConn) error { return nil }

// limitUnsent does nothing: the kernel's default stays in force.
func limitUnsent(int32, int) {}

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

// tryWrite writes as much of p as the kernel takes at once. It goes past the runtime's
// poller. It may, because only the courier writes; while a goroutine waits for a full
// socket, the courier does not. The socket is not closed before the courier has ended the
// connection.
func tryWrite(c *conn, p []byte) (int, error) { return tryWriteTo(c.fd, p) }

func tryWriteTo(fd int32, p []byte) (int, error) {
	for {
		n, err := syscall.Write(int(fd), p)
		switch err {
		case nil:
			return n, nil
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return 0, nil
		default:
			return 0, err
		}
	}
}

// unacknowledged is not known here: bytes that the peer's TCP has not acknowledged at the
// end of a connection are lost.
func unacknowledged(syscall.RawConn) (int, error) { return 0, nil }
