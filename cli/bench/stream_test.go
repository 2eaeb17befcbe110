package bench

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
	"time"
)

// frame is one of a WebSocket's.
func frame(opcode byte, payload []byte) []byte {
	head := []byte{0x80 | opcode}
	switch n := len(payload); {
	case n < 126:
		head = append(head, byte(n))
	case n < 1<<16:
		head = binary.BigEndian.AppendUint16(append(head, 126), uint16(n))
	default:
		head = binary.BigEndian.AppendUint64(append(head, 127), uint64(n))
	}
	return append(head, payload...)
}

func messageAt(sent time.Duration, size int) []byte {
	m := append(make([]byte, MinSize), bytes.Repeat([]byte("x"), size-MinSize)...)
	stamp(m, sent)
	return m
}

// TestStream: messages are found wherever reads end, and pings answered.
func TestStream(t *testing.T) {
	t.Parallel()
	var frames, text []byte
	var want []time.Duration
	for i, size := range []int{MinSize, 100, 200, 300, 70_000} {
		sent := time.Duration(i) * time.Second
		want = append(want, sent)
		m := messageAt(sent, size)
		frames = append(frames, frame(1, m)...)
		frames = append(frames, frame(opPing, []byte("are you there"))...)
		frames = append(frames, frame(1, nil)...)
		frames = append(frames, frame(opPing, nil)...)
		text = append(append(append(text, "id: ~bb~0\ndata: ~~b"...), m...), "\n\n"...)
	}
	for _, whole := range []struct {
		frames bool
		bytes  []byte
		pongs  int
	}{{true, frames, 10}, {false, text, 0}} {
		for _, step := range []int{1, 2, 3, 7, 19, 20, 21, 1000, len(whole.bytes)} {
			var got []time.Duration
			pongs := 0
			s := &stream{frames: whole.frames, event: func(sent time.Duration) { got = append(got, sent) }, pong: func(p []byte) {
				if len(p) == 0 || string(p) == "are you there" {
					pongs++
				}
			}}
			for part := range slices.Chunk(whole.bytes, step) {
				if err := s.feed(part); err != nil {
					t.Fatal(err)
				}
			}
			if !slices.Equal(got, want) || pongs != whole.pongs {
				t.Errorf("%v, %d bytes at a time: %v, %d pongs", whole.frames, step, got, pongs)
			}
		}
	}
	s := &stream{frames: true}
	if err := s.feed(frame(opClose, []byte{3, 232})); err != errClosed {
		t.Error(err)
	}
}

// TestHistogram: quantiles are right to a part in 32, the longest exactly.
func TestHistogram(t *testing.T) {
	t.Parallel()
	var all histogram
	for i := range 100_000 {
		all.add(time.Duration(i))
	}
	for share, want := range map[float64]float64{0: 0, 0.5: 50_000, 0.9: 90_000, 0.99: 99_000, 0.999: 99_900, 1: 99_999} {
		if got := float64(all.quantile(share)); got > want || got < want*31/32 {
			t.Errorf("%v: got %v, want %v", share, got, want)
		}
	}
	for i := range len(all.counts) - 1 {
		if d := least(i); bucket(d) != i || bucket(least(i+1)-1) != i {
			t.Fatalf("bucket %d begins at %d", i, d)
		}
	}
	if bucket(1<<63-1) != len(all.counts)-1 || bucket(-1) != 0 {
		t.Error("it has no place for everything")
	}
}
