package hub

import (
	"slices"
	"strings"
)

// Who watches users come to topics and leave them, in a world. The model knows no more
// than who is there after each command.

// attendances returns who is at which topics, as far as it is told of.
func (w *world) attendances() map[attendance]bool {
	there := make(map[attendance]bool)
	for _, c := range w.clients {
		for name := range c.subs {
			if c.conn != nil && c.user != "" && !strings.ContainsAny(name, "*>$") {
				there[attendance{c.user, name}] = true
			}
		}
	}
	return there
}

// watched reports whether there is a subscription for which that is true.
func (w *world) watched(is func(sub string) bool) bool {
	for _, c := range w.clients {
		for name := range c.subs {
			if is(name) {
				return true
			}
		}
	}
	return false
}

// lookForNews finds out what a command has changed. What is again as it was told is no
// news, nor is anything while nobody watches. What one command has changed may be told
// in any order, but after all that was changed before.
func (w *world) lookForNews() {
	before, there := w.there, w.attendances()
	w.there = there
	var fresh []PresenceChange
	note := func(at attendance, joins bool) {
		same := func(c PresenceChange) bool { return c.User == at.user && c.Topic == at.topic }
		if slices.ContainsFunc(w.news, same) {
			w.news = slices.DeleteFunc(w.news, same)
		} else {
			fresh = append(fresh, PresenceChange{at.topic, at.user, joins})
		}
	}
	for at := range before {
		if !there[at] {
			note(at, false)
		}
	}
	for at := range there {
		if !before[at] {
			note(at, true)
		}
	}
	if !w.watched(func(sub string) bool { return strings.HasPrefix(sub, PresenceTopic) }) {
		w.news, fresh = nil, nil
	}
	got := w.untold()
	if n := len(w.news); len(got) != n+len(fresh) || !slices.Equal(got[:n], w.news) {
		w.t.Fatalf("to be told is %v, want %v, then %v", got, w.news, fresh)
	}
	for _, c := range fresh {
		if !slices.Contains(got[len(w.news):], c) {
			w.t.Fatalf("to be told is %v, want %v, then %v", got, w.news, fresh)
		}
	}
	w.news = got
}

// untold returns the news that the state has still to tell.
func (w *world) untold() (news []PresenceChange) {
	for e := w.s.news.order.Front(); e != nil; e = e.Next() {
		news = append(news, e.Value.(PresenceChange))
	}
	return news
}

// endStep has the hub tell the news, in their order, until couriers are too slow.
func (w *world) endStep() {
	w.s.answerLate()
	w.look()
	before := len(w.events)
	var at []int // by told event: number of its news
	for i, c := range w.news {
		topic := PresenceTopic + c.Topic
		if !w.watched(func(sub string) bool { return naiveMatch(sub, topic) }) {
			continue
		}
		message := encodePresence(c)
		e := &modelEvent{position: w.head() + 1, topic: topic, born: w.now}
		e.size = entryOverhead + len("presence-") + CursorLen + len(message)
		w.events = append(w.events, e)
		at = append(at, i)
	}
	w.s.publishOutput()
	told := int(w.s.window.head) - before
	if told > len(at) {
		w.t.Fatalf("%d events tell of %v", told, w.news)
	}
	w.events = w.events[:before+told]
	for n := before; n < len(w.events); n++ {
		w.publishedNews(w.events[n])
		w.evictOf(w.events[:n+1])
	}
	left := w.untold()
	if len(left) > 0 && !w.s.Congested() || !slices.Equal(left, w.news[len(w.news)-len(left):]) ||
		told < len(at) && len(w.news)-len(left) > at[told] || told > 0 && len(w.news)-len(left) <= at[told-1] {
		w.t.Fatalf("%d events were told of %v, left is %v", told, w.news, left)
	}
	w.news = left
	w.look()
}

// publishedNews counts an event that tells of news.
func (w *world) publishedNews(e *modelEvent) {
	w.stats.Published++
	for _, c := range w.clients {
		if c.sees(e) {
			w.stats.Matched++
			if c.conn != nil {
				w.stats.Queued++
			}
		}
	}
}
