package disk

import (
	"fmt"

	"belfry/hub"
)

// A LockedError says that another process has the store open.
type LockedError struct{ Path string }

func (e *LockedError) Error() string {
	return fmt.Sprintf("%s is in use by another process; end that, or choose another directory", e.Path)
}

// A FormatError says that a store is of a format that this program does not know.
type FormatError struct {
	Path    string
	Version uint64
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("%s has format %d, and this program knows format %d; run the version of belfry that wrote it", e.Path, e.Version, version)
}

// A DamagedError says that a file does not hold what was written to it.
type DamagedError struct {
	Path     string
	Position hub.Position // of the record; 0: it is not known which
	What     string
}

func (e *DamagedError) Error() string {
	at := ""
	if e.Position > 0 {
		at = fmt.Sprintf(" at position %d", e.Position)
	}
	return fmt.Sprintf("%s is damaged%s: %s; restore a backup, or move the file away to begin a new log", e.Path, at, e.What)
}

// An UnsureError says that it can't be found out now whether the last commit is on the
// disk: see [Store.Recover].
type UnsureError struct{ Err error }

func (e *UnsureError) Error() string {
	return "it is not known whether the log was written: " + e.Err.Error()
}

func (e *UnsureError) Unwrap() error { return e.Err }
