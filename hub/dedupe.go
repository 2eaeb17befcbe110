package hub

import (
	"errors"
	"time"
)

// What a publication with a key is refused with.
var (
	// ErrKeyReused says that something else was published under the key.
	ErrKeyReused = errors.New("the key was used for something else")
	// ErrTooManyKeys says that no more keys can be remembered now.
	ErrTooManyKeys = errors.New("too many keys are remembered; try again later")
)

// A Key is by what a repeat of a publication is known.
type Key struct {
	Name  [16]byte // a hash of the key and of who uses it; all zero: there is none
	Print [16]byte // a hash of what is published under it
}

func (k *Key) given() bool { return k.Name != [16]byte{} }

// A record is what is remembered of a publication with a key.
type record struct {
	key      Key
	at       time.Duration
	receipts []Receipt
	size     int
	dropped  bool // it counts no more
	pending  bool // its events are not stored yet
}

// What a record and each of its receipts cost in memory, in bytes, measured as
// heap growth and rounded up.
const (
	recordOverhead  = 256
	receiptOverhead = 80
)

func recordSize(events int, ids int) int { return recordOverhead + events*receiptOverhead + ids }

// dedupe remembers publications with keys for some time, in the order in which
// they came. It forgets nothing early: when it is full, it takes no more.
type dedupe struct {
	records map[[16]byte]*record
	order   deque[*record]
	bytes   int // accounted size of all records
}

// find returns the record of a key, nil if there is none. It fails with
// [ErrKeyReused].
func (d *dedupe) find(k *Key) (*record, error) {
	r := d.records[k.Name]
	if r != nil && r.key.Print != k.Print {
		return nil, ErrKeyReused
	}
	return r, nil
}

// remember adds a record.
func (d *dedupe) remember(k Key, now time.Duration, receipts []Receipt) *record {
	r := &record{key: k, at: now, receipts: receipts}
	ids := 0
	for i := range receipts {
		ids += len(receipts[i].ID)
	}
	r.size = recordSize(len(receipts), ids)
	d.records[k.Name] = r
	d.order.push(r)
	d.bytes += r.size
	return r
}

// drop forgets a record early: what it was for has not happened.
func (d *dedupe) drop(r *record) {
	delete(d.records, r.key.Name)
	d.bytes -= r.size
	r.size, r.dropped = 0, true // it stays in its place until its time has come
}

// forget drops what was remembered before a time, while more says so.
func (d *dedupe) forget(before time.Duration, more func() bool) {
	for d.order.len() > 0 && d.order.at(0).at <= before && more() {
		r := d.order.pop()
		if !r.dropped {
			d.bytes -= r.size
			delete(d.records, r.key.Name)
		}
	}
}
