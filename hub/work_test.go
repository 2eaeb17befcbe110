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
	t     *testing.T
	s     *State
	now   time.Time
	conns []*Conn // of the crowd
	most  uint64  // work of a step
}

const (
	heavyTopics   = 80_000
	heavyEvents   = 100_000
	heavyClients  = 40_000
	heavyPatterns = 1 << 14
	heavySubs     = 120  // of one client that asks for much
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
		h.connect(fmt.Sprint("star", i), "stars", From{}, patterns[:128]...)
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
	if _, err := h.s.Publish(ev); err != nil {
		h.t.Fatal(err)
	}
}

func (h *heavy) connect(id, user string, from From, topics ...string) *Conn {
	conn := &Conn{Owner: id, Notes: true}
	h.s.Connect(Registration{ID: testID(id), User: user, Topics: topics}, conn, from)
	if conn.client == nil {
		h.t.Fatalf("%s was refused", id)
	}
	return conn
}

// patterns returns as many patterns as one client may have, none of which matches
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
	before := h.s.Spent()
	do()
	h.s.Settle()
	work := h.s.Spent() - before
	h.most = max(h.most, work)
	if work > stepWork+pieceWork {
		h.t.Errorf("%s: a step of %d comparisons, want at most %d", name, work, stepWork+pieceWork)
	}
}

// run does a step and those that follow from it.
func (h *heavy) run(name string, do func()) {
	h.t.Helper()
	h.most = 0
	h.step(name, do)
	steps := 1
	for ; h.s.Busy(); steps++ {
		if steps > 1_000_000 {
			h.t.Fatalf("%s: no end", name)
		}
		h.step(name, h.s.Work)
		h.s.Take(0, &Batch{})
	}
	h.t.Logf("%-40s %5d steps, the longest of %6d", name, steps, h.most)
}

// No command costs a step more than the bound, whatever is asked for of however
// large a state. Only comparisons are counted, so that this does not depend on
// the machine.
func TestWork(t *testing.T) {
	t.Parallel()
	h := newHeavy(t)
	s := h.s
	for _, c := range []struct {
		name string
		do   func()
	}{
		{"subscribe to too many", func() {
			names := make([]string, 10_800)
			for i := range names {
				names[i] = fmt.Sprint("n", i)
			}
			before := s.Spent()
			if err := s.Subscribe(h.conns[0], Subscribe{Topics: names}); err != ErrTooManyTopics {
				t.Error(err)
			}
			if err := s.Unsubscribe(h.conns[0], names, nil); err != ErrTooManyTopics {
				t.Error(err)
			}
			s.SetTopics(h.conns[0], names)
			_, _ = s.Register(Registration{ID: testID("too many"), Topics: names})
			if n := s.Spent() - before; n > 0 {
				t.Errorf("%d comparisons for nothing", n)
			}
		}},
		{"reconnect, 120 patterns", func() { h.connect("gaps", "g", h.after(1), manyPatterns("no")...) }},
		{"reconnect, 120 patterns that end in >", func() { h.connect("tails", "g", h.after(1), tails("out")...) }},
		{"reconnect of a crowd", func() {
			for i := range 1000 {
				p := fmt.Sprint(deep[2:], "dev", i, ".*")
				before := s.Spent()
				s.gaps([]subscription{{subject: &subject{name: p, pattern: true}}}, "devices", &reading{pos: 1})
				if n := s.Spent() - before; n > 100 {
					t.Fatalf("%d comparisons for %s", n, p)
				}
			}
		}},
	} {
		h.run(c.name, c.do)
	}
}

func (h *heavy) after(p Position) From {
	after := h.s.cursor(p)
	return From{After: &after}
}

func tails(of string) (patterns []string) {
	for _, p := range manyPatterns(of) {
		patterns = append(patterns, strings.TrimPrefix(p, "*.")+".>")
	}
	return patterns
}
