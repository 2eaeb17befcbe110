package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"belfry/hub"
)

// Options say how much a store keeps.
type Options struct {
	MaxBytes  int64         // of records; the file may be twice that. 0: no bound
	MaxAge    time.Duration // of events; 0: no bound
	KeyWindow time.Duration // keys of publications are remembered so long
	Epoch     uint64        // of a store that does not exist yet
	Clock     func() time.Time
}

// A Store is a log on the disk.
type Store struct {
	path string
	opts Options
	db   *bolt.DB    // nil: it could not be opened after a failed commit
	file os.FileInfo // that db has open
	meta meta        // of the last commit

	doubtful uint64 // number of the commit that failed; 0: there is none
	why      error  // it failed
}

// FileName is the name of a store in its directory.
const FileName = "belfry.db"

// lockTimeout bounds the wait for another process that has the file.
const lockTimeout = time.Second

// Open opens the store of a directory. It makes both if they do not exist. It fails with a
// [*LockedError], a [*FormatError], a [*DamagedError], or an error of the file system.
func Open(dir string, opts Options) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	s := &Store{path: filepath.Join(dir, FileName), opts: opts}
	_, err := os.Stat(s.path)
	switch fresh := errors.Is(err, fs.ErrNotExist); {
	case fresh:
		if err := s.create(); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, err
	}
	if err := s.open(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// create makes the file. It gets its name when all of it is on the disk, so that a store
// exists whole or not at all. If another broker makes one at the same time, the first counts.
func (s *Store) create() error {
	f, err := os.CreateTemp(filepath.Dir(s.path), FileName+".new")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // it has its other name by then
	if err := f.Close(); err != nil {
		return err
	}
	db, err := bolt.Open(f.Name(), 0o600, &bolt.Options{Timeout: lockTimeout})
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range [][]byte{bucketMeta, bucketLog, bucketKeys, bucketKeyTimes} {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		m := meta{epoch: s.opts.Epoch}
		return m.write(tx)
	})
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), s.path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return s.syncFolder()
}

// replace gives a file the name of the store's. It returns when the name is on the disk.
func (s *Store) replace(part string) error {
	if err := os.Rename(part, s.path); err != nil {
		return err
	}
	return s.syncFolder()
}

func (s *Store) syncFolder() error {
	dir, err := os.Open(filepath.Dir(s.path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// open opens the file and reads what it is.
func (s *Store) open() error {
	var file os.FileInfo
	db, err := bolt.Open(s.path, 0o600, &bolt.Options{
		Timeout: lockTimeout, FreelistType: bolt.FreelistMapType, NoStatistics: true,
		OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
			f, err := os.OpenFile(name, flag&^os.O_CREATE, mode) // an empty file is no store
			if err == nil {
				file, err = f.Stat()
			}
			return f, err
		},
	})
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return &LockedError{Path: s.path}
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrChecksum), errors.Is(err, berrors.ErrVersionMismatch):
		return &DamagedError{Path: s.path, What: err.Error()}
	case err != nil:
		return err
	}
	var m meta
	err = s.guard(func() error {
		return db.View(func(tx *bolt.Tx) (err error) {
			m, err = readMeta(tx, s.path)
			return err
		})
	})
	if err != nil {
		return errors.Join(err, db.Close())
	}
	s.db, s.meta, s.file = db, m, file
	return s.inPlace()
}

// inPlace fails if the file does not have its name any more. What is written to it then is
// not there when the store is opened again.
func (s *Store) inPlace() error {
	now, err := os.Stat(s.path)
	if err == nil && !os.SameFile(now, s.file) {
		err = fmt.Errorf("%s was replaced by another file", s.path)
	}
	return err
}

// guard turns a panic of the library, or a fault of the memory that the file is mapped to,
// into an error: both come of damage.
func (s *Store) guard(do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = &DamagedError{Path: s.path, What: fmt.Sprint(r)}
		}
	}()
	return do()
}

// Close closes the file.
func (s *Store) Close() error {
	if s.db == nil {
		return nil
	}
	return s.db.Close()
}

// Epoch names the log: it is that of [Options] when the store was made.
func (s *Store) Epoch() uint64 { return s.meta.epoch }

// Bytes are those of all records.
func (s *Store) Bytes() uint64 { return s.meta.bytes }

// Head is the position of the newest record.
func (s *Store) Head() hub.Position { return s.meta.head.position }

// Floor is the highest position that retention took.
func (s *Store) Floor() hub.Position { return s.meta.front.position }

// Given is the highest position that was given.
func (s *Store) Given() hub.Position { return s.meta.given }
