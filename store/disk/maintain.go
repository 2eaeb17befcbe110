package disk

import (
	"errors"
	"os"

	bolt "go.etcd.io/bbolt"
)

// compactBytes is how much of a store is copied in one transaction.
const compactBytes = 16 << 20

// Compact writes the store anew, without the free pages that removed events leave. The new
// file takes the place of the old one when all of it is on the disk. The store has the old
// one still: it is only to be closed. Compact returns the sizes of both, in bytes.
func (s *Store) Compact() (before, after int64, err error) {
	part := s.path + ".new"
	if err := os.RemoveAll(part); err != nil {
		return 0, 0, err
	}
	to, err := bolt.Open(part, 0o600, &bolt.Options{Timeout: lockTimeout})
	if err != nil {
		return 0, 0, err
	}
	err = s.guard(func() error { return bolt.Compact(to, s.db, compactBytes) })
	if err = errors.Join(err, to.Sync(), to.Close()); err != nil {
		return 0, 0, errors.Join(err, os.Remove(part))
	}
	if before, err = sizeOf(s.path); err != nil {
		return 0, 0, err
	}
	if after, err = sizeOf(part); err != nil {
		return 0, 0, err
	}
	return before, after, s.replace(part)
}

func sizeOf(path string) (int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// Renew gives the log another epoch: cursors of before are of another log then. It is for a
// file that was copied while it changed, or put back from an older copy: what clients have
// seen may be missing in it, or other events may stand where those stood.
func (s *Store) Renew(epoch uint64) error {
	next := s.meta
	next.epoch = epoch
	next.commits++
	err := s.guard(func() error {
		return s.db.Update(func(tx *bolt.Tx) error { return next.write(tx) })
	})
	if err == nil {
		s.meta = next
	}
	return err
}
