package resume_test

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	"belfry/tests/harness"
)

func TestSlowV1(t *testing.T) {
	t.Parallel()
	b := harness.Start(t, harness.SlowFlags...)
	w := b.SocketFrom(t, harness.SmallBuffer, harness.V1Opening("/ws?topic=cats"))
	w.AcceptedV1(t)
	published := b.Flood(t)
	last, cursor, again := 0, "", 0
	for again == 0 {
		m := w.V1(t)
		switch m.Type {
		case "event":
			var text string
			if err := json.Unmarshal(m.Data, &text); err != nil {
				t.Fatal(err)
			}
			last = harness.Number(t, text, last)
		case "closing":
			if again = m.ReconnectAfterMS; m.Reason != "slow_consumer" {
				t.Errorf("the reason is %q", m.Reason)
			}
		}
		if m.Cursor != "" {
			cursor = m.Cursor
		}
	}
	w.Closed(t, 4100, "slow_consumer")
	if last == 0 || last == published {
		t.Errorf("of %d events the slow client had %d", published, last)
	}
	w = b.WireV1(t, "/ws?topic=cats&after="+cursor)
	for last < published {
		var text string
		if err := json.Unmarshal(w.V1(t).Data, &text); err != nil {
			t.Fatal(err)
		}
		last = harness.Number(t, text, last)
	}
	w.Send(t, harness.Say(`{"op":"ping"}`))
	if m := w.V1(t); m.Type != "pong" {
		t.Errorf("at last came %+v", m)
	}
}

// TestSilentV1: a client that does not answer pings is told to reconnect, and from where.
func TestSilentV1(t *testing.T) {
	t.Parallel()
	b := harness.Start(t, "--ping-interval=50ms", "--pong-timeout="+harness.ShortTime.String())
	w := b.WireV1(t, "/ws?topic=cats")
	at := b.Publish(t, harness.Event("cats", "one")).Cursor
	if m := w.V1(t); m.Cursor != at {
		t.Errorf("got %+v", m)
	}
	at = b.Publish(t, harness.Event("dogs", "not asked for")).Cursor
	if m := w.V1(t); m.Type != "closing" || m.Reason != "pong_timeout" || m.Cursor != at || m.ReconnectAfterMS < 1000 {
		t.Errorf("got %+v, want to be told to come back after %s", m, at)
	}
	w.Closed(t, 4101, "pong_timeout")
}

// TestHeartbeatsBesidePings: a page sees neither pings nor pongs, so a line that
// has nothing else has heartbeats.
func TestHeartbeatsBesidePings(t *testing.T) {
	t.Parallel()
	b := harness.Start(t, "--heartbeat=100ms", "--ping-interval=10ms", "--max-control-rate=100000")
	w := b.WireV1(t, "/ws?topic=cats")
	at := b.Publish(t, harness.Event("dogs", "not asked for")).Cursor
	for {
		w.Send(t, harness.Masked(harness.Final|harness.Ping, ""))
		switch op, message := w.Frame(t); {
		case op == harness.Closing:
			t.Fatalf("there was no heartbeat: %q", message)
		case op == harness.Text && strings.Contains(message, "heartbeat") && strings.Contains(message, at):
			return
		}
	}
}

// TestManyReplays: replays that wait are as few as subscriptions may be, also
// for a client that reads quickly.
func TestManyReplays(t *testing.T) {
	t.Parallel()
	const limit, count = 4, 1000
	b := harness.Start(t, "--history-events=1000", fmt.Sprint("--max-subscriptions=", limit))
	begin := harness.Beginning(b.Publish(t, harness.Event("cats", "purr")).Cursor)
	for range 200 {
		b.Publish(t, harness.Event("cats", "purr"))
	}
	w := b.WireV1(t, "/ws")
	var subscribe strings.Builder
	for range count {
		subscribe.WriteString(harness.Say(`{"op":"subscribe","topics":["cats"],"after":"` + begin + `"}`))
	}
	go func() { _, _ = io.WriteString(w, subscribe.String()+harness.Say(`{"op":"ping"}`)) }() // or the answers lack
	acks, lives, refusals := 0, 0, 0
	for pong := false; !pong || lives < acks; {
		switch m := w.V1(t); {
		case m.Type == "ack":
			acks++
		case m.Type == "live":
			lives++
		case m.Type == "pong":
			pong = true
		case m.Type == "error" && m.Code == "too_many_replays":
			refusals++
		case m.Type != "event" || !m.Replay:
			t.Fatalf("got %+v", m)
		}
		if acks-lives > limit {
			t.Fatalf("%d replays wait", acks-lives)
		}
	}
	if acks+refusals != count || refusals == 0 || acks < limit {
		t.Errorf("of %d there were %d done and %d refused", count, acks, refusals)
	}
	w.Send(t, harness.Say(`{"op":"subscribe","topics":["cats"],"last":1}`))
	for _, want := range []string{"ack", "event", "live"} {
		if m := w.V1(t); m.Type != want {
			t.Errorf("at last came %+v, want %s", m, want)
		}
	}
}

func TestSlowEventStream(t *testing.T) {
	t.Parallel()
	b := harness.Start(t, harness.SlowFlags...)
	by := b.Connect(t, b.Register(t, `{"user_id": "bystander"}`))
	slow := b.SocketFrom(t, harness.SmallBuffer, harness.EventRequest("/sse?topic=cats"))
	published := b.Flood(t)
	for i := range published {
		by.Expect(t, harness.Padded(i+1))
	}
	s, last := slow.Stream(t), 0
	for {
		ev, ok := s.Next()
		if !ok {
			t.Fatal("the stream ended without a farewell")
		}
		if ev.Kind == "closing" {
			if !strings.HasPrefix(ev.Data, `{"reason":"slow_consumer","reconnect_after_ms":`) {
				t.Errorf("the farewell is %s", ev.Data)
			}
			break
		}
		last = harness.Number(t, ev.Data, last)
	}
	if ev, ok := s.Next(); ok {
		t.Errorf("after the farewell comes %+v", ev)
	}
	if last == 0 || last == published {
		t.Errorf("of %d events the slow client had %d", published, last)
	}
	s = b.Stream(t, "/sse?topic=cats", "Last-Event-ID: "+s.Parser.LastID)
	for last < published {
		ev, _ := s.Next()
		last = harness.Number(t, ev.Data, last)
	}
	b.Publish(t, harness.Event("cats", "live"))
	s.Expect("message", "live")
}

// TestDeafEventStream: a client that reads nothing is cut off when the time for its
// farewell is over.
func TestDeafEventStream(t *testing.T) {
	t.Parallel()
	b := harness.Start(t, append(harness.SlowFlags, "--close-timeout=10ms")...)
	deaf := b.SocketFrom(t, harness.SmallBuffer, harness.EventRequest("/sse?topic=cats"))
	b.Flood(t)
	harness.Eventually(t, "it is cut off", func() bool { return b.Metric(t, "belfry_connections") == 0 })
	if waits := b.Metric(t, "belfry_client_queue_bytes"); waits != 0 {
		t.Errorf("%v bytes wait", waits)
	}
	if _, err := io.Copy(io.Discard, deaf.Reread(t)); err == nil {
		t.Error("the client that read nothing was closed in order")
	}
}
