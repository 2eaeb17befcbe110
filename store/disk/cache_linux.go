package disk

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// dropCache has the next reader of a file get what is on the disk.
func dropCache(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED), f.Close())
}
