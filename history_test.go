package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// What is retained, read by HTTP.

// page reads a part of a topic's history, whose messages are numbers.
func (b *testBroker) page(t *testing.T, topic, query string) (numbers []int, h history) {
	t.Helper()
	h = ask[history](t, b, "GET", "/topics/"+topic+"/events?"+query, "")
	cursor := ""
	for _, e := range h.Events {
		n, err := strconv.Atoi(strings.TrimSpace(e.Data))
		if err != nil || e.Cursor <= cursor || e.Topic != topic || e.ID == "" {
			t.Fatalf("%s: behind %s comes %.100v: %v", query, cursor, e, err)
		}
		numbers, cursor = append(numbers, n), e.Cursor
	}
	if h.Cursor < cursor || h.Topic != topic {
		t.Fatalf("%s: the page of %s ends at %s with %s", query, h.Topic, cursor, h.Cursor)
	}
	return numbers, h
}

// TestHistoryPages: an answer is bounded, and pages together are everything.
func TestHistoryPages(t *testing.T) {
	t.Parallel()
	b := start(t, "--history-events=2000")
	begin := beginning(b.publish(t, event("other", "")).Cursor)
	const count = 1200
	var want []int
	var list []string
	for i := range count {
		want = append(want, i)
		list = append(list, event("n", padded(i)))
		if i%100 == 0 {
			list = append(list, `{"topic": "n", "user_id": 1, "message": "for one"}`, event("other", "not asked for"))
			b.publishAll(t, list)
			list = nil
		}
	}
	b.publishAll(t, list)
	for _, test := range []struct {
		query string
		want  []int
	}{
		{"", want},
		{"after=" + begin, want},
		{"last=1000", want[count-1000:]},
		{"last=1", want[count-1:]},
	} {
		var got []int
		numbers, h := b.page(t, "n", test.query)
		for pages := 1; ; pages++ {
			got = append(got, numbers...)
			if !h.More {
				break
			}
			if len(numbers) == 0 || pages > 100 {
				t.Fatalf("%s: page %d holds %d events, and there are more", test.query, pages, len(numbers))
			}
			numbers, h = b.page(t, "n", "after="+h.Cursor)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: got %d events, want %d", test.query, len(got), len(test.want))
		}
		if numbers, _ := b.page(t, "n", "after="+h.Cursor); len(numbers) > 0 {
			t.Errorf("%s: behind the end come %d", test.query, len(numbers))
		}
	}
}

// TestPollNoHole: who polls again with the cursor of the answer before has
// everything, once, in order.
func TestPollNoHole(t *testing.T) {
	t.Parallel()
	b := start(t, "--history-events=100000")
	_, h := b.page(t, "n.1", "")
	s := b.publishNumbers(t)
	for last := -2; last < 600; {
		numbers, next := b.page(t, "n.1", "wait=60s&after="+h.Cursor)
		if len(numbers) == 0 {
			t.Fatal("the poll has waited for nothing")
		}
		for _, n := range numbers {
			want := last + 3
			if want%5 == 0 {
				want += 3 // that one is for a user
			}
			if n != want {
				t.Fatalf("behind %d comes %d, want %d", last, n, want)
			}
			last = n
		}
		h = next
		if last%2 == 0 {
			s.wait(10)
		}
	}
}

// TestManyPolls: an event wakes all that wait for it, and no others.
func TestManyPolls(t *testing.T) {
	t.Parallel()
	b := start(t)
	poll := func(topic string) *wire {
		return b.socket(t, "GET /topics/"+topic+"/events?wait=60s HTTP/1.1\r\nHost: localhost\r\n\r\n")
	}
	var waiting []*wire
	for range 20 {
		waiting = append(waiting, poll("cats"))
	}
	other, gone := poll("dogs"), poll("cats")
	polls := func(n float64) {
		t.Helper()
		eventually(t, fmt.Sprint(n, " polls wait"), func() bool { return b.metric(t, "belfry_polls") == n })
	}
	polls(22)
	gone.reset(t)
	polls(21)
	b.publish(t, `{"topic": "cats", "user_id": 1, "message": "for one"}`)
	b.publish(t, event("cats", "purr"))
	for _, w := range waiting {
		if got := w.answer(t); got.status != 200 || strings.Count(got.body, `"data":`) != 1 || !strings.Contains(got.body, `"data":"purr"`) {
			t.Errorf("got %d %s", got.status, got.body)
		}
	}
	polls(1)
	b.publish(t, event("dogs", "bark"))
	if got := other.answer(t); !strings.Contains(got.body, `"data":"bark"`) {
		t.Errorf("got %d %s", got.status, got.body)
	}
	polls(0)
}
