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

// tryWrite writes as much of p as the kernel takes at once. It goes past the
// runtime's poller: only the courier writes, a goroutine that waits for a full
// socket excepted, for which the courier waits, and nobody closes the socket
// before the courier has ended the connection.
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

// unacknowledged cannot be asked for here: what the peer's TCP had not
// acknowledged when its connection ended is lost.
func unacknowledged(syscall.RawConn) (int, error) { return 0, nil }
