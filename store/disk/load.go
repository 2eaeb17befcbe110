package disk

import (
	"encoding/binary"
	"fmt"
	"slices"

	bolt "go.etcd.io/bbolt"

	"belfry/hub"
)

// Load returns what a broker begins with: the newest events, of so many bytes in memory,
// and all keys. It checks each record that it reads, and that none is missing among them.
func (s *Store) Load(bytes int) (r hub.Restored, err error) {
	var events []hub.Ordered
	var keys []hub.KeyRecord
	err = s.guard(func() error {
		return s.db.View(func(tx *bolt.Tx) (err error) {
			if events, r.Floor, err = s.newest(tx, bytes); err != nil {
				return err
			}
			keys, err = s.keys(tx)
			return err
		})
	})
	r.Head, r.Given = s.meta.head.position, s.meta.given
	r.Events, r.Keys = slices.Values(events), slices.Values(keys)
	return r, err
}

// eventOverhead is less than what an event takes in memory beside its texts, in bytes.
const eventOverhead = 256

// newest reads the newest events, the latest first, and returns them in order, with the
// position of the one before them.
func (s *Store) newest(tx *bolt.Tx, bytes int) (events []hub.Ordered, floor hub.Position, err error) {
	expected, cursor := s.meta.head, tx.Bucket(bucketLog).Cursor()
	for key, value := cursor.Last(); expected != s.meta.front && bytes > 0; key, value = cursor.Prev() {
		before, ev, err := s.check(expected, key, value)
		if err != nil {
			return nil, 0, err
		}
		events = append(events, hub.Ordered{Position: expected.position, Event: ev})
		bytes -= len(value) + eventOverhead
		expected = before
	}
	slices.Reverse(events)
	return events, expected.position, nil
}

// check reads a record that must be the one that a link names.
func (s *Store) check(expected link, key, value []byte) (before link, ev hub.Event, err error) {
	damaged := func(format string, args ...any) error {
		return &DamagedError{Path: s.path, Position: expected.position, What: fmt.Sprintf(format, args...)}
	}
	switch {
	case key == nil:
		return before, ev, damaged("the record is missing, and so are all before it")
	case len(key) != 8 || len(value) < headerSize:
		return before, ev, damaged("the record is too short")
	case hub.Position(binary.BigEndian.Uint64(key)) != expected.position:
		return before, ev, damaged("the record is missing; the one before it is at position %d", binary.BigEndian.Uint64(key))
	case binary.BigEndian.Uint32(value) != expected.sum || sumOf(key, value) != expected.sum:
		return before, ev, damaged("the record has another checksum than it was written with")
	}
	ev, err = readEvent(value[headerSize:])
	if err != nil {
		return before, ev, damaged("the record cannot be read: %v", err)
	}
	return linkOf(value[sumSize:]), ev, nil
}

// keys reads all keys, in the order of time.
func (s *Store) keys(tx *bolt.Tx) (all []hub.KeyRecord, err error) {
	keys := tx.Bucket(bucketKeys)
	err = tx.Bucket(bucketKeyTimes).ForEach(func(key, _ []byte) error {
		if len(key) != timeKeySize {
			return &DamagedError{Path: s.path, What: "the time of a key has another length"}
		}
		name := key[timeSize:]
		k, err := readKey(name, keys.Get(name))
		if err != nil {
			return &DamagedError{Path: s.path, What: "a key of a publication cannot be read: " + err.Error()}
		}
		all = append(all, k)
		return nil
	})
	if n := keys.Stats().KeyN; err == nil && n != len(all) {
		err = &DamagedError{Path: s.path, What: fmt.Sprintf("it has %d keys of publications, and the times of %d", n, len(all))}
	}
	return all, err
}
