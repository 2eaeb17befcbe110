package transport

import (
	"time"

	"belfry/hub"
)

// A backlog is what waits to be written to one connection. A connection at
// rest has none.
type backlog struct {
	frames  []*hub.Frame // in order; shared, never changed; nil before first
	first   int          // the oldest that is not written whole
	written int          // bytes of it that are in the kernel
	bytes   int          // of all frames from first on
	mortal  bool         // some of its frames may expire
	flight  int          // bytes after those in the kernel that a goroutine writes; 0: none does
	copied  int          // bytes held for that write beside the frames
	counted int          // of its size, as the courier's figures have it
}

// frameOverhead is the memory that a frame takes in a backlog beside its own bytes, in
// bytes: the frame, its place, and what allocations are rounded up by. See TestAccounting.
const frameOverhead = 128

// size returns how much memory a backlog takes if its frames are not shared.
func (b *backlog) size() int {
	if b == nil {
		return 0
	}
	return b.bytes + frameOverhead*(len(b.frames)-b.first) + b.copied
}

func (b *backlog) empty() bool { return b.first == len(b.frames) }

// waiting returns the frames that are not written whole.
func (b *backlog) waiting() []*hub.Frame {
	if b == nil {
		return nil
	}
	return b.frames[b.first:]
}

func (b *backlog) push(f *hub.Frame) {
	if b.first > 64 && b.first > len(b.frames)/2 {
		n := copy(b.frames, b.frames[b.first:])
		clear(b.frames[n:])
		b.frames, b.first = b.frames[:n], 0
	}
	b.frames = append(b.frames, f)
	b.bytes += len(f.Bytes)
	b.mortal = b.mortal || !f.Expires.IsZero()
}

// expire empties frames that have expired by now, unless they are in the kernel in part or
// on their way there. Their positions still count as progress.
func (b *backlog) expire(now time.Time) {
	for i, f := range b.untouched() {
		if !f.Expires.IsZero() && !now.Before(f.Expires) {
			b.untouched()[i] = &hub.Frame{Position: f.Position, Kind: f.Kind}
			b.bytes -= len(f.Bytes)
		}
	}
}

// rest returns what is left of the first frame.
func (b *backlog) rest() []byte { return b.frames[b.first].Bytes[b.written:] }

// next returns bytes to write: the rest of the first frame, or, when more
// frames wait, as many of them as fit into scratch.
func (b *backlog) next(scratch []byte) []byte {
	p := b.rest()
	more := b.frames[b.first+1:]
	if len(more) == 0 || len(p)+len(more[0].Bytes) > cap(scratch) {
		return p
	}
	p = append(scratch[:0], p...)
	for _, f := range more {
		if len(p)+len(f.Bytes) > cap(p) {
			break
		}
		p = append(p, f.Bytes...)
	}
	return p
}

// advance counts n bytes as written. It returns what they completed.
func (b *backlog) advance(n int) (d done) {
	b.written += n
	for !b.empty() {
		f := b.frames[b.first]
		size := len(f.Bytes)
		if b.written < size {
			break
		}
		b.frames[b.first] = nil
		b.first++
		b.written -= size
		b.bytes -= size
		d.add(f)
	}
	return d
}

// drop forgets the frames that wait, except those that are in the kernel in part or on
// their way there.
func (b *backlog) drop() {
	lost := b.untouched()
	for _, f := range lost {
		b.bytes -= len(f.Bytes)
	}
	clear(lost)
	b.frames = b.frames[:len(b.frames)-len(lost)]
}

// untouched returns the frames that are neither in the kernel in part nor on
// their way there.
func (b *backlog) untouched() []*hub.Frame {
	keep := b.first
	for under := b.written + b.flight; under > 0; keep++ {
		under -= len(b.frames[keep].Bytes)
	}
	return b.frames[keep:]
}

// reset makes an empty backlog ready for another connection.
func (b *backlog) reset() { *b = backlog{frames: b.frames[:0]} }
