package protocol_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"belfry/tests/harness"
)

// TestHistoryPages: an answer is bounded, and pages together are everything.
func TestHistoryPages(t *testing.T) {
	t.Parallel()
	b := harness.Start(t, "--history-events=2000")
	begin := harness.Beginning(b.Publish(t, harness.Event("other", "")).Cursor)
	const count = 1200
	var want []int
	var list []string
	for i := range count {
		want = append(want, i)
		list = append(list, harness.Event("n", harness.Padded(i)))
		if i%100 == 0 {
			list = append(list, `{"topic": "n", "user_id": 1, "message": "for one"}`, harness.Event("other", "not asked for"))
			b.PublishAll(t, list)
			list = nil
		}
	}
	b.PublishAll(t, list)
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
		numbers, h := b.Page(t, "n", test.query)
		for pages := 1; ; pages++ {
			got = append(got, numbers...)
			if !h.More {
				break
			}
			if len(numbers) == 0 || pages > 100 {
				t.Fatalf("%s: page %d holds %d events, and there are more", test.query, pages, len(numbers))
			}
			numbers, h = b.Page(t, "n", "after="+h.Cursor)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: got %d events, want %d", test.query, len(got), len(test.want))
		}
		if numbers, _ := b.Page(t, "n", "after="+h.Cursor); len(numbers) > 0 {
			t.Errorf("%s: after the end come %d", test.query, len(numbers))
		}
	}
}

// TestPollNoHole: a caller that polls again with the last answer's cursor gets everything,
// once and in order.
func TestPollNoHole(t *testing.T) {
	t.Parallel()
	b := harness.Start(t, "--history-events=100000")
	_, h := b.Page(t, "n.1", "")
	s := b.PublishNumbers(t)
	for last := -2; last < 600; {
		numbers, next := b.Page(t, "n.1", "wait=60s&after="+h.Cursor)
		if len(numbers) == 0 {
			t.Fatal("the poll has waited for nothing")
		}
		for _, n := range numbers {
			want := last + 3
			if want%5 == 0 {
				want += 3 // that one is for a user
			}
			if n != want {
				t.Fatalf("after %d comes %d, want %d", last, n, want)
			}
			last = n
		}
		h = next
		if last%2 == 0 {
			s.Wait(10)
		}
	}
}

// TestManyPolls: an event wakes all that wait for it, and no others.
func TestManyPolls(t *testing.T) {
	t.Parallel()
	b := harness.Start(t)
	poll := func(topic string) *harness.Wire {
		return b.Socket(t, "GET /topics/"+topic+"/events?wait=60s HTTP/1.1\r\nHost: localhost\r\n\r\n")
	}
	var waiting []*harness.Wire
	for range 20 {
		waiting = append(waiting, poll("cats"))
	}
	other, gone := poll("dogs"), poll("cats")
	polls := func(n float64) {
		t.Helper()
		harness.Eventually(t, fmt.Sprint(n, " polls wait"), func() bool { return b.Metric(t, "belfry_polls") == n })
	}
	polls(22)
	gone.Reset(t)
	polls(21)
	b.Publish(t, `{"topic": "cats", "user_id": 1, "message": "for one"}`)
	b.Publish(t, harness.Event("cats", "purr"))
	for _, w := range waiting {
		if got := w.Answer(t); got.Status != 200 || strings.Count(got.Body, `"data":`) != 1 || !strings.Contains(got.Body, `"data":"purr"`) {
			t.Errorf("got %d %s", got.Status, got.Body)
		}
	}
	polls(1)
	b.Publish(t, harness.Event("dogs", "bark"))
	if got := other.Answer(t); !strings.Contains(got.Body, `"data":"bark"`) {
		t.Errorf("got %d %s", got.Status, got.Body)
	}
	polls(0)
}
