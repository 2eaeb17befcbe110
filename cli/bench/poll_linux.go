package bench

import (
	"context"
	"net"
	"runtime"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A poller reads from many sockets in one thread. A goroutine for each would take
// so much of a small machine that the figures were those of the bench: it is woken
// for each delivery, and that costs more than to read it.
type poller struct {
	epoll      int
	begin, end func() // around all that is read at a time

	mu    sync.Mutex
	lines map[int32]*polled // by descriptor
}

// A polled is a socket that the poller reads from.
type polled struct {
	feed func([]byte) error
	done chan struct{} // closed when nothing more is read
}

// Of the poller's thread.
const (
	pollEvents = 512
	pollWait   = 20 // milliseconds until it looks whether it should end
)

// newPoller returns a poller, which [poller.run] must be called of.
func newPoller(begin, end func()) (*poller, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	return &poller{epoll: epoll, begin: begin, end: end, lines: make(map[int32]*polled)}, err
}

// run reads until ctx ends.
func (p *poller) run(ctx context.Context) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	buffer := make([]byte, 64<<10)
	events := make([]unix.EpollEvent, pollEvents)
	for ctx.Err() == nil {
		n, err := unix.EpollWait(p.epoll, events, pollWait)
		if err != nil && err != unix.EINTR {
			break
		}
		if n > 0 {
			p.readAll(events[:n], buffer)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.lines {
		close(l.done)
	}
	p.lines = nil
	unix.Close(p.epoll)
}

// readAll reads once from each socket that has something.
func (p *poller) readAll(ready []unix.EpollEvent, buffer []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.begin()
	defer p.end()
	for i := range ready {
		fd := ready[i].Fd
		l := p.lines[fd]
		n, err := readNow(fd, buffer)
		if err == unix.EAGAIN || err == unix.EINTR || err == nil && n > 0 && l.feed(buffer[:n]) == nil {
			continue
		}
		_ = unix.EpollCtl(p.epoll, unix.EPOLL_CTL_DEL, int(fd), nil) // it is closed next
		delete(p.lines, fd)
		close(l.done)
	}
}

// take reads from a connection in place of its owner until it has ended or the
// poller has, and then closes it. It reports false if it can't, and has done
// nothing.
func (p *poller) take(conn net.Conn, feed func([]byte) error, writer func(func([]byte))) bool {
	fd, ok := detach(conn)
	if !ok {
		return false
	}
	defer unix.Close(fd)
	writer(func(b []byte) { _, _ = unix.Write(fd, b) }) // if it fails, reading does
	l := &polled{feed: feed, done: make(chan struct{})}
	p.mu.Lock()
	if p.lines == nil {
		p.mu.Unlock()
		return true
	}
	p.lines[int32(fd)] = l
	err := unix.EpollCtl(p.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
	if err != nil {
		delete(p.lines, int32(fd))
	}
	p.mu.Unlock()
	if err == nil {
		<-l.done
	}
	return true
}

// detach takes a socket from the Go runtime, which would be woken by it too.
func detach(conn net.Conn) (fd int, ok bool) {
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return 0, false // such as one of TLS
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return 0, false
	}
	var dupErr error
	err = raw.Control(func(original uintptr) { fd, dupErr = unix.FcntlInt(original, unix.F_DUPFD_CLOEXEC, 0) })
	if err != nil || dupErr != nil {
		return 0, false
	}
	conn.Close()
	return fd, true
}

// readNow reads from a socket that does not block. The runtime isn't told of it: to look
// for other work meanwhile would take a tenth of what can be received.
func readNow(fd int32, buffer []byte) (n int, err error) {
	got, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&buffer[0])), uintptr(len(buffer)))
	if errno != 0 {
		return 0, errno
	}
	return int(got), nil
}
