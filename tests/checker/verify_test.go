package checker_test

import (
	"fmt"
	"slices"

	"belfry/hub"
)

// What the checker's subscribers must have been told.

// A span is a subscription, from some position on.
type span struct {
	name  string
	start hub.Position // events up to here are not for it
	// It is not known exactly where it began: an event up to loose must have
	// come only if one before it has, which begun tells. Without begun, none
	// must.
	loose hub.Position
	begun *bool
}

// A hole is what a gap has told of.
type hole struct {
	topics   [len(checkedTopics)]bool
	from, to hub.Position
}

// A judge follows what was told over one connection.
type judge struct {
	s       *checked
	w       *checkWorld
	in      *session
	spans   []*span
	byTopic [len(checkedTopics)][]*span
	at      hub.Position // all up to here that was due has come
	holes   []hole
	replays []*replayedOf // asked for and not over
	foreign bool          // it asked to begin after a cursor of another log, and was not told yet that this is gone
	newest  map[int8]*newestCount
}

func newJudge(s *checked, in *session) *judge { return &judge{s: s, w: s.w, in: in} }

// judge checks all that a subscriber was told.
func (s *checked) judge() error {
	var bound hub.Position // up to here earlier connections have got everything, or may have
	for i, in := range s.all {
		j := newJudge(s, in)
		exact := j.begin(bound)
		for n, h := range in.heard {
			if err := j.take(h); err != nil {
				return fmt.Errorf("connection %d of %d, message %d of %d: %w\n%s", i+1, len(s.all), n+1, len(in.heard), err, j.story(n))
			}
		}
		if err := j.end(i); err != nil {
			return fmt.Errorf("connection %d of %d, at its end: %w\n%s", i+1, len(s.all), err, j.story(len(in.heard)))
		}
		switch {
		case !in.orderly:
			bound = max(j.at, in.cut+inFlight)
		case exact || *j.spans[0].begun:
			bound = j.at
		default:
			bound = max(bound, j.at)
		}
	}
	for _, l := range s.looks {
		if err := s.judgeLook(l); err != nil {
			return err
		}
	}
	return nil
}

// story tells what a connection asked for, and the last that it was told.
func (j *judge) story(n int) string {
	text := fmt.Sprintf("names %v user %d fresh %t floor %d after %v last %d before %d opened %d cut %d orderly %t",
		j.in.names, j.s.user, j.in.fresh, j.in.floor, j.in.after, j.in.last, j.in.before, j.in.opened, j.in.cut, j.in.orderly)
	for ref, a := range j.in.asks {
		text += fmt.Sprintf("\n  asked %d: %s %v after %v last %d", ref, a.op, a.topics, a.after, a.last)
	}
	for i := max(0, n-12); i <= n && i < len(j.in.heard); i++ {
		h := j.in.heard[i]
		text += fmt.Sprintf("\n  %d: kind %d key %d at %d (cursor %v) known %d %+v", i, h.kind, h.key, j.w.positions[h.key], h.at, h.high, h.detail)
	}
	return text
}

// begin sets up what is due at first. It reports whether it is known exactly
// where that begins.
func (j *judge) begin(bound hub.Position) (exact bool) {
	in, names := j.in, j.in.names
	var welcome hub.Position
	if j.s.kind.welcomed {
		welcome = in.heard[0].at.Position
		if topics := in.heard[0].detail.topics; topics != nil {
			names = topics
		}
	}
	like := span{start: welcome}
	switch tight := j.w.plan.tight; {
	case in.after != nil:
		if j.foreign = in.after.Epoch != j.w.epoch.Load(); j.foreign {
			like.start = 0
		}
	case in.last > 0:
		j.beginNewest(names, welcome)
		return true
	case j.s.kind.open == nil && tight:
		like.loose, like.begun = in.opened+inFlight, new(bool)
	case j.s.kind.welcomed && in.fresh, j.s.kind.open == nil:
	case in.fresh:
		like = span{start: in.before, loose: in.opened + inFlight, begun: new(bool)}
	case j.s.kind.welcomed:
		like = span{start: min(welcome, bound), loose: bound, begun: new(bool)}
	default:
		like = span{start: in.floor, loose: bound, begun: new(bool)}
	}
	j.at = like.start
	var spans []*span
	for _, name := range names {
		sp := like
		sp.name = name
		spans = append(spans, &sp)
	}
	j.setSpans(spans)
	return like.begun == nil
}

func (j *judge) setSpans(spans []*span) {
	j.spans = spans
	for i, topic := range checkedTopics {
		j.byTopic[i] = nil
		for _, sp := range spans {
			if admits(sp.name, topic) {
				j.byTopic[i] = append(j.byTopic[i], sp)
			}
		}
	}
}

// mine reports whether an event is for the subscriber, whatever its topic.
func (j *judge) mine(p post) bool { return p.user == 0 || int(p.user) == j.s.user }

// due reports whether the event at a position must have come.
func (j *judge) due(at hub.Position) bool {
	p := j.w.at(at)
	if !j.mine(p) {
		return false
	}
	for _, sp := range j.byTopic[p.topic] {
		if at > sp.start && (at > sp.loose || sp.begun != nil && *sp.begun) {
			return true
		}
	}
	return false
}

// come checks that the event at a position may come.
func (j *judge) come(at hub.Position) error {
	p := j.w.at(at)
	if !j.mine(p) {
		return fmt.Errorf("%d is of another user, %d", at, p.user)
	}
	var begun []*bool
	visible, exact := false, false
	for _, sp := range j.byTopic[p.topic] {
		if at <= sp.start {
			continue
		}
		visible = true
		if at > sp.loose {
			exact = true
		} else if sp.begun != nil && !slices.Contains(begun, sp.begun) {
			begun = append(begun, sp.begun)
		}
	}
	if !visible {
		return fmt.Errorf("%d, of %s, is not of its topics", at, checkedTopics[p.topic])
	}
	if len(begun) == 1 && !exact {
		*begun[0] = true
	}
	if p.user > 0 {
		j.s.tally["directed"]++
	}
	return nil
}

// advance checks that all that was due up to a position has come, or is known
// to be lost.
func (j *judge) advance(to hub.Position) error {
	if int(to) >= len(j.w.keys) {
		return fmt.Errorf("%d is not published", to)
	}
	for ; j.at < to; j.at++ {
		at := j.at + 1
		if j.due(at) && !lost(j.holes, at, j.w.at(at)) {
			return fmt.Errorf("%d, of %s, has not come, nor a gap", at, checkedTopics[j.w.at(at).topic])
		}
	}
	return nil
}

func lost(holes []hole, at hub.Position, p post) bool {
	return slices.ContainsFunc(holes, func(h hole) bool { return h.topics[p.topic] && h.from < at && at <= h.to })
}

// take checks the next message.
func (j *judge) take(h heard) error {
	if h.kind == hWelcome {
		if j.in.after != nil && h.at != *j.in.after {
			return fmt.Errorf("it asked to begin after %v, and begins after %v", j.in.after, h.at)
		}
		if !j.foreign && h.at.Epoch != j.w.epoch.Load() || h.at.Epoch == j.w.epoch.Load() && h.at.Position > h.high+inFlight {
			return fmt.Errorf("it begins after %v", h.at)
		}
		return nil
	}
	if j.foreign && h.kind != hGap {
		return fmt.Errorf("its cursor %v is not of this log, and it was not told", j.in.after)
	}
	if h.at != (hub.Cursor{}) && h.at.Epoch != j.w.epoch.Load() {
		return fmt.Errorf("%v is not of this log", h.at)
	}
	switch h.kind {
	case hEvent:
		return j.event(h)
	case hReplay:
		return j.replay(h)
	case hGap:
		return j.gap(h)
	case hPong:
		return nil
	}
	if h.at.Position < j.at {
		return fmt.Errorf("the resume point goes back from %d to %d", j.at, h.at.Position)
	}
	if err := j.advance(h.at.Position); err != nil {
		return err
	}
	switch h.kind {
	case hAck:
		j.ack(h)
	case hLive:
		return j.live(h)
	}
	return nil
}

// event checks an event of the main stream.
func (j *judge) event(h heard) error {
	at := j.w.positions[h.key]
	switch {
	case at == 0 || h.at != (hub.Cursor{}) && h.at.Position != at:
		return fmt.Errorf("the event %d was published as %d", h.key, at)
	case at <= j.at:
		return fmt.Errorf("%d comes when all up to %d has", at, j.at)
	case len(j.replays) > 0:
		return fmt.Errorf("%d comes in the middle of a replay", at)
	}
	if err := j.advance(at - 1); err != nil {
		return err
	}
	j.at = at
	j.countNewest(at)
	return j.come(at)
}

// end checks what is left when a connection has ended.
func (j *judge) end(number int) error {
	if err := j.judgeNewest(); err != nil {
		return err
	}
	for _, r := range j.replays {
		if err := j.judgeReplay(r, r.last()); err != nil {
			return fmt.Errorf("in a replay that was cut: %w", err)
		}
	}
	return j.judgeUnlived(number)
}
