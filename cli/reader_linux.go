package cli

import (
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// watchReader calls gone when the reader of out, a pipe, has gone. A command that waits
// for events would otherwise not notice before its next write. The watch ends with stop.
func watchReader(out io.Writer, gone func()) (stop func()) {
	f, ok := out.(*os.File)
	if !ok {
		return func() {}
	}
	stopped, stopping, err := os.Pipe()
	if err != nil {
		return func() {} // the next write fails then
	}
	var watch sync.WaitGroup
	watch.Go(func() {
		both := []unix.PollFd{{Fd: int32(f.Fd())}, {Fd: int32(stopped.Fd())}} // errors and ends are always reported
		_, err := unix.Poll(both, -1)
		for err == unix.EINTR {
			_, err = unix.Poll(both, -1)
		}
		if both[0].Revents&unix.POLLERR != 0 {
			gone()
		}
	})
	return func() {
		stopping.Close()
		watch.Wait()
		stopped.Close()
	}
}
