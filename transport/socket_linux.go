package transport

import (
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// listenControl sets what accepted connections inherit from their listener.
func listenControl(dead time.Duration) func(network, address string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) {
			failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsentBytes)
			if failed == nil {
				failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(dead.Milliseconds()))
			}
		})
		if err != nil {
			return err
		}
		return failed
	}
}

// limitUnsent bounds how many unsent bytes the kernel holds for a socket. It does nothing
// if the socket is not of TCP.
func limitUnsent(fd int32, bytes int) {
	_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, bytes)
}

// readable reports whether a read of a socket would not block: there are
// bytes, an end or an error. It is a function for [syscall.RawConn.Read],
// which parks the goroutine while it says no.
func readable(fd uintptr) bool {
	var b [1]byte
	for {
		_, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&b)), 1, syscall.MSG_PEEK|syscall.MSG_DONTWAIT, 0, 0)
		if errno != syscall.EINTR {
			return errno != syscall.EAGAIN
		}
	}
}

// tryWrite writes as much of p as the kernel takes at once. It goes past the runtime's
// poller and its locks. It may, because only the courier writes; while a goroutine waits
// for a full socket, the courier does not. The socket is not closed before the courier has
// ended the connection.
//
// The scheduler does not hear of the system call either: the call takes microseconds, less
// than a switch would.
func tryWrite(c *conn, p []byte) (int, error) { return tryWriteTo(c.fd, p) }

func tryWriteTo(fd int32, p []byte) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
		switch errno {
		case 0:
			return int(n), nil
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return 0, nil
		default:
			return 0, errno
		}
	}
}

// unacknowledged returns how many bytes written to a connection its peer's
// TCP has not acknowledged. It fails for one that is closed.
func unacknowledged(raw syscall.RawConn) (n int, err error) {
	err = raw.Control(func(fd uintptr) {
		// A socket that can't tell counts as acknowledged.
		n, _ = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
	})
	return n, err
}
