package client_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"belfry/client"
)

// Subscriptions on a live connection, and what becomes of them when it is lost.

func TestSubscribe(t *testing.T) {
	bubble(t, func(t *testing.T, s *stage) {
		c := s.open("ws://broker/ws", client.Options{})
		first := c.subscribe(client.Subscription{Topics: []string{"a", "b.*", "a"}})
		p := s.next()
		p.welcome("c1")
		p.expect(`{"op":"subscribe","topics":["a","b.*"],"ref":1}`)
		c.expect("connected []")
		c.unsubscribe("a", "x")
		c.subscribe(client.Subscription{Topics: []string{"c"}, Last: 3})
		p.expect(`{"op":"unsubscribe","topics":["a","x"],"ref":2}`, `{"op":"subscribe","topics":["c"],"last":3,"ref":3}`)
		p.say(answer("ack", 1, "c2"), event("b.1", "c3"), answer("ack", 2, "c3"))
		c.expect("ack Subscribe(a, b.*, a)", "b.1 c3 at c3", "ack Unsubscribe(a, x)")
		p.say(answer("ack", 3, "c3"), replayed("c", "c1"), answer("live", 3, "c3"), event("c", "c4"))
		c.expect("ack Subscribe(c)", "replay of Subscribe(c): c c1 at c3", "live Subscribe(c)", "c c4 at c4")
		if err := first.Wait(context.Background()); err != nil {
			t.Error(err)
		}
		p.silent()
	})
}

func TestRefused(t *testing.T) {
	bubble(t, func(t *testing.T, s *stage) {
		c := s.open("ws://broker/ws", client.Options{})
		p := s.next()
		p.welcome("c1")
		request := c.subscribe(client.Subscription{Topics: []string{"a"}, After: "c0"})
		p.expect(`{"op":"subscribe","topics":["a"],"after":"c0","ref":1}`)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := request.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		p.say(`{"type":"error","ref":1,"code":"too_many_topics","detail":"unsubscribe from some"}`)
		c.expect("connected []", "refused Subscribe(a) too_many_topics")
		err := request.Wait(context.Background())
		if !errors.Is(err, client.TooManyTopics) || errors.Is(err, client.InvalidTopic) {
			t.Error(err)
		}
		if no, ok := errors.AsType[*client.Refused](err); !ok || no.Request != request || no.Detail != "unsubscribe from some" {
			t.Errorf("%#v", err)
		}
		p.cut()
		c.expect("disconnected")
		p = s.next()
		p.begins("after=c1")
		p.welcome("c1")
		p.silent()
	})
}

// TestNotSent: what the client finds wrong by itself.
func TestNotSent(t *testing.T) {
	bubble(t, func(t *testing.T, s *stage) {
		c := s.open("ws://broker/ws", client.Options{})
		for _, test := range []struct {
			subscription client.Subscription
			want         client.Code
		}{
			{client.Subscription{}, client.InvalidTopic},
			{client.Subscription{Topics: []string{"a", "\xff"}}, client.InvalidTopic},
			{client.Subscription{Topics: []string{"a"}, After: "\xff"}, client.InvalidCursor},
			{client.Subscription{Topics: []string{"a"}, After: "c1", Last: 1}, client.InvalidLast},
		} {
			if _, err := c.Subscribe(test.subscription); !errors.Is(err, test.want) {
				t.Errorf("%+v: %v", test.subscription, err)
			}
		}
		if _, err := c.Unsubscribe(); !errors.Is(err, client.InvalidTopic) {
			t.Error(err)
		}
		p := s.next()
		p.welcome("c1")
		c.subscribe(client.Subscription{Topics: []string{strings.Repeat("x", 70000)}})
		c.expect("connected []")
		if m, err := c.next(); err != nil || !errors.Is(m.(*client.Refused), client.RequestTooLong) {
			t.Error(m, err)
		}
		p.silent()
	})
}

// TestURLTopics: without a registration the topics are those of the URL, so
// the client puts there what was asked for since. Then one stream has it all.
func TestURLTopics(t *testing.T) {
	bubble(t, func(t *testing.T, s *stage) {
		c := s.openStatic("ws://broker/ws?topic=a&topic=b&key=%2f", client.Options{})
		p := s.next()
		p.welcome("c1", "a", "b")
		c.subscribe(client.Subscription{Topics: []string{"b", "c.>", "d"}})
		c.unsubscribe("a", "d")
		p.expect(`{"op":"subscribe","topics":["b","c.>","d"],"ref":1}`, `{"op":"unsubscribe","topics":["a","d"],"ref":2}`)
		p.say(answer("ack", 1, "c1"), answer("ack", 2, "c2"))
		c.expect("connected [a b]", "ack Subscribe(b, c.>, d)", "ack Unsubscribe(a, d)")
		c.subscribe(client.Subscription{Topics: []string{"e"}})
		p.expect(`{"op":"subscribe","topics":["e"],"ref":3}`)
		p.cut() // before the ack
		c.expect("disconnected")

		p = s.next()
		p.begins("topic=b&key=%2f&after=c2&topic=c.%3E")
		p.welcome("c2", "b", "c.>")
		p.expect(`{"op":"subscribe","topics":["e"],"ref":4}`)
		p.say(event("c.1", "c3"), answer("ack", 4, "c3"))
		c.expect("connected [b c.>]", "c.1 c3 at c3", "ack Subscribe(e)")
		c.unsubscribe("b")
		c.subscribe(client.Subscription{Topics: []string{"a"}})
		p.expect(`{"op":"unsubscribe","topics":["b"],"ref":5}`, `{"op":"subscribe","topics":["a"],"ref":6}`)
		p.say(answer("ack", 5, "c3"), answer("ack", 6, "c3"))
		c.expect("ack Unsubscribe(b)", "ack Subscribe(a)")
		p.cut()
		s.next().begins("topic=a&key=%2f&after=c3&topic=c.%3E&topic=e")
	})
}

// TestLongURL: topics that would make the URL too long for proxies are asked
// for once connected.
func TestLongURL(t *testing.T) {
	bubble(t, func(t *testing.T, s *stage) {
		c := s.openStatic("ws://broker/ws", client.Options{})
		p := s.next()
		p.welcome("c1")
		var topics []string
		for i := range 30 {
			topics = append(topics, fmt.Sprintf("%03d%s", i, strings.Repeat("x", 200)))
		}
		c.subscribe(client.Subscription{Topics: topics})
		p.expect(fmt.Sprintf(`{"op":"subscribe","topics":["%s"],"ref":1}`, strings.Join(topics, `","`)))
		p.say(answer("ack", 1, "c1"))
		p.cut()
		p = s.next()
		there := p.url.Query()["topic"]
		if n := len(p.url.String()); n > 4096 || len(there) < 15 {
			t.Errorf("%d topics in a URL of %d bytes", len(there), n)
		}
		p.welcome("c1", there...)
		p.expect(fmt.Sprintf(`{"op":"subscribe","topics":["%s"],"after":"c1","ref":2}`, strings.Join(topics[len(there):], `","`)))
	})
}

// TestRepair: topics that a new registration does not bring are asked for from
// where the lost connection came to. What comes twice that way is passed on
// once, and until it is over the resume point waits.
func TestRepair(t *testing.T) {
	bubble(t, func(t *testing.T, s *stage) {
		c := s.open("ws://broker/ws/1", client.Options{})
		p := s.next()
		p.welcomeUser("c1", "a.*")
		c.subscribe(client.Subscription{Topics: []string{"*.x", "b"}})
		p.expect(`{"op":"subscribe","topics":["*.x","b"],"ref":1}`)
		p.say(answer("ack", 1, "c2"), event("b", "c3"))
		c.expect("connected [a.*]", "ack Subscribe(*.x, b)", "b c3 at c3")
		p.close(4004, "unknown_client")
		c.expect("disconnected")

		p = s.next()
		p.begins("after=c3")
		p.welcomeUser("c3", "a.*")
		p.expect(`{"op":"subscribe","topics":["*.x","b"],"after":"c3","ref":2}`)
		p.say(event("a.x", "c4"), event("a.y", "c6"), answer("ack", 2, "c7"))
		p.say(replayed("a.x", "c4"), replayed("b", "c5"))
		c.expect("connected [a.*]", "a.x c4 at c3", "a.y c6 at c3", "b c5 at c3")
		p.cut()
		c.expect("disconnected")
		c.at("c3")

		p = s.next()
		p.begins("after=c7")
		p.welcomeUser("c7", "a.*")
		p.expect(`{"op":"subscribe","topics":["*.x","b"],"after":"c3","ref":3}`)
		p.say(answer("ack", 3, "c7"))
		p.say(replayed("a.x", "c4"), replayed("b", "c5"), replayed("b", "c7"), answer("live", 3, "c7"), event("b", "c8"))
		c.expect("connected [a.*]", "b c7 at c3", "b c8 at c8")

		c.unsubscribe("a.*")
		p.expect(`{"op":"unsubscribe","topics":["a.*"],"ref":4}`)
		p.say(answer("ack", 4, "c8"))
		c.expect("ack Unsubscribe(a.*)")
		p.cut()
		c.expect("disconnected")

		// Another registration would bring back what is not wanted any more.
		p = s.next()
		p.begins("after=c8")
		p.welcomeUser("c8", "a.*", "b")
		p.expect(`{"op":"unsubscribe","topics":["a.*"],"ref":5}`, `{"op":"subscribe","topics":["*.x"],"after":"c8","ref":6}`)
		p.say(answer("ack", 5, "c8"), `{"type":"error","ref":6,"code":"too_many_topics","detail":""}`, event("b", "c9"))
		c.expect("connected [a.* b]", "refused Subscribe(*.x) too_many_topics", "b c9 at c9")
	})
}

// TestManyRepairs: topics lost at different times are asked for from different
// points, in messages of a size that the broker takes, and what two of the
// replays have in common is passed on once.
func TestManyRepairs(t *testing.T) {
	bubble(t, func(t *testing.T, s *stage) {
		c := s.open("ws://broker/ws/1", client.Options{})
		p := s.next()
		small := func(cursor string) {
			p.say(fmt.Sprintf(`{"type":"welcome","handle":"h","user_id":1,"topics":[],"cursor":%q,"limits":{"max_message":140}}`, cursor))
		}
		small("c1")
		c.subscribe(client.Subscription{Topics: []string{"a.*", "*.b"}})
		p.expect(`{"op":"subscribe","topics":["a.*","*.b"],"ref":1}`)
		p.say(answer("ack", 1, "c1"))
		c.expect("connected []", "ack Subscribe(a.*, *.b)")
		p.cut()
		c.expect("disconnected")

		p = s.next()
		small("c1")
		p.expect(`{"op":"subscribe","topics":["a.*","*.b"],"after":"c1","ref":2}`)
		p.cut()
		c.expect("connected []", "disconnected")

		p = s.next()
		small("c1")
		p.expect(`{"op":"subscribe","topics":["a.*","*.b"],"after":"c1","ref":3}`)
		p.say(answer("ack", 3, "c2"), replayed("a.b", "c2"), answer("live", 3, "c2"))
		c.subscribe(client.Subscription{Topics: []string{"long.enough.to.need.a.message.alone"}})
		p.expect(`{"op":"subscribe","topics":["long.enough.to.need.a.message.alone"],"ref":4}`)
		p.say(answer("ack", 4, "c2"))
		c.expect("connected []", "a.b c2 at c1", "ack Subscribe(long.enough.to.need.a.message.alone)")
		c.at("c2")
		p.cut()
		c.expect("disconnected")

		p = s.next()
		p.begins("after=c2")
		small("c2")
		p.expect(`{"op":"subscribe","topics":["a.*","*.b"],"after":"c2","ref":5}`, `{"op":"subscribe","topics":["long.enough.to.need.a.message.alone"],"after":"c2","ref":6}`)
	})
}
