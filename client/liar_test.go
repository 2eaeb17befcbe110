package client_test

import (
	"testing"

	"belfry/client"
)

// TestLiveWithoutAck: a request that is over is answered, also by a broker that leaves out
// the acknowledgement. Nobody waits for it for ever.
func TestLiveWithoutAck(t *testing.T) {
	bubble(t, func(t *testing.T, s *stage) {
		c := s.open("ws://broker/ws/1", client.Options{})
		r := c.subscribe(client.Subscription{Topics: []string{"a"}, After: "c1"})
		p := s.next()
		p.welcomeUser("c5")
		p.expect(`{"op":"subscribe","topics":["a"],"after":"c1","ref":1}`)
		p.say(answer("live", 1, "c5"))
		c.expect("connected []", "live Subscribe(a)")
		c.Close()
		if err := r.Wait(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
