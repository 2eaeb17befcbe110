//go:build !unix

package transport

import (
	"errors"
	"syscall"
	"time"
)

// Connections are written to and read from without waiting, which this system has no calls
// for that Go offers. So nothing is served; what talks to brokers elsewhere needs none of it.

// Supported fails: see above.
func Supported() error {
	return errors.New("the broker serves on Linux and other Unix systems; here belfry has its commands only")
}

func listenControl(time.Duration) func(network, address string, c syscall.RawConn) error { return nil }

func limitUnsent(int32, int) {}

func readable(uintptr) bool { return true }

func tryWrite(*conn, []byte) (int, error) { return 0, errors.ErrUnsupported }

func tryWriteTo(int32, []byte) (int, error) { return 0, errors.ErrUnsupported }

func tryRead(uintptr, []byte) (int, error) { return 0, errors.ErrUnsupported }

func unacknowledged(syscall.RawConn) (int, error) { return 0, nil }
