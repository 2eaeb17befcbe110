package hub

import (
	"context"
	"sync"
	"testing"
)

// A request that waits for an event is no subscriber of its topic.
func TestPollsAreNotSubscribers(t *testing.T) {
	t.Parallel()
	s := NewState(testOptions())
	crowd(t, s, 1, "cats")
	for _, topic := range []string{"cats", "dogs"} {
		if _, err := s.Await(topic, topic); err != nil {
			t.Fatal(err)
		}
	}
	for topic, want := range map[string]int{"cats": 1, "dogs": 0} {
		if info, is := s.Topic(topic); !is || info.Subscribers != want {
			t.Errorf("%s: %+v, want %d subscribers", topic, info, want)
		}
	}
	checkInvariants(t, s)
}

// A request that is over while it is to be told of an event still counts until it would have
// been: so there are never more of them than may wait.
func TestPollIsOverWhileWoken(t *testing.T) {
	t.Parallel()
	opts := testOptions()
	opts.MaxConnections = 3
	s := NewState(opts)
	taken := 0
	for range 10 {
		poll, err := s.Await("cats", nil)
		if err != nil && err != ErrTooManyConnections {
			t.Fatal(err)
		}
		mustPublish(t, s, "cats")
		if err == nil {
			taken++
			s.EndPoll(poll)
		}
		checkInvariants(t, s)
	}
	if taken != opts.MaxConnections {
		t.Errorf("%d requests were taken, want %d", taken, opts.MaxConnections)
	}
	woken, more := s.Woken()
	if len(woken) != taken || more {
		t.Errorf("%d are woken, and more: %t; want %d", len(woken), more, taken)
	}
	for _, poll := range woken {
		s.EndPoll(poll)
	}
	if st := s.Stats(); st.Polls != 0 || st.ClientBytes != 0 {
		t.Errorf("%d requests and %d bytes are left", st.Polls, st.ClientBytes)
	}
	if _, err := s.Await("cats", nil); err != nil {
		t.Error(err)
	}
	checkInvariants(t, s)
}

// A request may be over and be told of an event at once, whichever the hub hears first.
func TestPollsAreOverAsTheyAreWoken(t *testing.T) {
	t.Parallel()
	h := run(t, testOptions())
	after := h.Cursor(0)
	for range 100 {
		ctx, cancel := context.WithCancel(context.Background())
		var polls sync.WaitGroup
		for range 8 {
			polls.Go(func() {
				page, err := h.History(ctx, "cats", From{After: &after})
				if err != nil || len(page.Events) > 1 {
					t.Errorf("%+v, %v", page, err)
				}
			})
		}
		polls.Go(cancel)
		var at Receipt
		polls.Go(func() {
			var err error
			if at, err = h.Publish(context.Background(), Event{ID: "id", Topic: "cats"}); err != nil {
				t.Error(err)
			}
		})
		polls.Wait()
		after = at.Cursor
	}
	for waiting := 1; waiting > 0; { // at the end of the turn none does
		stats, err := h.Stats()
		h.ok(err)
		waiting = stats.Polls
	}
}
