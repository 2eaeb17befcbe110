package disk

import (
	"encoding/binary"
	"hash/crc32"

	bolt "go.etcd.io/bbolt"

	"belfry/hub"
)

// version is the format's.
const version = 1

// A meta is what a store knows of its log as a whole.
type meta struct {
	epoch   uint64
	commits uint64       // so far
	given   hub.Position // the highest position that was given: none is given twice
	head    link         // the newest record
	front   link         // the last record that retention took
	bytes   uint64       // of all records
}

var (
	bucketMeta     = []byte("meta")
	bucketLog      = []byte("log")
	bucketKeys     = []byte("keys")
	bucketKeyTimes = []byte("keytimes")
	metaKey        = []byte("log")
)

func (m *meta) write(tx *bolt.Tx) error {
	b := binary.BigEndian.AppendUint64(nil, version)
	b = binary.BigEndian.AppendUint64(b, m.epoch)
	b = binary.BigEndian.AppendUint64(b, m.commits)
	b = binary.BigEndian.AppendUint64(b, uint64(m.given))
	b = m.front.append(m.head.append(b))
	b = binary.BigEndian.AppendUint64(b, m.bytes)
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	return tx.Bucket(bucketMeta).Put(metaKey, b)
}

// readMeta fails with a [*FormatError] or a [*DamagedError].
func readMeta(tx *bolt.Tx, path string) (m meta, err error) {
	bucket := tx.Bucket(bucketMeta)
	if bucket == nil {
		return m, &DamagedError{Path: path, What: "it has no bucket meta"}
	}
	b := bucket.Get(metaKey)
	if len(b) < 8+sumSize {
		return m, &DamagedError{Path: path, What: "it does not say what it is"}
	}
	body, sum := b[:len(b)-sumSize], binary.BigEndian.Uint32(b[len(b)-sumSize:])
	r := &reader{rest: body}
	switch format := r.number(); {
	case sum != crc32.Checksum(body, castagnoli):
		return m, &DamagedError{Path: path, What: "the checksum of what it is is wrong"}
	case format != version:
		return m, &FormatError{Path: path, Version: format}
	}
	m.epoch, m.commits, m.given = r.number(), r.number(), hub.Position(r.number())
	m.head, m.front = linkOf(r.take(linkSize)), linkOf(r.take(linkSize))
	m.bytes = r.number()
	return m, r.end()
}
