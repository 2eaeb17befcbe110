package harness

import (
	"fmt"
	"testing"
)

// Whatever anybody sends is answered with a code that says what is wrong, and
// changes nothing: neither what the broker holds nor what a bystander gets.

// A bystander is a well-behaved client beside those that are not.
type bystander struct {
	*Peer
	b      *Broker
	Before Census
	calls  int
}

func (b *Broker) Bystander(t *testing.T) *bystander {
	t.Helper()
	r := b.Register(t, `{"user_id": "bystander", "topics": ["bystander", "news.*"]}`)
	by := &bystander{Peer: b.Connect(t, r), b: b}
	b.Publish(t, Event("bystander", "hello"))
	b.Publish(t, Event("victim", "hello")) // from now on there are both topics
	by.Expect(t, "hello")
	by.Before = b.Census(t)
	return by
}

// Undisturbed checks that the broker holds what it held before, and that the
// bystander gets its own event and nothing else.
func (by *bystander) Undisturbed(t *testing.T) {
	t.Helper()
	if got := by.b.Census(t); got != by.Before {
		t.Errorf("the broker holds %+v, before it held %+v", got, by.Before)
	}
	by.calls++
	message := fmt.Sprint("event number ", by.calls)
	if got := by.b.Publish(t, Event("bystander", message)); got.Matched != 1 || got.Queued != 1 {
		t.Errorf("the bystander's event: %+v", got)
	}
	by.Expect(t, message)
}

// HangUp ends this side of the connection, and checks that the broker then ends its own,
// without a Close frame: there was no farewell.
func (w *Wire) HangUp(t *testing.T) {
	t.Helper()
	if err := w.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	w.Ended(t)
}
