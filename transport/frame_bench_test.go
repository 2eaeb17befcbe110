package transport

import (
	"bytes"
	"fmt"
	"testing"
)

// benchFrame returns a client's frame with n bytes of text. Its key is 0: the work is that of any key, and unmasking in
// place leaves the frame as it is, for the next round.
func benchFrame(n int) []byte {
	return clientFrame(finBit|byte(opText), bytes.Repeat([]byte("a"), n), [4]byte{})
}

func BenchmarkDecode(b *testing.B) {
	for _, n := range []int{26, 125, 4096, 65536} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			wire := benchFrame(n)
			d := newDecoder()
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				if m, _, err := d.next(wire); err != nil || len(m.data) != n {
					b.Fatal(m, err)
				}
			}
		})
	}
}

// A frame that is longer than the reader's buffer.
func BenchmarkDecodeInParts(b *testing.B) {
	const part = 2048 // bytes
	for _, n := range []int{4096, 65536} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			wire := benchFrame(n)
			d := newDecoder()
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				got := 0
				for rest := wire; len(rest) > 0; {
					m, k, err := d.next(rest[:min(part, len(rest))])
					if err != nil {
						b.Fatal(err)
					}
					got += len(m.data)
					rest = rest[k:]
				}
				if got != n {
					b.Fatal(got)
				}
			}
		})
	}
}

func BenchmarkAppendFrame(b *testing.B) {
	payload := make([]byte, 128)
	dst := make([]byte, 0, frameSize(len(payload)))
	b.SetBytes(int64(len(payload)))
	b.ReportAllocs()
	for b.Loop() {
		dst = appendFrame(dst[:0], opText, payload)
	}
}

func BenchmarkAppendClose(b *testing.B) {
	dst := make([]byte, 0, 2+maxControlPayload)
	b.ReportAllocs()
	for b.Loop() {
		dst = appendClose(dst[:0], 4100, "slow_consumer")
	}
}

func BenchmarkUnmask(b *testing.B) {
	for _, n := range []int{26, 128, 4096, 65536} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			p := make([]byte, n)
			key := uint32(0x3d21fa37)
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				key = unmask(p, key)
			}
		})
	}
}
