package client_test

import (
	"testing"

	"belfry/client"
)

// Where a client goes on after its connection is lost.

func TestResume(t *testing.T) {
	bubble(t, func(t *testing.T, s *stage) {
		c := s.openStatic("ws://broker/ws?topic=a&last_event_id=b%20y&last=4", client.Options{})
		p := s.next()
		p.begins("topic=a&last_event_id=b%20y&last=4")
		p.welcome("b y", "a")
		c.expect("connected [a]")
		p.say(event("a", "c1"), event("a", "c3"))
		c.expect("a c1 at c1", "a c3 at c3")
		c.at("c3")
		p.say(`{"type":"heartbeat","cursor":"c5"}`, `{"type":"heartbeat","cursor":"c4"}`, `{"type":"some later invention"}`)
		c.at("c5")
		p.cut()
		c.expect("disconnected")

		p = s.next()
		p.begins("topic=a&after=c5")
		p.welcome("c5", "a")
		p.say(event("a", "c6"), `{"type":"gap","topics":["a"],"from":"c5","to":"c7","reason":"expired"}`)
		c.expect("connected [a]", "a c6 at c6", "gap [a] (c5, c7] expired")
		p.say(`{"type":"closing","reason":"draining","reconnect_after_ms":0,"cursor":"c8"}`)
		c.at("c6") // what came between could be a gap, dropped by the broker with all that waited
		p.close(1012, "draining")
		c.expect("disconnected")
		s.next().begins("topic=a&after=c6")
	})
}

// TestReadAhead: what was received but not yet returned is not the
// application's, and the resume point says so.
func TestReadAhead(t *testing.T) {
	bubble(t, func(t *testing.T, s *stage) {
		c := s.open("ws://broker/ws?topic=a", client.Options{After: "c0"})
		c.at("c0")
		p := s.next()
		p.begins("topic=a&after=c0")
		p.welcome("c0", "a")
		p.say(event("a", "c1"), event("a", "c2"), `{"type":"heartbeat","cursor":"c3"}`)
		p.cut()
		c.at("c0")
		c.expect("connected [a]", "a c1 at c1")
		c.at("c1")
		c.expect("a c2 at c2")
		c.at("c3")
		s.next().begins("topic=a&after=c3")
	})
}

// TestAnotherLog: the cursors of a broker that was restarted need not sort
// after the old ones, and the gap must be told even if the connection ends
// before it.
func TestAnotherLog(t *testing.T) {
	bubble(t, func(t *testing.T, s *stage) {
		c := s.open("ws://broker/ws?topic=a", client.Options{After: "z9"})
		p := s.next()
		p.welcome("z9", "a")
		c.expect("connected [a]")
		p.cut()
		c.expect("disconnected")
		p = s.next()
		p.begins("topic=a&after=z9")
		p.welcome("z9", "a")
		p.say(`{"type":"gap","topics":["a"],"from":"z9","to":"b0","reason":"restarted"}`)
		c.expect("connected [a]", "gap [a] (z9, b0] restarted")
		c.at("z9")
		p.say(event("a", "b2"), `{"type":"heartbeat","cursor":"b1"}`)
		c.expect("a b2 at b2")
		p.cut()
		c.expect("disconnected")
		p = s.next()
		p.begins("topic=a&after=b2")
	})
}

// TestNoCursor: to the broker, text that is not a cursor belongs to another log.
func TestNoCursor(t *testing.T) {
	bubble(t, func(t *testing.T, s *stage) {
		c := s.open("ws://broker/ws", client.Options{After: "zzz"})
		p := s.next()
		p.begins("after=zzz")
		p.welcome("00")
		c.expect("connected []")
		c.at("00")
		p.cut()
		s.next().begins("after=00")
	})
}

// TestNewest: with Last the welcome's cursor is before what follows.
func TestNewest(t *testing.T) {
	bubble(t, func(t *testing.T, s *stage) {
		c := s.open("ws://broker/ws?topic=a", client.Options{Last: 2})
		p := s.next()
		p.begins("topic=a&last=2")
		p.cut()
		c.expect("disconnected")
		p = s.next()
		p.begins("topic=a&last=2")
		p.welcome("c4", "a")
		c.expect("connected [a]")
		p.cut()
		s.next().begins("topic=a&after=c4")
	})
}
