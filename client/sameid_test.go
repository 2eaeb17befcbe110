package client_test

import (
	"fmt"
	"testing"

	"belfry/client"
)

// Events may share an id: publishers choose it.

// live is an event of an id and a second.
func live(topic, id string, second int, cursor string) string {
	return fmt.Sprintf(`{"type":"event","topic":%q,"id":%q,"time":"2026-11-21T03:09:%02dZ","data":1,"cursor":%q}`, topic, id, second, cursor)
}

// again is the same event in a replay.
func again(topic, id string, second int) string {
	return fmt.Sprintf(`{"type":"event","topic":%q,"id":%q,"time":"2026-11-21T03:09:%02dZ","data":1,"replay":true}`, topic, id, second)
}

// TestReplayOfOneID: a replay gives each event, those of one id and one moment included.
// When it is cut its repetition is passed on from where the cut was.
func TestReplayOfOneID(t *testing.T) {
	bubble(t, func(t *testing.T, s *stage) {
		c := s.open("ws://broker/ws/1", client.Options{})
		c.subscribe(client.Subscription{Topics: []string{"a", "b"}, After: "c1"})
		// Two of one moment, another topic's, a later one, and two more.
		all := []string{again("a", "x", 1), again("a", "x", 1), again("b", "x", 1), again("a", "x", 2), again("a", "x", 2), again("b", "x", 1)}
		had := 0
		for ref, upTo := range []int{4, 2, 5, 6} {
			p := s.next()
			p.welcomeUser("c5")
			p.expect(fmt.Sprintf(`{"op":"subscribe","topics":["a","b"],"after":"c1","ref":%d}`, ref+1))
			p.say(answer("ack", ref+1, "c5"))
			p.say(all[:upTo]...)
			c.expect("connected []")
			if ref == 0 {
				c.expect("ack Subscribe(a, b)")
			}
			for ; had < upTo; had++ {
				c.expect(fmt.Sprintf("replay of Subscribe(a, b): %s x at c5", []string{"a", "a", "b", "a", "a", "b"}[had]))
			}
			p.cut()
			c.expect("disconnected")
		}
	})
}

// TestRepairOfOneID: what a repair has in common with another topic is left out, and
// nothing else of the same id is.
func TestRepairOfOneID(t *testing.T) {
	bubble(t, func(t *testing.T, s *stage) {
		c := s.open("ws://broker/ws/1", client.Options{})
		p := s.next()
		p.welcomeUser("c1", "a.*")
		c.subscribe(client.Subscription{Topics: []string{"*.x"}})
		p.expect(`{"op":"subscribe","topics":["*.x"],"ref":1}`)
		p.say(answer("ack", 1, "c2"))
		c.expect("connected [a.*]", "ack Subscribe(*.x)")
		p.close(4004, "unknown_client")
		c.expect("disconnected")

		p = s.next()
		p.welcomeUser("c2", "a.*")
		p.expect(`{"op":"subscribe","topics":["*.x"],"after":"c2","ref":2}`)
		p.say(live("a.x", "one", 1, "c3"), answer("ack", 2, "c9"), again("a.x", "one", 1), again("b.x", "one", 1), again("b.x", "one", 1))
		c.expect("connected [a.*]", "a.x one at c2", "b.x one at c2", "b.x one at c2")
		p.cut()
		c.expect("disconnected")

		p = s.next()
		p.welcomeUser("c9", "a.*")
		p.expect(`{"op":"subscribe","topics":["*.x"],"after":"c2","ref":3}`)
		p.say(answer("ack", 3, "c9"), again("a.x", "one", 1), again("b.x", "one", 1), again("b.x", "one", 1), again("b.x", "one", 2))
		p.say(answer("live", 3, "c9"), live("b.x", "one", 2, "ca"))
		c.expect("connected [a.*]", "b.x one at c2", "b.x one at ca")
		c.at("ca")
	})
}
