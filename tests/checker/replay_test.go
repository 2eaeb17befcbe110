package checker_test

import (
	"fmt"
	"slices"

	"belfry/hub"
)

// What the checker knows of gaps, of replays and of beginnings with the newest
// events.

// gap checks a gap: it must be about what the subscriber has asked for, and be
// one.
func (j *judge) gap(h heard) error {
	d := h.detail
	from, to, epoch := d.from, d.to, j.w.epoch.Load()
	if d.reason == "restarted" {
		if !j.foreign || from != *j.in.after || to != (hub.Cursor{Epoch: epoch}) || len(d.topics) != len(j.spans) {
			return fmt.Errorf("it is told of a restart that was none: %+v", d)
		}
		j.foreign = false
		return nil
	}
	switch {
	case j.foreign || d.reason != "expired" || !j.w.plan.tight:
		return fmt.Errorf("it is told of a gap that can't be: %+v", d)
	case from.Epoch != epoch || to.Epoch != epoch || from.Position >= to.Position || to.Position > h.high+inFlight:
		return fmt.Errorf("it is told of a gap between nowheres: %+v", d)
	}
	what := hole{from: from.Position, to: to.Position}
	for _, name := range d.topics {
		known := slices.ContainsFunc(j.spans, func(sp *span) bool { return sp.name == name }) ||
			slices.ContainsFunc(j.replays, func(r *replayedOf) bool { return slices.Contains(r.topics, name) })
		if !known || !j.evicted(to.Position, name, h.high+inFlight) {
			return fmt.Errorf("it is told of a gap in %s that is none: %+v", name, d)
		}
		for i, topic := range checkedTopics {
			what.topics[i] = what.topics[i] || admits(name, topic)
		}
	}
	j.holes = append(j.holes, what)
	j.s.tally["gaps"]++
	if len(j.replays) > 0 {
		j.s.tally["gaps in replays"]++
	}
	return nil
}

// evicted reports whether the event at a position, which a gap in a
// subscription ends with, may have been evicted when the head was no further
// than that. By number that is known exactly, and no evidence is ever dropped:
// of each topic and user some events stay.
func (j *judge) evicted(at hub.Position, name string, head hub.Position) bool {
	kept := j.w.plan.kept
	if kept == 0 {
		return true
	}
	p := j.w.at(at)
	if !j.mine(p) || !admits(name, checkedTopics[p.topic]) {
		return false
	}
	later := 0
	for i := at + 1; i <= head && int(i) < len(j.w.keys); i++ {
		if q := j.w.at(i); q.topic == p.topic && q.user == p.user {
			later++
		}
	}
	return later >= kept
}

// A replayedOf is a replay that is under way.
type replayedOf struct {
	*asking
	upTo  hub.Position // where the connection stood when it was asked for
	got   []hub.Position
	holes int // that were told of before
}

// begin returns where a replay begins; for the newest events that is unknown.
func (r *replayedOf) begin() hub.Position {
	if r.after == nil {
		return 0
	}
	return r.after.Position
}

// last returns how far a replay has come.
func (r *replayedOf) last() hub.Position {
	if len(r.got) == 0 {
		return r.begin()
	}
	return r.got[len(r.got)-1]
}

// ack follows the answer to an operation.
func (j *judge) ack(h heard) {
	a := j.in.asks[h.detail.ref]
	spans := slices.Clone(j.spans)
	if a.op == "unsubscribe" {
		j.setSpans(slices.DeleteFunc(spans, func(sp *span) bool { return slices.Contains(a.topics, sp.name) }))
		return
	}
	at := h.at.Position
	start := at // of what comes beside a replay
	if a.after != nil {
		start = max(at, a.after.Position)
	}
	for _, name := range a.topics {
		if i := slices.IndexFunc(spans, func(sp *span) bool { return sp.name == name }); i >= 0 {
			if wider := *spans[i]; a.replays() && wider.start > start {
				// It was to begin later, and now all is wanted that follows the replay.
				wider.start = start
				spans[i] = &wider
			}
			continue
		}
		sp := &span{name: name, start: start}
		if a.after == nil && a.last == 0 {
			// From now on, which is somewhere between the resume point and the
			// head.
			sp.loose, sp.begun = h.high+inFlight, new(bool)
		}
		spans = append(spans, sp)
	}
	j.setSpans(spans)
	if a.replays() {
		j.replays = append(j.replays, &replayedOf{asking: a, upTo: at, holes: len(j.holes)})
	}
}

// replay takes an event of a replay.
func (j *judge) replay(h heard) error {
	at := j.w.positions[h.key]
	switch {
	case len(j.replays) == 0:
		return fmt.Errorf("%d is of a replay that is none", at)
	case at == 0 || at <= j.replays[0].last():
		return fmt.Errorf("in a replay %d comes after %d", at, j.replays[0].last())
	}
	j.replays[0].got = append(j.replays[0].got, at)
	return nil
}

// live checks a replay that is over.
func (j *judge) live(h heard) error {
	if len(j.replays) == 0 || j.replays[0].ref != h.detail.ref {
		return fmt.Errorf("a replay is over that is none")
	}
	r := j.replays[0]
	j.replays = j.replays[1:]
	return j.judgeReplay(r, h.at.Position)
}

// inReplay reports whether a replay has the event at a position.
func (j *judge) inReplay(r *replayedOf, at hub.Position) bool {
	p := j.w.at(at)
	return j.mine(p) && slices.ContainsFunc(r.topics, func(name string) bool { return admits(name, checkedTopics[p.topic]) })
}

// judgeReplay checks that a replay held exactly what it should up to a position.
func (j *judge) judgeReplay(r *replayedOf, to hub.Position) error {
	if r.after == nil {
		return j.judgeReplayOfNewest(r, to)
	}
	got := r.got
	for at := r.begin() + 1; at <= to; at++ {
		switch mine := j.inReplay(r, at); {
		case len(got) > 0 && got[0] == at:
			if !mine {
				return fmt.Errorf("in a replay of %v after %v comes %d: %+v", r.topics, r.after, at, j.w.at(at))
			}
			got = got[1:]
		case mine && !lost(j.holes[r.holes:], at, j.w.at(at)):
			return fmt.Errorf("in a replay of %v after %v up to %d: %d has not come, nor a gap", r.topics, r.after, to, at)
		}
	}
	if len(got) > 0 {
		return fmt.Errorf("in a replay of %v after %v, which ends at %d, comes %d", r.topics, r.after, to, got[0])
	}
	return nil
}

// judgeReplayOfNewest checks a replay of the newest events of each topic. Where
// little is retained, it is not known which were there.
func (j *judge) judgeReplayOfNewest(r *replayedOf, to hub.Position) error {
	each := make(map[int8]int)
	end := len(r.got)
	complete := r.lived && !j.w.plan.tight && len(r.got) < hub.MaxLast // of many topics so many in all
	for at := r.upTo; at > 0 && (complete || end > 0); at-- {
		mine := j.inReplay(r, at)
		topic := j.w.at(at).topic
		if end > 0 && r.got[end-1] == at {
			if end--; !mine {
				return fmt.Errorf("in a replay of %v comes %d: %+v", r.topics, at, j.w.at(at))
			}
			if each[topic]++; each[topic] > r.asking.last {
				return fmt.Errorf("in a replay of the newest %d of %v comes %d", r.asking.last, r.topics, at)
			}
		} else if mine && complete && each[topic] < r.asking.last {
			return fmt.Errorf("in a replay of the newest %d of %v up to %d: %d has not come", r.asking.last, r.topics, to, at)
		}
	}
	if end > 0 {
		return fmt.Errorf("a replay from %d comes to %d", r.upTo, r.got[end-1])
	}
	return nil
}

// judgeUnlived checks that the topics which came with a replay that was cut
// went with it, if it can't have been complete: the broker does not know what
// has arrived, but it does not write more than sockets hold.
func (j *judge) judgeUnlived(number int) error {
	const overhead = 150
	sockets := 1 << 20
	if j.in.small {
		sockets = 1 << 18
	}
	all := j.s.all
	if number+1 == len(all) || !j.s.kind.asks || !j.s.kind.registered || all[number+1].fresh {
		return nil
	}
	welcomed := all[number+1].heard[0].detail.topics
	for _, r := range j.replays {
		left := 0
		for at := r.last() + 1; at <= r.upTo && r.after != nil; at++ {
			if j.inReplay(r, at) && !lost(j.holes, at, j.w.at(at)) {
				left += overhead + int(j.w.at(at).size)
			}
		}
		if j.w.plan.tight || left < sockets {
			continue
		}
		j.s.tally["replays cut long before their end"]++
		for _, name := range r.fresh {
			if slices.Contains(welcomed, name) {
				return fmt.Errorf("%s came with a replay after %v that was cut, and is there at the next welcome", name, r.after)
			}
		}
	}
	return nil
}

// newestCount is how many events of a topic came over a connection that begins
// with the newest.
type newestCount struct {
	before, after int // for certain of those that were published when it began; perhaps
}

// beginNewest sets up a connection that begins with the newest events of each
// topic: all that follow the first of a topic are due.
func (j *judge) beginNewest(names []string, welcome hub.Position) {
	var spans []*span
	j.at, j.newest = welcome, make(map[int8]*newestCount)
	for i, topic := range checkedTopics {
		if slices.ContainsFunc(names, func(name string) bool { return admits(name, topic) }) {
			sp := &span{name: topic, start: welcome, loose: j.in.opened + inFlight}
			if !j.w.plan.tight {
				sp.begun = new(bool)
			}
			spans = append(spans, sp)
			j.newest[int8(i)] = &newestCount{}
		}
	}
	j.setSpans(spans)
}

func (j *judge) countNewest(at hub.Position) {
	if n := j.newest[j.w.at(at).topic]; n != nil {
		if at <= j.in.before {
			n.before++
		}
		if at <= j.in.opened+inFlight {
			n.after++
		}
	}
}

// judgeNewest checks that a connection began with as many events as it should.
func (j *judge) judgeNewest() error {
	for topic, n := range j.newest {
		there := 0
		for at := hub.Position(1); at <= j.in.before; at++ {
			if p := j.w.at(at); p.topic == topic && j.mine(p) {
				there++
			}
		}
		complete := j.at >= j.in.opened+inFlight && !j.w.plan.tight
		if n.before > j.in.last || complete && n.after < min(there, j.in.last) {
			return fmt.Errorf("of the newest %d of %s, where there were %d, it got %d or %d", j.in.last, checkedTopics[topic], there, n.before, n.after)
		}
	}
	return nil
}
