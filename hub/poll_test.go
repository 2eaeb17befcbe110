package hub

import "testing"

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
