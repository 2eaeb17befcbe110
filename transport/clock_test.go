package transport

import (
	"testing"
	"time"
)

// TestStoppedCourier: while the process is stopped no deadline of a connection passes.
func TestStoppedCourier(t *testing.T) {
	t.Parallel()
	k := &courier{}
	k.wake(time.Second)
	k.wake(time.Hour)
	if passed := time.Duration(k.now); passed > 2*courierStep {
		t.Errorf("%v have passed", passed)
	}
	for at := time.Hour; at < time.Hour+time.Minute; at += courierTick {
		k.wake(at + courierTick)
	}
	if passed := time.Duration(k.now); passed < time.Minute || passed > time.Minute+2*courierStep {
		t.Errorf("after a minute %v have passed", passed)
	}
}
