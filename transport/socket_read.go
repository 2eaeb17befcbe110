//go:build unix

package transport

import (
	"io"
	"syscall"
)

// Supported reports whether this system can serve connections.
func Supported() error { return nil }

// tryRead reads what has come, or fails with notReady.
func tryRead(fd uintptr, p []byte) (int, error) {
	for {
		n, err := syscall.Read(int(fd), p)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			return 0, notReady{}
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		}
		return n, nil
	}
}
