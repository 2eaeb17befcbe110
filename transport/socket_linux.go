package transport

import (
	"net"
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

// A rawWriter writes to sockets without blocking and without allocating. It
// serves one goroutine.
type rawWriter struct {
	p     []byte
	n     int
	errno syscall.Errno
	write func(fd uintptr) bool // do, bound once
}

func newRawWriter() *rawWriter {
	w := &rawWriter{}
	w.write = w.do
	return w
}

// tryWrite writes as much of p as the kernel takes at once.
func (w *rawWriter) tryWrite(c *conn, p []byte) (int, error) {
	w.p, w.n, w.errno = p, 0, 0
	err := c.raw.Write(w.write)
	w.p = nil
	switch {
	case err != nil:
		return w.n, err
	case w.errno != 0:
		return w.n, w.errno
	}
	return w.n, nil
}

// do writes once. The raw system call does not tell the scheduler: a socket
// that does not block takes microseconds, less than it costs to be replaced.
func (w *rawWriter) do(fd uintptr) bool {
	for {
		n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, fd, uintptr(unsafe.Pointer(unsafe.SliceData(w.p))), uintptr(len(w.p)))
		switch errno {
		case 0:
			w.n = int(n)
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
		default:
			w.errno = errno
		}
		return true
	}
}

// unacknowledged returns how many bytes written to a connection its peer's
// TCP has not acknowledged.
func unacknowledged(raw syscall.RawConn) (n int) {
	_ = raw.Control(func(fd uintptr) {
		// A socket that cannot tell any more has nothing to add.
		n, _ = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
	})
	return n
}

// cut ends a connection without waiting for what it has not sent.
func cut(nc net.Conn) {
	if tcp, ok := nc.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // fails only for a socket that is gone
	}
	nc.Close()
}
