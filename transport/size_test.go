package transport

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"
	"time"

	"belfry/hub"
)

// TestAccounting: what waits for connections is counted: the heap that it takes is at
// most 1.3 times what is accounted for it, if nobody else has the events.
func TestAccounting(t *testing.T) { // not in parallel: it measures the heap
	const conns, most = 50, 128 << 10
	for _, kind := range sockKinds {
		for _, size := range []int{1, 100, 20_000} {
			t.Run(fmt.Sprintf("%s, events of %d bytes", kind, size), func(t *testing.T) {
				var rigs []*phaseRig
				for range conns {
					r := newPhaseRig(t, kind)
					r.k.queueBytes = most
					r.enter(phaseOpen)
					if kind != "HTTP/2" {
						r.fill()
					}
					r.full = true
					rigs = append(rigs, r)
				}
				accounted := func() (n int) {
					for _, r := range rigs {
						n += r.k.figures().Waiting
					}
					return n
				}
				counted, held := -accounted(), -inUse()
				for _, r := range rigs {
					deliver(r, size)
					if kind == "HTTP/2" {
						r.release() // now it is lent many at once
					}
				}
				held += inUse()
				counted += accounted()
				runtime.KeepAlive(rigs)
				t.Logf("%d KB held, %d KB accounted: %.2f", held>>10, counted>>10, float64(held)/float64(counted))
				if held*10 > counted*13 {
					t.Errorf("%d bytes are held, %d are accounted", held, counted)
				}
			})
		}
	}
}

// deliver gives a connection that is full events until no more may wait.
func deliver(r *phaseRig, size int) {
	encode := Encoders(CloudEventDefaults{})[sse{}.conn().Encoding]
	for at := hub.Position(1); ; at++ {
		ev := &hub.Event{ID: "x", Topic: "a", Time: time.Unix(1e9, 0), Message: bytes.Repeat([]byte("."), size), Text: true}
		f := &hub.Frame{Bytes: encode(ev, r.broker.Cursor(at)), Position: at}
		if !r.k.holds(r.c, f) {
			return
		}
		r.k.deliver(r.c, f)
		r.flush()
	}
}

// inUse returns how many bytes are in use.
func inUse() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
