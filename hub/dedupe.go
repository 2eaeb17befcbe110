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
	pending  bool // its events are not stored yet: it is not in the order
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
func (d *dedupe) remember(k Key, now time.Duration, receipts []Receipt) {
	d.keep(d.pend(k, receipts), now)
}

// pend adds a record that is not to be forgotten before it is either kept or dropped.
func (d *dedupe) pend(k Key, receipts []Receipt) *record {
	r := &record{key: k, receipts: receipts, pending: true}
	ids := 0
	for i := range receipts {
		ids += len(receipts[i].ID)
	}
	r.size = recordSize(len(receipts), ids)
	d.records[k.Name] = r
	d.bytes += r.size
	return r
}

// keep has a record be forgotten when its time is over.
func (d *dedupe) keep(r *record, now time.Duration) {
	r.pending, r.at = false, now
	d.order.push(r)
}

// drop forgets a record.
func (d *dedupe) drop(r *record) {
	delete(d.records, r.key.Name)
	d.bytes -= r.size
}

// forget drops what was remembered before a time, while more says so.
func (d *dedupe) forget(before time.Duration, more func() bool) {
	for d.order.len() > 0 && d.order.at(0).at <= before && more() {
		d.drop(d.order.pop())
	}
}
