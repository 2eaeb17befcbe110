package harness

import (
	"strconv"
	"strings"
	"testing"
)

// Told publishes an event of one line, and returns how a stream has it.
func (b *Broker) Told(t *testing.T, topic, text string) (cursor, stream string) {
	t.Helper()
	cursor = b.Publish(t, Event(topic, text)).Cursor
	return cursor, "data: " + text + "\nid: " + cursor + "\n\n"
}

// A History is what GET /topics/{topic}/events answers.
type History struct {
	Topic  string
	Events []struct{ Topic, ID, Cursor, Data string }
	Cursor string
	More   bool
}

// What is retained, read by HTTP.

// Page reads a part of a topic's history, whose messages are numbers.
func (b *Broker) Page(t *testing.T, topic, query string) (numbers []int, h History) {
	t.Helper()
	h = Ask[History](t, b, "GET", "/topics/"+topic+"/events?"+query, "")
	cursor := ""
	for _, e := range h.Events {
		n, err := strconv.Atoi(strings.TrimSpace(e.Data))
		if err != nil || e.Cursor <= cursor || e.Topic != topic || e.ID == "" {
			t.Fatalf("%s: after %s comes %.100v: %v", query, cursor, e, err)
		}
		numbers, cursor = append(numbers, n), e.Cursor
	}
	if h.Cursor < cursor || h.Topic != topic {
		t.Fatalf("%s: the page of %s ends at %s with %s", query, h.Topic, cursor, h.Cursor)
	}
	return numbers, h
}
