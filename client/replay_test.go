package client_test

import (
	"fmt"
	"testing"

	"belfry/client"
)

// Replays that are cut.

// TestReplayCut: it is asked for again from where it began, and gives every
// event once.
func TestReplayCut(t *testing.T) {
	bubble(t, func(t *testing.T, s *stage) {
		c := s.open("ws://broker/ws/1", client.Options{})
		p := s.next()
		p.welcomeUser("c5", "a.1")
		c.expect("connected [a.1]")
		c.subscribe(client.Subscription{Topics: []string{"a.*"}, After: "c1"})
		p.expect(`{"op":"subscribe","topics":["a.*"],"after":"c1","ref":1}`)
		p.say(answer("ack", 1, "c5"), replayed("a.1", "c2"), replayed("a.2", "c3"))
		c.expect("ack Subscribe(a.*)", "replay of Subscribe(a.*): a.1 c2 at c5", "replay of Subscribe(a.*): a.2 c3 at c5")
		p.cut()
		c.expect("disconnected")

		p = s.next()
		p.begins("after=c5")
		p.welcomeUser("c5", "a.1")
		p.expect(`{"op":"subscribe","topics":["a.*"],"after":"c1","ref":2}`)
		p.say(event("a.1", "c6"), answer("ack", 2, "c7"), replayed("a.1", "c2"), replayed("a.2", "c3"), replayed("a.2", "c4"))
		c.expect("connected [a.1]", "a.1 c6 at c6", "replay of Subscribe(a.*): a.2 c4 at c7")
		p.cut()
		c.expect("disconnected")

		p = s.next()
		p.begins("after=c7")
		p.welcomeUser("c7", "a.1")
		p.expect(`{"op":"subscribe","topics":["a.*"],"after":"c1","ref":3}`)
		p.say(answer("ack", 3, "c7"))
		p.say(replayed("a.1", "c2"), replayed("a.2", "c3"), replayed("a.2", "c4"), replayed("a.1", "c6")) // also what another topic has given
		p.say(answer("live", 3, "c7"), event("a.2", "c8"))
		c.expect("connected [a.1]", "replay of Subscribe(a.*): a.1 c6 at c7", "live Subscribe(a.*)", "a.2 c8 at c8")
	})
}

// TestLostLive: the broker thinks that the replay has arrived, and gives
// events of its topics at once. They come with the repeated replay, in their
// turn. What another topic brings is not held up.
func TestLostLive(t *testing.T) {
	bubble(t, func(t *testing.T, s *stage) {
		c := s.open("ws://broker/ws/1", client.Options{})
		p := s.next()
		p.welcomeUser("c5", "a.1")
		c.expect("connected [a.1]")
		c.subscribe(client.Subscription{Topics: []string{"a.*", "a.1"}, After: "c1"})
		p.expect(`{"op":"subscribe","topics":["a.*","a.1"],"after":"c1","ref":1}`)
		p.cut() // while ack, replay and live are on their way
		c.expect("disconnected")

		p = s.next()
		p.begins("after=c5")
		p.welcomeUser("c5", "a.1", "a.*")
		p.expect(`{"op":"subscribe","topics":["a.*","a.1"],"after":"c1","ref":2}`)
		p.say(event("a.2", "c6"), event("a.1", "c7"), answer("ack", 2, "c7"))
		p.say(replayed("a.2", "c2"), replayed("a.2", "c6"), replayed("a.1", "c7"), answer("live", 2, "c7"), event("a.2", "c8"))
		c.expect("connected [a.1 a.*]", "a.1 c7 at c7", "ack Subscribe(a.*, a.1)")
		c.expect("replay of Subscribe(a.*, a.1): a.2 c2 at c7", "replay of Subscribe(a.*, a.1): a.2 c6 at c7", "replay of Subscribe(a.*, a.1): a.1 c7 at c7")
		c.expect("live Subscribe(a.*, a.1)", "a.2 c8 at c8")
	})
}

// TestLostLiveOfAnotherLog: a replay that begins after a cursor of a log that is gone is of
// everything, however the cursors of the two logs sort.
func TestLostLiveOfAnotherLog(t *testing.T) {
	for _, logs := range [][2]string{{"00000000000f", "000000000001"}, {"000000000001", "00000000000f"}} {
		t.Run("from "+logs[0], func(t *testing.T) {
			bubble(t, func(t *testing.T, s *stage) {
				before := func(n int) string { return fmt.Sprintf("%s%012d", logs[0], n) }
				now := func(n int) string { return fmt.Sprintf("%s%012d", logs[1], n) }
				c := s.open("ws://broker/ws/1", client.Options{})
				p := s.next()
				p.welcomeUser(before(5), "a.1")
				c.subscribe(client.Subscription{Topics: []string{"b"}, After: before(1)})
				p.expect(`{"op":"subscribe","topics":["b"],"after":"` + before(1) + `","ref":1}`)
				p.cut()
				c.expect("connected [a.1]", "disconnected")

				p = s.next()
				p.welcomeUser(before(5), "a.1", "b")
				p.expect(`{"op":"subscribe","topics":["b"],"after":"` + before(1) + `","ref":2}`)
				p.say(event("b", now(1)), answer("ack", 2, now(1)), replayed("b", now(1)), answer("live", 2, now(1)), event("b", now(2)))
				c.expect("connected [a.1 b]", "ack Subscribe(b)", "replay of Subscribe(b): b "+now(1)+" at "+now(1))
				c.expect("live Subscribe(b)", "b "+now(2)+" at "+now(2))
			})
		})
	}
}

// TestRestart: the newest events are others by now, and what was forgotten
// can't be left out.
func TestRestart(t *testing.T) {
	for _, test := range []struct {
		subscription client.Subscription
		text         string
	}{
		{client.Subscription{Topics: []string{"a"}, Last: 2}, `"last":2`},
		{client.Subscription{Topics: []string{"a"}, After: "c0"}, `"after":"c0"`},
	} {
		t.Run(test.text, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *stage) {
				c := s.openStatic("ws://broker/ws", client.Options{ReplayMemory: 1})
				c.subscribe(test.subscription)
				p := s.next()
				p.cut()
				c.expect("disconnected")
				p = s.next()
				p.welcome("c5")
				p.expect(fmt.Sprintf(`{"op":"subscribe","topics":["a"],%s,"ref":1}`, test.text))
				p.cut() // nothing was promised
				c.expect("connected []", "disconnected")
				p = s.next()
				p.welcome("c5")
				p.expect(fmt.Sprintf(`{"op":"subscribe","topics":["a"],%s,"ref":2}`, test.text))
				p.say(answer("ack", 2, "c5"), replayed("a", "c1"), replayed("a", "c2"))
				c.expect("connected []", "ack Subscribe(a)", "replay of Subscribe(a): a c1 at c5", "replay of Subscribe(a): a c2 at c5")
				p.cut()
				c.expect("disconnected")
				p = s.next()
				p.welcome("c5")
				p.expect(fmt.Sprintf(`{"op":"subscribe","topics":["a"],%s,"ref":3}`, test.text))
				p.say(answer("ack", 3, "c5"), replayed("a", "c1"), replayed("a", "c3"), answer("live", 3, "c5"))
				c.expect("connected []", "restart Subscribe(a)")
				c.expect("replay of Subscribe(a): a c1 at c5", "replay of Subscribe(a): a c3 at c5", "live Subscribe(a)")
			})
		})
	}
}

// TestLongRepair: the repair of a lost topic gives more than can be
// remembered.
func TestLongRepair(t *testing.T) {
	bubble(t, func(t *testing.T, s *stage) {
		c := s.open("ws://broker/ws/1", client.Options{ReplayMemory: 1})
		c.subscribe(client.Subscription{Topics: []string{"a"}})
		p := s.next()
		p.welcomeUser("c1")
		p.expect(`{"op":"subscribe","topics":["a"],"ref":1}`)
		p.say(answer("ack", 1, "c1"))
		p.cut()
		c.expect("connected []", "ack Subscribe(a)", "disconnected")
		p = s.next()
		p.welcomeUser("c1")
		p.expect(`{"op":"subscribe","topics":["a"],"after":"c1","ref":2}`)
		p.say(answer("ack", 2, "c3"), replayed("a", "c2"), replayed("a", "c3"))
		p.cut()
		c.expect("connected []", "a c2 at c1", "a c3 at c1", "disconnected")
		p = s.next()
		p.welcomeUser("c3")
		p.expect(`{"op":"subscribe","topics":["a"],"after":"c1","ref":3}`)
		p.say(answer("ack", 3, "c3"), replayed("a", "c2"), replayed("a", "c3"), answer("live", 3, "c3"))
		c.expect("connected []", "restart Subscribe(a)", "a c2 at c1", "a c3 at c1")
		c.at("c3")
	})
}

// TestUnsubscribeReplay: topics leave a replay that is under way.
func TestUnsubscribeReplay(t *testing.T) {
	bubble(t, func(t *testing.T, s *stage) {
		c := s.openStatic("ws://broker/ws", client.Options{})
		first := c.subscribe(client.Subscription{Topics: []string{"a", "b"}, After: "c0"})
		second := c.subscribe(client.Subscription{Topics: []string{"c"}, After: "c0"})
		c.unsubscribe("b", "c")
		p := s.next()
		p.welcome("c5")
		p.expect(`{"op":"subscribe","topics":["a","b"],"after":"c0","ref":1}`, `{"op":"subscribe","topics":["c"],"after":"c0","ref":2}`, `{"op":"unsubscribe","topics":["b","c"],"ref":3}`)
		p.say(answer("ack", 1, "c5"), answer("ack", 2, "c5"), answer("ack", 3, "c5"))
		p.cut()
		c.expect("connected []", "ack "+first.String(), "ack "+second.String(), "ack Unsubscribe(b, c)", "disconnected")
		p = s.next()
		p.begins("after=c5")
		p.welcome("c5")
		p.expect(`{"op":"subscribe","topics":["a"],"after":"c0","ref":4}`)
		p.silent()
		c.expect("connected []", "live "+second.String())
	})
}
