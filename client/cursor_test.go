package client_test

import (
	"fmt"
	"strings"
	"testing"

	"belfry/client"
)

// TestRefusedMovesNothing: what the client itself refuses comes between events, and leaves the
// resume point where the event before has put it: not after one that is yet to come.
func TestRefusedMovesNothing(t *testing.T) {
	bubble(t, func(t *testing.T, s *stage) {
		c := s.open("ws://broker/ws?topic=a", client.Options{Buffer: 4 << 10})
		p := s.next()
		p.say(`{"type":"welcome","handle":"h","topics":["a"],"cursor":"c0000","limits":{"max_message":100}}`)
		c.expect("connected [a]")
		const count = 2000
		go func() {
			for i := range count {
				_, _ = c.Subscribe(client.Subscription{Topics: []string{strings.Repeat("x", 100)}}) // it is too long
				p.try(event("a", fmt.Sprintf("c%04d", i+1)))
			}
		}()
		at := "c0000"
		for events, refused := 0, 0; events < count || refused < count; {
			m, err := c.next()
			if err != nil {
				t.Fatal(err)
			}
			switch m := m.(type) {
			case *client.Event:
				events++
				at = m.ID
			case *client.Refused:
				refused++
			}
			if got := c.Cursor(); got != at {
				t.Fatalf("at %q after %s, want %q", got, short(m)[:min(20, len(short(m)))], at)
			}
		}
	})
}
