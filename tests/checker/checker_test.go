package checker_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"belfry/tests/harness"
)

// The checker: many subscribers over all transports lose their connections at
// random moments while events are published, and come back. What each was told
// is kept, and compared afterwards with what the receipts say was published: it
// must be exactly what the subscriber may see, or gaps that cover the rest.
//
// What was published is in truth_test.go, what subscribers do in
// life_test.go, and what they must have been told in
// verify_test.go.

var (
	checkerSeed = flag.Uint64("checker.seed", 0, "the checker's seed; 0: always the same one, or any for a soak")
	checkerSoak = flag.Duration("checker.soak", 0, "run the checker at full size, with one seed after another, for so long")
)

// A checkPlan is one way to run the checker.
type checkPlan struct {
	name        string
	events      int
	subscribers int
	kept        int  // events retained of each topic and user; 0: all
	tight       bool // so little is retained that gaps must appear
	tls         bool
	flags       []string
}

// checkPlans are those of an ordinary test run. The soak has more of everything.
var checkPlans = []checkPlan{
	{"everything retained", 1400, 66, 0, false, false, []string{"--history-events=1000000", "--history-bytes=4294967296"}},
	{"few events retained", 1400, 44, 5, true, false, []string{"--history-events=5", "--history-bytes=4294967296"}},
	{"few bytes retained", 1400, 44, 0, true, false, []string{"--history-events=1000000", "--history-bytes=131072"}},
	{"over TLS", 1000, 66, 0, false, true, []string{"--history-events=1000000", "--history-bytes=4294967296"}},
	{"few events retained, over TLS", 1000, 44, 5, true, true, []string{"--history-events=5", "--history-bytes=4294967296"}},
}

func TestChecker(t *testing.T) {
	t.Parallel()
	var seen tally
	t.Run("plans", func(t *testing.T) {
		for _, plan := range checkPlans {
			t.Run(plan.name, func(t *testing.T) {
				t.Parallel()
				plan.run(t, max(1, *checkerSeed), &seen)
			})
		}
	})
	seen.judge(t)
}

// TestCheckerSoak is for make soak.
func TestCheckerSoak(t *testing.T) {
	if *checkerSoak == 0 {
		t.Skip("only when asked for: make soak")
	}
	end := time.Now().Add(*checkerSoak)
	seed := *checkerSeed
	if seed == 0 {
		seed = uint64(end.UnixNano())
	}
	for ; ; seed++ {
		for _, plan := range checkPlans {
			var seen tally
			plan.events, plan.subscribers = 100_000, 200
			t.Run(fmt.Sprintf("%s, seed %d", plan.name, seed), func(t *testing.T) { plan.run(t, seed, &seen); seen.judge(t) })
		}
		if t.Failed() || time.Now().After(end) {
			return
		}
	}
}

// A checkWorld is a broker, the published events, and the subscribers.
type checkWorld struct {
	*truth
	plan checkPlan
	b    *harness.Broker
	subs []*checked
	quit chan struct{} // closed when a subscriber has found a fault
	stop func()
}

func (plan checkPlan) run(t *testing.T, seed uint64, seen *tally) {
	flags := []string{
		"--log-level=info", "--protocols=http1+http2", "--heartbeat=100ms", "--resume-window=5m", "--publish-timeout=1m",
		"--client-queue-bytes=131072", "--max-message=16384", "--close-timeout=1m", "--ping-interval=10m",
	}
	begin := harness.Start
	if plan.tls {
		begin = harness.StartTLS
	}
	w := &checkWorld{truth: newTruth(plan.events), plan: plan, b: begin(t, append(flags, plan.flags...)...), quit: make(chan struct{})}
	w.stop = sync.OnceFunc(func() { close(w.quit); w.hurry() })
	for i := range plan.subscribers {
		w.subs = append(w.subs, newChecked(w, i, rand.New(rand.NewPCG(seed, uint64(i)))))
	}
	began := time.Now()
	w.play(t, seed)
	played := time.Since(began)
	if !t.Failed() {
		w.seal()
		w.judge(t)
	}
	if t.Failed() {
		t.Logf("again, if it is a matter of the seed: go test -race -run '^TestChecker$/^plans$/^%s' -checker.seed=%d .", plan.name, seed)
	} else {
		t.Logf("played in %v, judged in %v: %v", played.Round(time.Millisecond), time.Since(began.Add(played)).Round(time.Millisecond), w.summary(t, seen))
	}
}

// play runs all publishers and subscribers.
func (w *checkWorld) play(t *testing.T, seed uint64) {
	fail := func(format string, args ...any) {
		t.Errorf(format, args...)
		w.stop()
	}
	var listening, publishing sync.WaitGroup
	for _, s := range w.subs {
		listening.Go(func() {
			if err := s.live(); err != nil {
				fail("%v: %v", s, err)
			}
		})
	}
	for i := range checkPublishers {
		publishing.Go(func() {
			if err := w.publish(w.b, rand.New(rand.NewPCG(seed, 1<<32+uint64(i)))); err != nil {
				fail("publishing: %v", err)
			}
		})
	}
	publishing.Wait()
	w.hurry()
	left := make(chan struct{})
	publishing.Go(func() {
		if err := w.publishEnds(w.b, left); err != nil {
			fail("publishing the end: %v", err)
		}
	})
	listening.Wait()
	close(left)
	publishing.Wait()
}

// judge compares what each subscriber was told with what it should have been told.
func (w *checkWorld) judge(t *testing.T) {
	var judging sync.WaitGroup
	room := make(chan struct{}, 4)
	for _, s := range w.subs {
		judging.Go(func() {
			room <- struct{}{}
			defer func() { <-room }()
			if err := s.judge(); err != nil {
				t.Errorf("%v: %v", s, err)
			}
		})
	}
	judging.Wait()
}

// A tally is how often each thing has happened in all that was played.
type tally struct {
	mu    sync.Mutex
	sum   map[string]int
	tight bool // a plan was
}

func (c *tally) add(sum map[string]int, tight bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tight = c.tight || tight
	if c.sum == nil {
		c.sum = make(map[string]int)
	}
	for what, n := range sum {
		c.sum[what] += n
	}
}

// judge fails the test if something has not happened that it is about, and is not
// so frequent that each plan must have it.
func (c *tally) judge(t *testing.T) {
	t.Helper()
	must := []string{"directed", "replays", "replays cut", "replays of the newest", "beginnings with the newest", "restarts", "repeats of a subscribe"}
	if c.tight {
		must = append(must, "gaps of polls")
	}
	for _, what := range must {
		if !t.Failed() && c.sum[what] == 0 {
			t.Errorf("it has never come to %s", what)
		}
	}
}

// summary tells what has happened, and fails the test if something that its plan
// is about has not.
func (w *checkWorld) summary(t *testing.T, seen *tally) string {
	sum := make(map[string]int)
	for _, s := range w.subs {
		for what, n := range s.tally {
			sum[what] += n
		}
	}
	seen.add(sum, w.plan.tight)
	var must []string
	for _, c := range cuts {
		must = append(must, "cut by "+c.String())
	}
	for _, k := range kinds {
		must = append(must, k.name)
	}
	if w.plan.tight {
		must = append(must, "gaps", "gaps in replays")
	}
	for _, what := range must {
		if sum[what] == 0 {
			t.Errorf("it has never come to %s", what)
		}
	}
	var text []string
	for what, n := range sum {
		text = append(text, what+" "+strconv.Itoa(n))
	}
	slices.Sort(text)
	return strings.Join(text, ", ")
}
