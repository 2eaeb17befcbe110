package durable_test

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"belfry/tests/harness"
)

var kills = flag.Int("kills", 4, "how often the broker is killed")

// build builds the program.
func build(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "belfry")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return binary
}

// output returns what a program that ends says, and its status.
func output(t *testing.T, binary string, args ...string) (string, int) {
	t.Helper()
	cmd := exec.Command(binary, args...)
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// A victim is the program as a process that is killed.
type victim struct {
	*harness.Broker
	kill func()
}

func newVictim(t *testing.T, binary, dir string) *victim {
	t.Helper()
	cmd := exec.Command(binary, slices.Concat([]string{"--addr=127.0.0.1:0"}, harness.Unhurried, kept(dir))...)
	out, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	b, done := harness.NewBroker(), make(chan struct{})
	go func() {
		defer close(done)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			b.Write(lines.Bytes())
		}
		_ = cmd.Wait() // it was killed
	}()
	v := &victim{b, sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		<-done
		b.HTTP.CloseIdleConnections()
	})}
	t.Cleanup(v.kill)
	select {
	case b.Addr = <-b.Listening:
	case <-done:
		t.Fatalf("the program has ended: %v", b.Log())
	}
	return v
}

// A publisher publishes numbers to a topic of its own, in one of the ways that there are.
type publisher struct {
	topic string
	many  int  // numbers of one request
	lines bool // they are a stream
	keyed bool // a request that was not answered is repeated

	next     int   // number
	accepted []int // with a receipt
	again    bool  // the next request is a repeat
}

// publish publishes until the broker does not answer.
func (p *publisher) publish(b *harness.Broker, count *atomic.Int64) error {
	for {
		var events []string
		for i := range p.many {
			events = append(events, harness.Event(p.topic, fmt.Sprint(p.next+i)))
		}
		body, header := strings.Join(events, "\n"), []string{"Content-Type", "application/x-ndjson"}
		switch {
		case p.lines:
		case p.many == 1:
			body, header = events[0], nil
		default:
			body, header = "["+strings.Join(events, ",")+"]", nil
		}
		if p.keyed {
			header = append(header, "Idempotency-Key", fmt.Sprintf(`"%s %d"`, p.topic, p.next))
		}
		got, err := b.Do("POST", "/publish", body, header...)
		if err != nil {
			if p.again = p.keyed; !p.keyed {
				p.next += p.many // nobody knows what became of them
			}
			return nil
		}
		if got.Status != http.StatusOK || p.lines && !strings.Contains(got.Body, fmt.Sprintf(`"accepted":%d,`, p.many)) {
			return fmt.Errorf("%s: %d %s", p.topic, got.Status, got.Body)
		}
		if strings.Contains(got.Body, `"duplicate":true`) && !p.again {
			return fmt.Errorf("%s: %s", p.topic, got.Body)
		}
		for i := range p.many {
			p.accepted = append(p.accepted, p.next+i)
		}
		p.next, p.again = p.next+p.many, false
		count.Add(1)
	}
}

// check compares what the log has of the topic with what was accepted: all of that, once
// and in order.
func (p *publisher) check(t *testing.T, b *harness.Broker) (have []int) {
	t.Helper()
	for query := ""; ; {
		numbers, page := b.Page(t, p.topic, query)
		have = append(have, numbers...)
		if query = "after=" + page.Cursor; !page.More {
			break
		}
	}
	for i := 1; i < len(have); i++ {
		if have[i] <= have[i-1] {
			t.Fatalf("%s has %d after %d", p.topic, have[i], have[i-1])
		}
	}
	for _, n := range p.accepted {
		if _, has := slices.BinarySearch(have, n); !has {
			t.Fatalf("%s has lost %d, which was accepted", p.topic, n)
		}
	}
	return have
}

// A watcher is a subscriber of one topic. It remembers where it is.
type watcher struct {
	topic, cursor string

	mu   sync.Mutex
	seen []string // what it was told, in order: numbers, and gaps
}

// watch watches until the line breaks. It returns when the broker has accepted it.
func (w *watcher) watch(t *testing.T, b *harness.Broker) (done chan struct{}) {
	t.Helper()
	path := "/sse?topic=" + w.topic
	if w.cursor != "" {
		path += "&after=" + w.cursor
	}
	res, err := http.Get(b.URL("http", path))
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v, %v", path, res, err)
	}
	done = make(chan struct{})
	go func() {
		defer close(done)
		defer res.Body.Close()
		w.read(res.Body)
	}()
	return done
}

// read reads events. A cursor counts when its event is complete.
func (w *watcher) read(body io.Reader) {
	var kind, data, id string
	for lines := bufio.NewScanner(body); lines.Scan(); {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch field {
		case "event":
			kind = value
		case "data":
			data = value
		case "id":
			id = value
		case "":
			w.mu.Lock()
			switch {
			case kind == "gap":
				w.seen = append(w.seen, "gap "+data)
			case kind == "" && data != "":
				w.seen = append(w.seen, data)
			}
			w.mu.Unlock()
			if id != "" {
				w.cursor = id
			}
			kind, data, id = "", "", ""
		}
	}
}

// told returns what it was told so far.
func (w *watcher) told() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.seen)
}

// watchAll has watchers watch, and returns what waits until all lines are broken.
func watchAll(t *testing.T, b *harness.Broker, all []*watcher) (wait func()) {
	t.Helper()
	var watched []chan struct{}
	for _, w := range all {
		watched = append(watched, w.watch(t, b))
	}
	return func() {
		for _, done := range watched {
			<-done
		}
	}
}

// TestKill: however often the broker is killed while it is written to, what it has
// acknowledged is there, once and in order, and a subscriber gets all of it.
func TestKill(t *testing.T) {
	t.Parallel()
	binary, dir := build(t), t.TempDir()
	publishers := []*publisher{
		{topic: "p.one", many: 1}, {topic: "p.keyed", many: 1, keyed: true}, {topic: "p.list", many: 7},
		{topic: "p.keyedlist", many: 5, keyed: true}, {topic: "p.stream", many: 20, lines: true},
	}
	var watchers []*watcher
	for _, p := range publishers {
		watchers = append(watchers, &watcher{topic: p.topic})
	}
	for round := range *kills {
		v := newVictim(t, binary, dir)
		for _, p := range publishers {
			p.check(t, v.Broker)
		}
		wait := watchAll(t, v.Broker, watchers)
		var count atomic.Int64
		failures := make(chan error, len(publishers))
		for _, p := range publishers {
			go func() { failures <- p.publish(v.Broker, &count) }()
		}
		harness.Eventually(t, "some publishes", func() bool { return count.Load() > int64(20+40*(round%3)) })
		v.kill()
		for range publishers {
			if err := <-failures; err != nil {
				t.Error(err)
			}
		}
		wait()
	}
	v := newVictim(t, binary, dir)
	wait := watchAll(t, v.Broker, watchers)
	for i, p := range publishers {
		var want []string
		for _, n := range p.check(t, v.Broker) {
			want = append(want, fmt.Sprint(n))
		}
		w := watchers[i]
		harness.Eventually(t, "a watcher of "+w.topic+" is told all", func() bool { return len(w.told()) >= len(want) })
		if got := w.told(); !slices.Equal(got, want) {
			t.Errorf("a watcher of %s was told %v, and the log has %v", w.topic, got, want)
		}
	}
	v.kill()
	wait()
}
