package disk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"belfry/hub"
)

// putKeys stores what is to be remembered of publications with keys.
func (s *Store) putKeys(tx *bolt.Tx, records []hub.KeyRecord) error {
	keys, times := tx.Bucket(bucketKeys), tx.Bucket(bucketKeyTimes)
	for i := range records {
		r := &records[i]
		b := appendTime(make([]byte, sumSize, 128), r.Time)
		b = append(b, r.Key.Print[:]...)
		for _, ev := range r.Events {
			b = appendText(binary.BigEndian.AppendUint64(b, uint64(ev.Position)), ev.ID)
		}
		binary.BigEndian.PutUint32(b, sumOf(r.Key.Name[:], b))
		if old := keys.Get(r.Key.Name[:]); len(old) >= sumSize+timeSize { // the hub has forgotten it already
			if err := times.Delete(timeKey(old, r.Key.Name[:])); err != nil {
				return err
			}
		}
		if err := keys.Put(r.Key.Name[:], b); err != nil {
			return err
		}
		if err := times.Put(timeKey(b, r.Key.Name[:]), nil); err != nil {
			return err
		}
	}
	return nil
}

const timeKeySize = timeSize + 16

// timeKey is by when a record of a key is forgotten: its time and name.
func timeKey(record, name []byte) []byte {
	return append(slices.Clone(record[sumSize:sumSize+timeSize]), name...)
}

// forgetKeys forgets keys whose time is over, so many at most.
func (s *Store) forgetKeys(tx *bolt.Tx, now time.Time, most int) error {
	keys, cursor := tx.Bucket(bucketKeys), tx.Bucket(bucketKeyTimes).Cursor()
	end := appendTime(nil, now.Add(-s.opts.KeyWindow))
	for key, _ := cursor.First(); key != nil && most > 0 && len(key) == timeKeySize && bytes.Compare(key[:timeSize], end) <= 0; key, _ = cursor.First() {
		name := slices.Clone(key[timeSize:])
		if err := cursor.Delete(); err != nil {
			return err
		}
		if err := keys.Delete(name); err != nil {
			return err
		}
		most--
	}
	return nil
}

// readKey reads what is remembered of a publication.
func readKey(name, value []byte) (k hub.KeyRecord, err error) {
	if len(value) < sumSize || binary.BigEndian.Uint32(value) != sumOf(name, value) {
		return k, errors.New("it has another checksum than it was written with")
	}
	r := &reader{rest: value[sumSize:]}
	copy(k.Key.Name[:], name)
	k.Time = r.time()
	copy(k.Key.Print[:], r.take(16))
	for r.err == nil && len(r.rest) > 0 {
		at := hub.Position(r.number())
		k.Events = append(k.Events, hub.KeyedEvent{ID: r.text(), Position: at})
	}
	return k, r.end()
}
