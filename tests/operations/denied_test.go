package operations_test

import (
	"testing"

	"belfry/tests/harness"
)

// TestSubscribeIsDenied: a subscription that only the hub can refuse is logged like one
// that is refused earlier.
func TestSubscribeIsDenied(t *testing.T) {
	t.Parallel()
	b := harness.StartKeyed(t, "keys:\n"+harness.Entry("cats", "subscribe", "cats"))
	w := b.Subscriber(t, "cats", "cats")
	w.Send(t, harness.Masked(harness.Final|harness.Text, `{"op":"subscribe","ref":1,"topics":["dogs"]}`))
	if m := w.V1(t); m.Type != "error" || m.Code != "forbidden" {
		t.Errorf("got %+v", m)
	}
	if last := denial(b.Broker, t, "this was not granted"); last.Op != "subscribe" || last.Code != "forbidden" {
		t.Errorf("logged %+v", last)
	}
}
