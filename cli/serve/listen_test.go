package serve

import (
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestUnixSocketOfAnother: a socket in use is not taken away, even if its owner cannot be
// identified: a socket of datagrams, and one with a full queue.
func TestUnixSocketOfAnother(t *testing.T) {
	t.Parallel()
	for name, use := range map[string]func(t *testing.T, path string){
		"datagrams": func(t *testing.T, path string) {
			conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { conn.Close() })
		},
		"a full queue": func(t *testing.T, path string) {
			fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { syscall.Close(fd) })
			if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
				t.Fatal(err)
			}
			if err := syscall.Listen(fd, 0); err != nil {
				t.Fatal(err)
			}
			for range 4 { // as many as it takes; nobody accepts them
				if conn, err := net.Dial("unix", path); err == nil {
					t.Cleanup(func() { conn.Close() })
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, err := os.MkdirTemp("", "belfry") // a test's own is too deep for a socket
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(dir) })
			path := filepath.Join(dir, "belfry.sock")
			use(t, path)
			before, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if ln, err := listenUnix(path, 0o600); err == nil {
				ln.Close()
				t.Error("two listen on one socket")
			}
			if after, err := os.Stat(path); err != nil || !os.SameFile(before, after) {
				t.Errorf("the other's socket is gone: %v", err)
			}
		})
	}
}
