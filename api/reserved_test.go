package api_test

import "testing"

// A list with topics for operators has its other topics checked too.
func TestReservedTopics(t *testing.T) {
	t.Parallel()
	b := newBroker(t) // open: everybody is an operator
	for _, path := range []string{"/sse", "/ws"} {
		if w := b.call("GET", path+"?topic=%24stats&topic=%24presence.cats&topic=cats", ""); w.Code != 200 {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
		problem(t, b.call("GET", path+"?topic=%24stats&topic=a..b", ""), 400, "invalid_topic")
		problem(t, b.call("GET", path+"?topic=a..b&topic=%24stats", ""), 400, "invalid_topic")
	}
	problem(t, b.call("POST", "/register", `{"user_id":1,"topics":["$stats"]}`), 403, "topic_reserved")
	problem(t, b.call("POST", "/publish", `{"topic":"$stats","message":1}`), 403, "topic_reserved")
}
