package disk

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"time"

	"belfry/hub"
)

// A link names a record: the next one holds it.
type link struct {
	position hub.Position
	sum      uint32
}

const linkSize = 12

func (l link) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(l.position))
	return binary.BigEndian.AppendUint32(dst, l.sum)
}

func linkOf(b []byte) link {
	return link{hub.Position(binary.BigEndian.Uint64(b)), binary.BigEndian.Uint32(b[8:])}
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// keyOf returns the key of a record.
func keyOf(p hub.Position) []byte { return binary.BigEndian.AppendUint64(nil, uint64(p)) }

// sumOf returns the checksum of a record: of its key and of its value, without the
// checksum that the value begins with.
func sumOf(key, value []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value[sumSize:])
}

const (
	sumSize    = 4
	headerSize = sumSize + linkSize
)

// What is true of an event, as bits.
const (
	flagText = 1 << iota
	flagExpires
	flagDetails
	flagBase64
	flagNoData
	flagsKnown = 1<<iota - 1
)

// appendRecord appends the value of a record that follows another.
func appendRecord(dst []byte, key []byte, before link, ev *hub.Event) []byte {
	from := len(dst)
	dst = before.append(append(dst, 0, 0, 0, 0))
	dst = appendEvent(dst, ev)
	binary.BigEndian.PutUint32(dst[from:], sumOf(key, dst[from:]))
	return dst
}

func appendEvent(dst []byte, ev *hub.Event) []byte {
	flags := byte(0)
	set := func(flag byte, is bool) {
		if is {
			flags |= flag
		}
	}
	set(flagText, ev.Text)
	set(flagExpires, !ev.Expires.IsZero())
	d := ev.Details
	if d != nil {
		set(flagDetails, true)
		set(flagBase64, d.Base64)
		set(flagNoData, d.NoData)
	}
	dst = appendTime(append(dst, flags), ev.Time)
	if !ev.Expires.IsZero() {
		dst = appendTime(dst, ev.Expires)
	}
	dst = appendText(dst, ev.ID)
	dst = appendText(dst, ev.Topic)
	dst = appendText(dst, ev.User)
	dst = appendText(dst, ev.Message)
	if d != nil {
		dst = appendText(dst, d.Source)
		dst = appendText(dst, d.Type)
		dst = appendText(dst, d.Published)
		dst = appendText(dst, d.TraceParent)
		dst = appendText(dst, d.Attributes)
	}
	return dst
}

// timeSize is what a time takes: its seconds, which sort as the times do, and the rest. A
// publisher may give any that RFC 3339 has.
const timeSize = 12

func appendTime(dst []byte, t time.Time) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(t.Unix()))
	return binary.BigEndian.AppendUint32(dst, uint32(t.Nanosecond()))
}

func timeOf(b []byte) time.Time {
	return time.Unix(int64(binary.BigEndian.Uint64(b)), int64(binary.BigEndian.Uint32(b[8:]))).UTC()
}

func appendText[T string | []byte](dst []byte, text T) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(text))), text...)
}

var errShort = errors.New("it is too short")

// A reader takes a record apart. After an error all that it returns is empty.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) take(n uint64) []byte {
	if r.err != nil || uint64(len(r.rest)) < n {
		r.err = errShort
		return make([]byte, min(n, timeSize)) // long enough for what is read of it
	}
	taken := r.rest[:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *reader) number() uint64  { return binary.BigEndian.Uint64(r.take(8)) }
func (r *reader) time() time.Time { return timeOf(r.take(timeSize)) }
func (r *reader) text() string    { return string(r.bytes()) }
func (r *reader) copy() []byte    { return append([]byte(nil), r.bytes()...) }
func (r *reader) bytes() []byte {
	n, size := binary.Uvarint(r.rest)
	if r.err != nil || size <= 0 {
		r.err = errShort
		return nil
	}
	r.rest = r.rest[size:]
	if uint64(len(r.rest)) < n {
		r.err = errShort
		return nil
	}
	return r.take(n)
}

// end returns what was wrong, if anything was.
func (r *reader) end() error {
	if r.err == nil && len(r.rest) > 0 {
		r.err = errors.New("it is too long")
	}
	return r.err
}

// readEvent reads an event. It keeps nothing of the bytes.
func readEvent(b []byte) (ev hub.Event, err error) {
	r := &reader{rest: b}
	flags := r.take(1)[0]
	if flags&^flagsKnown != 0 {
		return ev, errors.New("it has unknown flags")
	}
	ev.Text = flags&flagText != 0
	ev.Time = r.time()
	if flags&flagExpires != 0 {
		ev.Expires = r.time()
	}
	ev.ID, ev.Topic, ev.User, ev.Message = r.text(), r.text(), r.text(), r.copy()
	if flags&flagDetails != 0 {
		ev.Details = &hub.Details{
			Source: r.text(), Type: r.text(), Published: r.text(), TraceParent: r.text(), Attributes: r.copy(),
			Base64: flags&flagBase64 != 0, NoData: flags&flagNoData != 0,
		}
	}
	return ev, r.end()
}
