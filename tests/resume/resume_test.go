package resume_test

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"belfry/tests/harness"
)

// A client that comes back gets what it has missed, oldest first, and then
// goes on live.

// TestComeBack: events wait for a client, however its connection ended. It has confirmed
// the earlier ones, so nothing comes twice.
func TestComeBack(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		flags []string
		leave func(w *harness.Wire, t *testing.T)
	}{
		{"reset", nil, (*harness.Wire).Reset},
		{"end", nil, (*harness.Wire).HangUp},
		{"close", nil, func(w *harness.Wire, t *testing.T) {
			w.Send(t, harness.Farewell(1001, "going away"))
			w.Echoed(t, 1001)
		}},
		{"broken frame", nil, func(w *harness.Wire, t *testing.T) {
			w.Send(t, "\xff\xff")
			w.Closed(t, 1002, "reserved bits are set")
		}},
		{"silence", []string{"--ping-interval=50ms", "--pong-timeout=" + harness.ShortTime.String()}, func(w *harness.Wire, t *testing.T) {
			w.Closed(t, 4101, "pong_timeout")
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := harness.Start(t, test.flags...)
			r := b.Register(t, `{"user_id": 1, "topics": ["cats", "dogs.*"]}`)
			b.Publish(t, harness.Event("cats", "too early"))
			w := b.Wire(t, r)
			b.Publish(t, harness.Event("cats", "one"))
			w.Expect(t, "one")
			w.Sync(t)

			test.leave(w, t)
			b.Away(t)
			if got := b.Publish(t, harness.Event("dogs.rex", "two")); got.Matched != 1 || got.Queued != 0 {
				t.Errorf("while it is away: %+v", got)
			}
			b.Publish(t, harness.Event("fish", "not for it"))
			b.Publish(t, `{"topic": "cats", "user_id": 1, "message": "three"}`)
			b.Publish(t, `{"topic": "cats", "user_id": 2, "message": "not for it"}`)
			b.Publish(t, harness.Event("cats", "four"))

			p := b.Connect(t, r)
			p.Expect(t, "two", "three", "four")
			b.Publish(t, harness.Event("cats", "five"))
			p.Expect(t, "five")
			p.Silent(t)
		})
	}
}

// TestNoHole: while numbers are published as fast as can be, a client comes and
// goes. It gets them all, in order. Those that it had not confirmed when it
// went may come again, which the protocol cannot avoid: it has no
// acknowledgements.
func TestNoHole(t *testing.T) {
	t.Parallel()
	const rounds = 30
	for kind, subscription := range map[string]string{"topics": `["n.0", "n.1", "n.2"]`, "patterns": `["n.>", "n.1"]`} {
		for name, leave := range map[string]func(*harness.NumberReader){
			"reset": (*harness.NumberReader).Reset,
			"close": (*harness.NumberReader).Close,
		} {
			t.Run(kind+", "+name, func(t *testing.T) {
				t.Parallel()
				b := harness.Start(t, "--history-events=100000")
				n := readNumbers(t, b, subscription)
				for range rounds {
					n.Read(n.Random.IntN(20))
					leave(n)
					b.Away(t)
					n.Source.Wait(n.Random.IntN(20))
					n.Connect()
				}
				n.CatchUp()
			})
		}
		t.Run(kind+", takeover", func(t *testing.T) {
			t.Parallel()
			b := harness.Start(t, "--history-events=100000")
			n := readNumbers(t, b, subscription)
			for range 5 {
				n.Read(20 + n.Random.IntN(20))
				n.TakeOver()
			}
			n.CatchUp()
		})
	}
}

func readNumbers(t *testing.T, b *harness.Broker, subscription string) *harness.NumberReader {
	n := &harness.NumberReader{T: t, B: b, Random: rand.New(rand.NewPCG(1, 2))}
	n.Client = b.Register(t, `{"user_id": 1, "topics": `+subscription+`}`)
	n.Connect()
	n.Source = b.PublishNumbers(t)
	return n
}

// TestTooLate: a client whose resume window is over is unknown.
func TestTooLate(t *testing.T) {
	t.Parallel()
	for _, window := range []string{"0s", "50ms"} {
		t.Run(window, func(t *testing.T) {
			t.Parallel()
			b := harness.Start(t, "--resume-window="+window)
			r := b.Register(t, `{"user_id": 1}`)
			w := b.Wire(t, r)
			w.Send(t, harness.Farewell(1000, ""))
			w.Echoed(t, 1000)
			if window != "0s" {
				harness.Eventually(t, "the client is forgotten", func() bool { return b.Census(t).Clients == 0 })
			}
			b.Refused(t, r, http.StatusNotFound, "unknown_client")
			if got := b.Publish(t, harness.Event("cats", "purr")); got.Matched != 0 {
				t.Errorf("for a client that is gone: %+v", got)
			}
			if b.Unregister(t, r) {
				t.Error("the client was still there")
			}
		})
	}
}

// TestGap: a client whose missed events were evicted gets a gap first, not just the rest.
func TestGap(t *testing.T) {
	t.Parallel()
	const count = 3 // that are retained
	for _, test := range []struct {
		name    string
		missed  int // of its topic
		others  int // of a topic that is not its own
		replies string
	}{
		{"nothing", 0, 0, ""},
		{"as much as is retained", count, 0, "1 2 3"},
		{"one more", count + 1, 0, "gap"},
		{"one, and too many of others", 1, count + 1, "1"},
		{"none, and too many of others", 0, count + 1, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := harness.Start(t, "--history-events="+strconv.Itoa(count))
			r := b.Register(t, `{"user_id": 1}`)
			b.Connect(t, r).Leave()
			b.Away(t)
			for i := range test.missed {
				b.Publish(t, harness.Event("cats", strconv.Itoa(i+1)))
			}
			for range test.others {
				b.Publish(t, harness.Event("dogs", "bark"))
				b.Publish(t, `{"topic": "cats", "user_id": 2, "message": "for another"}`)
			}
			p := b.Connect(t, r)
			if test.replies == "gap" {
				p.Closed(t, 4003, "gap")
				b.Refused(t, r, http.StatusNotFound, "unknown_client")
				return
			}
			p.Expect(t, strings.Fields(test.replies)...)
			b.Publish(t, harness.Event("cats", "live"))
			p.Expect(t, "live")
			p.Silent(t)
		})
	}
}

// TestTopicsWhileAway: topics may change while a client is away, and take effect at once.
func TestTopicsWhileAway(t *testing.T) {
	t.Parallel()
	b := harness.Start(t)
	r := b.Register(t, `{"user_id": 1, "topics": ["cats", "birds"]}`)
	b.Connect(t, r).Leave()
	b.Away(t)
	change := func(method, path, topic string) {
		t.Helper()
		if got := b.Call(t, method, path+"?client_id="+r.ClientID+"&topic="+topic, ""); got.Status != 200 {
			t.Fatalf("%s %s: %d %s", method, path, got.Status, got.Body)
		}
	}
	publish := func(text string) {
		t.Helper()
		for _, topic := range []string{"cats", "dogs", "birds", "fish.cod"} {
			b.Publish(t, harness.Event(topic, topic+" "+text))
		}
	}
	publish("1")
	change("POST", "/add_topic", "dogs")
	publish("2")
	change("DELETE", "/remove_topic", "birds")
	change("POST", "/add_topic", "fish.*")
	publish("3")
	change("DELETE", "/remove_topic", "cats") // what it has missed of it goes, too
	change("POST", "/add_topic", "cats")
	publish("4")

	p := b.Connect(t, r)
	p.Expect(t, "dogs 2", "dogs 3", "fish.cod 3", "cats 4", "dogs 4", "fish.cod 4")
	p.Silent(t)
}

// TestSlowConsumer: a client that stops reading is closed when more waits for it
// than may, the others get everything, and it may come back.
func TestSlowConsumer(t *testing.T) {
	t.Parallel()
	b := harness.Start(t, "--history-events=100000", "--client-queue-bytes=262144")
	slow := harness.SlowReader(t, b)
	quick := b.Connect(t, b.Register(t, `{"user_id": 2}`))

	published := 0
	for b.Metric(t, `belfry_disconnects_total{reason="slow_consumer"}`) == 0 {
		for range 10 {
			published++
			b.Publish(t, harness.Event("cats", harness.Padded(published)))
		}
		if published > 10000 {
			t.Fatal("the client that does not read is not closed")
		}
	}
	for i := range published {
		quick.Expect(t, harness.Padded(i+1))
	}
	quick.Silent(t)
	slow.ReadToClose(4100, "slow_consumer")
	slow.Send(t, harness.Farewell(4100, ""))
	slow.Ended(t)
	if slow.Last == 0 || slow.Last == published {
		t.Errorf("of %d events the slow client had %d before it was closed", published, slow.Last)
	}

	slow.Connect()
	slow.ReadTo(published)
	published++
	b.Publish(t, harness.Event("cats", harness.Padded(published)))
	slow.ReadTo(published)
	slow.Sync(t)
}

// TestTakeoverFromSlow: what waits for a connection that is taken over goes to
// the next one.
func TestTakeoverFromSlow(t *testing.T) {
	t.Parallel()
	b := harness.Start(t)
	slow := harness.SlowReader(t, b)
	const published = 90
	for i := range published {
		b.Publish(t, harness.Event("cats", harness.Padded(i+1)))
	}
	slow.TakeOver()
	if slow.Last == 0 || slow.Last == published {
		t.Errorf("the first connection had %d of %d events", slow.Last, published)
	}
	slow.ReadTo(published)
	slow.Sync(t)
}

// TestDeafPeer: a client that reads nothing at all is cut off after the time
// that it has to answer a Close frame, without one. It may come back, too.
func TestDeafPeer(t *testing.T) {
	t.Parallel()
	b := harness.Start(t, "--history-events=100000", "--client-queue-bytes=262144", "--close-timeout=10ms")
	deaf := harness.SlowReader(t, b)
	published := 0
	for b.Metric(t, "belfry_connections_closed_total") == 0 {
		published++
		b.Publish(t, harness.Event("cats", harness.Padded(published)))
		if published > 10000 {
			t.Fatal("the client that does not read is not cut off")
		}
	}
	for {
		op, message, err := harness.ReadFrame(deaf.Reread(t))
		if errors.Is(err, syscall.ECONNRESET) {
			break
		}
		if err != nil || op != harness.Text {
			t.Fatalf("got %#x %q, %v; want some numbers and then a reset", op, message, err)
		}
		deaf.Take(message)
	}

	p := b.Connect(t, deaf.Client)
	b.Publish(t, harness.Event("cats", "live"))
	for p.Next(t) != "live" {
	}
	p.Silent(t)
}
