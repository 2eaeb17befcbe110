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

// A poller reads from many sockets in one thread. On a small machine, a goroutine for each
// would distort the figures: waking it for each delivery costs more than reading.
type poller struct {
	epoll      int
	begin, end func() // called around each round of reads

	mu    sync.Mutex
	lines map[int32]*polled // by descriptor
}

// A polled is a socket of the poller.
type polled struct {
	feed func([]byte) error
	done chan struct{} // closed when reading is over
}

// Settings of the poller's thread.
const (
	pollEvents = 512
	pollWait   = 20 // milliseconds between checks for the end
)

// newPoller returns a poller. [poller.run] must be called.
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

// readAll reads once from each readable socket.
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

// take reads from a connection until it or the poller ends, and then closes it. It reports
// false, without any effect, if the connection cannot be polled.
func (p *poller) take(conn net.Conn, feed func([]byte) error, writer func(func([]byte))) bool {
	fd, ok := detach(conn)
	if !ok {
		return false
	}
	defer unix.Close(fd)
	writer(func(b []byte) { _, _ = unix.Write(fd, b) }) // reading fails if this does
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

// detach takes a socket from the Go runtime, which would also be woken by it.
func detach(conn net.Conn) (fd int, ok bool) {
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return 0, false // such as TLS
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

// readNow reads from a non-blocking socket without telling the runtime. Letting the
// runtime look for other work would cost a tenth of the throughput.
func readNow(fd int32, buffer []byte) (n int, err error) {
	got, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&buffer[0])), uintptr(len(buffer)))
	if errno != 0 {
		return 0, errno
	}
	return int(got), nil
}
