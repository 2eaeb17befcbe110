package transport

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"belfry/hub"
)

// A plainBacklog is what a backlog amounts to: frames, and how much of the
// first one is written.
type plainBacklog struct {
	frames  []*hub.Frame
	written int
}

// rest returns everything that is not written.
func (m *plainBacklog) rest() (all []byte) {
	for _, f := range m.frames {
		all = append(all, f.Bytes...)
	}
	return all[m.written:]
}

func (m *plainBacklog) advance(n int) (events int, last hub.Position, after int) {
	m.written += n
	for len(m.frames) > 0 && m.written >= len(m.frames[0].Bytes) {
		f := m.frames[0]
		m.frames = m.frames[1:]
		m.written -= len(f.Bytes)
		after += len(f.Bytes)
		if f.Position > 0 {
			events, last, after = events+1, f.Position, 0
		}
	}
	return events, last, after
}

// Whatever is pushed, written, dropped and reset, in whatever order.
func TestBacklog(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var b backlog
		var m plainBacklog
		var position hub.Position
		scratch := make([]byte, 0, 40)
		push := func(t *rapid.T) {
			f := &hub.Frame{Bytes: bytes.Repeat([]byte{byte('a' + position%26)}, rapid.IntRange(1, 50).Draw(t, "size"))}
			if position++; rapid.Bool().Draw(t, "event") {
				f.Position = position
			}
			b.push(f)
			m.frames = append(m.frames, f)
		}
		write := func(t *rapid.T) {
			b.flight = 0 // whoever wrote has reported
			if b.empty() {
				return
			}
			p := b.next(scratch)
			checkNext(t, p, &m, cap(scratch))
			n := rapid.IntRange(0, len(p)).Draw(t, "written")
			d := b.advance(n)
			wantEvents, wantLast, wantAfter := m.advance(n)
			if d.events != wantEvents || d.last != wantLast || d.after != wantAfter {
				t.Fatalf("advance(%d) = %d, %d, %d; want %d, %d, %d", n, d.events, d.last, d.after, wantEvents, wantLast, wantAfter)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"push":  push,
			"write": write,
			"burst": func(t *rapid.T) {
				for range 100 {
					push(t)
				}
			},
			"write much": func(t *rapid.T) {
				for range 50 {
					write(t)
				}
			},
			"lend": func(*rapid.T) {
				if !b.empty() && b.flight == 0 {
					b.flight = len(b.next(scratch))
				}
			},
			"drop": func(*rapid.T) {
				b.drop()
				keep := 0
				for under := m.written + b.flight; under > 0; keep++ {
					under -= len(m.frames[keep].Bytes)
				}
				m.frames = m.frames[:keep]
			},
			"reset": func(t *rapid.T) {
				if b.empty() {
					b.reset()
				}
			},
			"": func(t *rapid.T) { checkBacklog(t, &b, &m) },
		})
	})
}

// checkNext checks that p is as many whole frames as fit into the scratch
// space, but never less than the rest of the first.
func checkNext(t *rapid.T, p []byte, m *plainBacklog, room int) {
	want := len(m.frames[0].Bytes) - m.written
	for _, f := range m.frames[1:] {
		if want+len(f.Bytes) > room {
			break
		}
		want += len(f.Bytes)
	}
	if !bytes.Equal(p, m.rest()[:want]) {
		t.Fatalf("next = %q; want %q", p, m.rest()[:want])
	}
}

func checkBacklog(t *rapid.T, b *backlog, m *plainBacklog) {
	size := 0
	for _, f := range m.frames {
		size += len(f.Bytes)
	}
	switch {
	case b.empty() != (len(m.frames) == 0):
		t.Fatalf("empty = %v with %d frames", b.empty(), len(m.frames))
	case !slices.Equal(b.waiting(), m.frames):
		t.Fatalf("%d frames wait; want %d", len(b.waiting()), len(m.frames))
	case b.bytes != size:
		t.Fatalf("%d bytes wait; want %d", b.bytes, size)
	case len(m.frames) > 0 && !bytes.Equal(b.rest(), m.frames[0].Bytes[m.written:]):
		t.Fatalf("rest of the first frame: %q; want %q", b.rest(), m.frames[0].Bytes[m.written:])
	}
	// What is written or dropped must not be held on to.
	for i, f := range b.frames[:cap(b.frames)] {
		if (i < b.first || i >= len(b.frames)) && f != nil {
			t.Fatalf("frame %d of %d is still there; the first that waits is %d", i, len(b.frames), b.first)
		}
	}
}

// A queue that is never quite empty does not grow.
func TestBacklogReusesItsRoom(t *testing.T) {
	t.Parallel()
	var b backlog
	f := &hub.Frame{Bytes: []byte(strings.Repeat("x", 10)), Position: 1}
	b.push(f)
	for range 100_000 {
		b.push(f)
		b.advance(len(f.Bytes))
	}
	if cap(b.frames) > 512 {
		t.Errorf("room for %d frames was needed for 2", cap(b.frames))
	}
}
