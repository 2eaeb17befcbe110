package clients_test

import (
	"context"
	"fmt"
	"testing"

	"belfry/client"
	"belfry/tests/harness"
)

// TestClientReplayOfOneID: publishers choose ids, and two sources of CloudEvents may choose
// the same. A replay gives each event.
func TestClientReplayOfOneID(t *testing.T) {
	t.Parallel()
	b := harness.Start(t)
	first := b.Publish(t, harness.Event("before", "the first one"))
	for i := range 3 {
		b.Publish(t, fmt.Sprintf(`{"topic":"a","id":"7","message":%d}`, i))
	}
	c := follow(b, t, func(context.Context) (string, error) { return b.URL("ws", "/ws"), nil }, client.Options{HTTPClient: &b.HTTP})
	r := subscribe(t, c, client.Subscription{Topics: []string{"a"}, After: first.Cursor})
	acked(t, c, r)
	for i := range 3 {
		if e, ok := next(t, c).(*client.Event); !ok || string(e.Data) != fmt.Sprint(i) {
			t.Fatalf("%d: %+v", i, e)
		}
	}
	if m, ok := next(t, c).(*client.Live); !ok {
		t.Fatal(m)
	}
}
