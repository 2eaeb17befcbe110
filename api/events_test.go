package api_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"belfry/api"
	"belfry/hub"
)

// appendMessage is a form of events that is easy to read.
func appendMessage(dst []byte, ev *hub.Event) []byte {
	return fmt.Appendf(dst, `"data":%s`, ev.Message)
}

func withHistory(h *hub.Options, o *api.Options) {
	h.HistoryEvents = 3
	fake(o).event, o.MaxWait, o.WriteTimeout = appendMessage, time.Minute, time.Second
}

func (b *broker) publish(topic string, messages ...int) (cursor string) {
	b.t.Helper()
	for _, m := range messages {
		done, err := b.hub.Publish(context.Background(), hub.Event{Topic: topic, Time: time.Now(), Message: fmt.Append(nil, m)})
		if err != nil {
			b.t.Fatal(err)
		}
		cursor = done.Cursor.String()
	}
	return cursor
}

func cursorAt(p hub.Position) string { return hub.Cursor{Epoch: 1, Position: p}.String() }

func (b *broker) events(query string) string {
	b.t.Helper()
	w := b.call("GET", "/topics/cats/events"+query, "")
	if w.Code != 200 {
		b.t.Fatalf("%s: %d %s", query, w.Code, w.Body)
	}
	return strings.NewReplacer("\n", "", `,"cursor":"`+cursorAt(0)[:20], "@", cursorAt(0)[:20], "@").Replace(w.Body.String())
}

func TestEvents(t *testing.T) {
	t.Parallel()
	b := newBroker(t, withHistory)
	if got, want := b.events(""), `{"topic":"cats","events":[]@0000","more":false}`; got != want {
		t.Errorf("nothing: %s", got)
	}
	b.publish("cats", 1, 2)
	b.publish("dogs", 3)
	b.publish("cats", 4, 5)
	for query, want := range map[string]string{
		"":                                  `[{"data":2@0002"},{"data":4@0004"},{"data":5@0005"}]@0005"`,
		"?last=2":                           `[{"data":4@0004"},{"data":5@0005"}]@0005"`,
		"?last=1000":                        `[{"data":2@0002"},{"data":4@0004"},{"data":5@0005"}]@0005"`,
		"?after=" + cursorAt(2):             `[{"data":4@0004"},{"data":5@0005"}]@0005"`,
		"?last_event_id=" + cursorAt(4):     `[{"data":5@0005"}]@0005"`,
		"?wait=1m&after=" + cursorAt(4):     `[{"data":5@0005"}]@0005"`,
		"?wait=0s&after=" + cursorAt(5):     `[]@0005"`,
		"?something=else&after=&last=&wait": `[{"data":2@0002"},{"data":4@0004"},{"data":5@0005"}]@0005"`,
	} {
		if got, want := b.events(query), `{"topic":"cats","events":`+want+`,"more":false}`; got != want {
			t.Errorf("%s: got %s, want %s", query, got, want)
		}
	}
}

// More than fits into one answer comes in several.
func TestEventsInParts(t *testing.T) {
	t.Parallel()
	b := newBroker(t, withHistory, func(h *hub.Options, _ *api.Options) { h.HistoryEvents, h.HistoryBytes = 1000, 1<<20 })
	for i := range 600 {
		b.publish("cats", i)
	}
	query, events, parts := "", 0, 0
	for more := true; more; parts++ {
		var page struct {
			Topic  string `json:"topic"`
			Events []struct {
				Data   int    `json:"data"`
				Cursor string `json:"cursor"`
			} `json:"events"`
			Cursor string `json:"cursor"`
			More   bool   `json:"more"`
		}
		b.answer(b.call("GET", "/topics/cats/events"+query, ""), &page)
		for _, e := range page.Events {
			if e.Data != events {
				t.Fatalf("got %d, want %d", e.Data, events)
			}
			events++
		}
		more, query = page.More, "?after="+page.Cursor
	}
	if events != 600 || parts < 2 {
		t.Errorf("%d events in %d parts", events, parts)
	}
}

func TestEventsRefused(t *testing.T) {
	t.Parallel()
	b := newBroker(t, withHistory)
	b.publish("cats", 1, 2, 3, 4, 5)
	for target, want := range map[string]struct {
		status int
		code   string
	}{
		"cats/events?after=x":                                {400, "invalid_cursor"},
		"cats/events?after=" + strings.Repeat("g", 24):       {400, "invalid_cursor"},
		"cats/events?last=0":                                 {400, "invalid_last"},
		"cats/events?last=-1":                                {400, "invalid_last"},
		"cats/events?last=1001":                              {400, "invalid_last"},
		"cats/events?last=x":                                 {400, "invalid_last"},
		"cats/events?last=1&after=" + cursorAt(5):            {400, "conflicting_input"},
		"cats/events?wait=1":                                 {400, "invalid_wait"},
		"cats/events?wait=61s":                               {400, "invalid_wait"},
		"cats/events?wait=-1s":                               {400, "invalid_wait"},
		"cats/events?%":                                      {400, "malformed_request"},
		"cats.*/events":                                      {400, "invalid_topic"},
		"cats..dogs/events":                                  {400, "invalid_topic"},
		"$sys/events":                                        {403, "topic_reserved"},
		"cats/events?after=" + cursorAt(1):                   {410, "gap"},
		"cats/events?after=" + cursorAt(6):                   {410, "gap"},
		"cats/events?after=" + hub.Cursor{Epoch: 2}.String(): {410, "gap"},
		"dogs/events?after=" + hub.Cursor{}.String():         {410, "gap"},
		"cats/events/":                                       {404, "not_found"},
		"cats/nothing":                                       {404, "not_found"},
		"ca%2Fts/events?last=0":                              {400, "invalid_last"},
		url.PathEscape(">") + "/events?last=1":               {400, "invalid_topic"},
	} {
		problem(t, b.call("GET", "/topics/"+target, ""), want.status, want.code)
	}
	gap := problem(t, b.call("GET", "/topics/cats/events?after="+cursorAt(1), ""), 410, "gap")
	if len(gap.Topics) != 1 || gap.Topics[0] != "cats" || gap.From != cursorAt(1) || gap.To != cursorAt(2) || gap.Reason != "expired" {
		t.Errorf("gap %+v", gap)
	}
}

// A request waits for an event and no longer.
func TestEventsWait(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		after   time.Duration // until something happens
		happens func(b *broker, stop, leave func())
		want    string // "" is none
		takes   time.Duration
	}{
		"an event":          {20 * time.Second, func(b *broker, _, _ func()) { b.publish("cats", 7) }, `[{"data":7@0001"}]@0001"`, 20 * time.Second},
		"another's event":   {20 * time.Second, func(b *broker, _, _ func()) { b.publish("dogs", 7) }, `[]@0000"`, 30 * time.Second},
		"nothing":           {time.Second, func(*broker, func(), func()) {}, `[]@0000"`, 30 * time.Second},
		"the broker stops":  {5 * time.Second, func(_ *broker, stop, _ func()) { stop() }, `[]@0000"`, 5 * time.Second},
		"the client leaves": {5 * time.Second, func(_ *broker, _, leave func()) { leave() }, `[]@0000"`, 5 * time.Second},
		"it drains":         {5 * time.Second, func(b *broker, _, _ func()) { _ = b.hub.Drain() }, `[]@0000"`, 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				stopping := make(chan struct{})
				b := newBroker(t, withHistory, func(_ *hub.Options, o *api.Options) { o.Stopping = stopping })
				ctx, leave := context.WithCancel(t.Context())
				start := time.Now()
				go func() {
					<-time.After(test.after)
					test.happens(b, func() { close(stopping) }, leave)
				}()
				w := httptest.NewRecorder()
				b.ServeHTTP(w, request("GET", "/topics/cats/events?wait=30s", nil).WithContext(ctx))
				if took := time.Since(start); took != test.takes {
					t.Errorf("took %v, want %v", took, test.takes)
				}
				got := strings.NewReplacer(`,"cursor":"`+cursorAt(0)[:20], "@").Replace(w.Body.String())
				if want := `{"topic":"cats","events":` + test.want + `,"more":false}` + "\n"; got != want {
					t.Errorf("got %s, want %s", got, want)
				}
				if st, err := b.hub.Stats(); err != nil || st.Polls != 0 {
					t.Errorf("polls left: %+v, %v", st, err)
				}
				leave()
				<-time.After(time.Minute)
			})
		})
	}
}
