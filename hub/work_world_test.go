package hub

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// A heavy world is a state as large as it may be by default, made of what costs
// most: topics of many levels that differ in the last, patterns that agree with
// them up to there, clients with as many subscriptions as they may have.
type heavy struct {
	t      *testing.T
	s      *State
	now    time.Time
	conns  []*Conn // of the crowd
	most   uint64  // work of a step
	inner  uint64  // work of the steps within the one under way
	steps  int     // of the case
	guests []ID    // clients of one case
}

const (
	heavyTopics   = 80_000
	heavyEvents   = 100_000
	heavyClients  = 40_000
	heavyPatterns = 1 << 14
	heavySubs     = 128  // of one client that asks for much
	heavyUser     = 1000 // clients of one user
)

// deep is all but the last of the levels of a topic.
var deep = strings.Repeat("a.", MaxTopicLevels-1)

func newHeavy(t *testing.T) *heavy {
	opts := testOptions()
	opts.MaxClients, opts.MaxConnections, opts.MaxUserClients = 1<<20, 1<<20, heavyUser
	opts.HistoryEvents, opts.HistoryBytes, opts.HistoryAge = 1, 1<<30, 6*time.Hour
	opts.RegisterTTL, opts.ResumeWindow = time.Hour, time.Hour
	opts.Backlog, opts.BacklogBytes = 1<<30, 1<<40
	h := &heavy{t: t, s: NewState(opts), now: epoch}
	h.s.Tick(h.now)
	// All topics have lost something, and so has one of many users.
	for range 2 {
		for i := range heavyTopics {
			h.publish(Event{Topic: heavyTopic(i)})
		}
		for i := range heavyEvents - heavyTopics {
			h.publish(Event{Topic: deep + "users", User: fmt.Sprint("user", i)})
		}
	}
	for i := range heavyClients {
		user := fmt.Sprint("user", i)
		if i < heavyUser {
			user = "crowd"
		}
		h.conns = append(h.conns, h.connect(fmt.Sprint("crowd", i), user, From{}, "all"))
	}
	// The last patterns differ from all topics in the last level only.
	var patterns []string
	for i := range heavyPatterns {
		levels := strings.Split(deep+"none", ".")
		for bit := range 14 {
			if i>>bit&1 != 0 {
				levels[bit] = anyLevel
			}
		}
		patterns = append(patterns, strings.Join(levels, "."))
	}
	for i := 0; len(patterns) > 0; i++ {
		h.connect(fmt.Sprint("star", i), fmt.Sprint("stars", i), From{}, patterns[:128]...)
		patterns = patterns[128:]
	}
	h.s.Take(0, &Batch{})
	return h
}

// heavyTopic returns topics of which half differ in the first level, and half in the
// last.
func heavyTopic(i int) string {
	if i%2 == 0 {
		return fmt.Sprint("w", i, ".", deep[2:], "x")
	}
	return fmt.Sprint(deep, "t", i)
}

func (h *heavy) publish(ev Event) {
	ev.Time = h.now
	_, err := h.s.Publish(ev)
	h.fine(err)
}

func (h *heavy) connect(id, user string, from From, topics ...string) *Conn {
	conn := &Conn{Owner: id, Notes: true}
	h.s.Connect(Registration{ID: testID(id), User: user, Topics: topics}, conn, from)
	if conn.client == nil {
		h.t.Fatalf("%s was refused", id)
	}
	return conn
}

// manyPatterns returns as many patterns as one client may have, none of which matches
// and none of which shows that before the last level.
func manyPatterns(of string) (patterns []string) {
	for i := range heavySubs {
		patterns = append(patterns, fmt.Sprint("*.", deep[2:], of, i))
	}
	return patterns
}

// step does a step and holds its work to the bound.
func (h *heavy) step(name string, do func()) {
	h.t.Helper()
	before, outer := h.s.work, h.inner
	h.inner = 0
	do()
	h.s.Settle()
	work := h.s.work - before - h.inner
	h.inner += outer + work
	h.most = max(h.most, work)
	h.steps++
	if work > stepWork+pieceWork {
		h.t.Errorf("%s: a step of %d comparisons, want at most %d", name, work, stepWork+pieceWork)
	}
}

// heavySteps is how many steps are taken of what takes long. Those that follow are
// like them.
const heavySteps = 10

// run does a case and the steps that follow from it, and then removes who came for it.
func (h *heavy) run(name string, do func(*heavy)) {
	h.t.Helper()
	h.most, h.steps = 0, 0
	h.step(name, func() { do(h) })
	for range heavySteps {
		if !h.s.Busy() {
			break
		}
		h.step(name, h.s.Work)
		h.s.Take(0, &Batch{})
	}
	h.t.Logf("%-50s %5d steps, the longest of %6d", name, h.steps, h.most)
	for _, id := range h.guests {
		h.step(name+", the end", func() { h.s.Unregister(id) })
	}
	h.guests = nil
}

// all does steps until there are no more.
func (h *heavy) all(name string, do func() (more bool)) {
	h.t.Helper()
	for more := true; more; {
		h.step(name, func() { more = do() })
		h.s.Take(0, &Batch{})
	}
}

// turn publishes an event as the hub does: what is found out before shares a turn with
// the rest of it.
func (h *heavy) turn(name string, ev Event) (r Receipt) {
	h.t.Helper()
	defer func() { h.s.turn = 0 }()
	ev.Time = h.now
	h.all(name, func() (more bool) {
		h.s.Turn()
		if !h.s.Prepare(&ev) {
			return true
		}
		var err error
		if r, err = h.s.Publish(ev); err != nil {
			h.t.Fatal(err)
		}
		return false
	})
	return r
}

// fine ends the test with an error.
func (h *heavy) fine(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// guest connects a client that is removed after its case.
func (h *heavy) guest(from From, topics ...string) *Conn {
	id := fmt.Sprint("guest", len(h.guests))
	h.guests = append(h.guests, testID(id))
	return h.connect(id, "guests", from, topics...)
}

// after returns where a reader begins after a position.
func (h *heavy) after(p Position) From {
	after := h.s.cursor(p)
	return From{After: &after}
}

// tails returns patterns for all that is below manyPatterns.
func tails() (patterns []string) {
	for i := range heavySubs {
		patterns = append(patterns, fmt.Sprint(strings.Repeat("*.", MaxTopicLevels-2), "no", i, ".>"))
	}
	return patterns
}
