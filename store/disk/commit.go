package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"

	"belfry/hub"
)

// Commit stores a commit in one transaction. With nil, all of it is on the disk. With an
// error that is [hub.ErrNotStored], nothing of it is, and the store can take others. With an
// [*UnsureError] that is not known, and the store takes nothing before [Store.Recover] has
// found it out.
func (s *Store) Commit(c *hub.Commit) error {
	if s.db == nil {
		return &UnsureError{Err: s.why}
	}
	next := s.meta
	next.commits++
	next.given = max(next.given, c.Given)
	err := s.inPlace()
	if err == nil {
		err = s.guard(func() error {
			return s.db.Update(func(tx *bolt.Tx) error { return s.write(tx, c, &next) })
		})
	}
	if err == nil {
		s.meta = next
		return nil
	}
	s.doubtful, s.why = next.commits, err
	return s.Recover()
}

// Recover finds out what became of a commit that failed. It returns what [Store.Commit]
// would have.
func (s *Store) Recover() error {
	before := s.meta
	s.giveUp()
	err := dropCache(s.path)
	if err == nil {
		err = s.open()
	}
	if err == nil && (s.meta.epoch != before.epoch || s.meta.commits+1 < s.doubtful) {
		err = fmt.Errorf("%s is not the log that it was: restart the broker to go on with it", s.path)
	}
	if err != nil {
		s.giveUp()
		s.meta = before
		return &UnsureError{Err: errors.Join(s.why, err)}
	}
	s.meta.given = max(s.meta.given, before.given)
	committed := s.meta.commits >= s.doubtful
	if s.doubtful = 0; committed {
		return nil
	}
	return &notStored{s.why}
}

// giveUp closes the file if it is open, whatever that says.
func (s *Store) giveUp() {
	if s.db != nil {
		_ = s.db.Close()
		s.db = nil
	}
}

// A notStored is [hub.ErrNotStored], with the reason.
type notStored struct{ why error }

func (e *notStored) Error() string   { return hub.ErrNotStored.Error() + ": " + e.why.Error() }
func (e *notStored) Unwrap() []error { return []error{hub.ErrNotStored, e.why} }

// write writes a commit, and takes what retention does not keep.
func (s *Store) write(tx *bolt.Tx, c *hub.Commit, m *meta) error {
	log := tx.Bucket(bucketLog)
	log.FillPercent = 0.9 // keys only grow
	for i := range c.Events {
		ev := &c.Events[i]
		key := keyOf(ev.Position)
		value := appendRecord(nil, key, m.head, &ev.Event)
		if err := log.Put(key, value); err != nil {
			return err
		}
		m.head = link{ev.Position, binary.BigEndian.Uint32(value)}
		m.bytes += uint64(len(key) + len(value))
	}
	now := s.opts.Clock()
	if err := s.putKeys(tx, c.Keys); err != nil {
		return err
	}
	if err := s.forgetKeys(tx, now, removals(len(c.Keys))); err != nil {
		return err
	}
	if err := s.retain(log, m, now, removals(len(c.Events))); err != nil {
		return err
	}
	return m.write(tx)
}

// removals is how many things a commit takes out that puts so many in: more than these, so
// that what is to go gets less, but not so many that a commit becomes long.
func removals(added int) int { return 2*added + 64 }

// retain takes records from the front until the log is within its bounds, or so many.
func (s *Store) retain(log *bolt.Bucket, m *meta, now time.Time, most int) error {
	cursor := log.Cursor()
	for key, value := cursor.First(); key != nil && most > 0; key, value = cursor.First() {
		if s.keeps(m, value, now) {
			return nil
		}
		front := link{hub.Position(binary.BigEndian.Uint64(key)), binary.BigEndian.Uint32(value)}
		size := uint64(len(key) + len(value))
		if err := cursor.Delete(); err != nil {
			return err
		}
		m.front = front
		m.bytes -= min(size, m.bytes)
		most--
	}
	return nil
}

// keeps reports whether the oldest record is within the bounds.
func (s *Store) keeps(m *meta, value []byte, now time.Time) bool {
	if s.opts.MaxBytes > 0 && m.bytes > uint64(s.opts.MaxBytes) {
		return false
	}
	if s.opts.MaxAge <= 0 || len(value) < headerSize+1+timeSize {
		return true // what is damaged is found by those who read it
	}
	return now.Sub(timeOf(value[headerSize+1:])) <= s.opts.MaxAge
}

// Trim takes what has become too old while nothing was committed, a bounded part of it. It
// fails as Commit does.
func (s *Store) Trim() error {
	if s.db == nil {
		return nil
	}
	kept := true
	err := s.guard(func() error {
		return s.db.View(func(tx *bolt.Tx) error {
			_, value := tx.Bucket(bucketLog).Cursor().First()
			kept = value == nil || s.keeps(&s.meta, value, s.opts.Clock())
			return nil
		})
	})
	if err != nil || kept {
		return err
	}
	return s.Commit(&hub.Commit{Given: s.meta.given})
}
