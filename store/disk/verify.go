package disk

import (
	bolt "go.etcd.io/bbolt"

	"belfry/hub"
)

// A Report says what a store holds.
type Report struct {
	Head   hub.Cursor   // of the newest event
	Floor  hub.Position // of the last event that retention took
	Events int
	Keys   int    // of publications
	Bytes  uint64 // of the events
}

// Verify reads all of a store: each record, the chain that they make, and each key. It fails
// with a [*DamagedError] that says what is wrong first.
func (s *Store) Verify() (r Report, err error) {
	r = Report{Head: hub.Cursor{Epoch: s.meta.epoch, Position: s.meta.head.position}, Floor: s.meta.front.position}
	err = s.Each(0, func(ev *hub.Ordered, bytes int) error {
		r.Events++
		r.Bytes += uint64(bytes)
		return nil
	})
	if err == nil && r.Bytes != s.meta.bytes {
		err = &DamagedError{Path: s.path, What: "the events have another size than was written down"}
	}
	if err == nil {
		err = s.guard(func() error {
			return s.db.View(func(tx *bolt.Tx) error {
				keys, err := s.keys(tx)
				r.Keys = len(keys)
				return err
			})
		})
	}
	return r, err
}

// Each calls do with each event after a position, in order, and the bytes that it takes. It
// checks that each record is as it was written, and that none is missing.
func (s *Store) Each(after hub.Position, do func(ev *hub.Ordered, bytes int) error) error {
	return s.guard(func() error {
		return s.db.View(func(tx *bolt.Tx) error {
			cursor := tx.Bucket(bucketLog).Cursor()
			last, known := s.meta.front, true
			key, value := cursor.First()
			if after > last.position {
				key, value = cursor.Seek(keyOf(after + 1))
				known = false
			}
			for ; key != nil; key, value = cursor.Next() {
				if len(key) != 8 || len(value) < headerSize {
					return &DamagedError{Path: s.path, What: "a record is too short"}
				}
				at := linkOf(append(append([]byte(nil), key...), value[:sumSize]...))
				before, ev, err := s.check(at, key, value)
				if err == nil && known && before != last {
					err = &DamagedError{Path: s.path, Position: at.position, What: "the record is not the one that follows what is before it: some are missing"}
				}
				if err == nil {
					err = do(&hub.Ordered{Position: at.position, Event: ev}, len(key)+len(value))
				}
				if err != nil {
					return err
				}
				last, known = at, true
			}
			if known && last != s.meta.head {
				return &DamagedError{Path: s.path, Position: s.meta.head.position, What: "the newest records are missing"}
			}
			return nil
		})
	})
}
