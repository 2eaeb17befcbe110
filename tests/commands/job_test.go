package commands_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"belfry/cli"
	"belfry/cli/app"
	"belfry/tests/harness"
)

// Commands that talk to a broker, run in this process.

// A buffer is what a command has printed so far.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// A job is a command under way.
type job struct {
	out, err  buffer
	interrupt func()
	done      chan struct{}
	status    int
}

// A setting is what a command runs in.
type setting struct {
	in       io.Reader
	terminal bool // all of its streams are one, with colours
	environ  []string
}

// begin runs a command until it ends, or the test.
func begin(t *testing.T, in setting, args ...string) *job {
	t.Helper()
	j := &job{done: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	j.interrupt = cancel
	if in.in == nil {
		in.in = strings.NewReader("")
	}
	streams := cli.StreamsOf(in.in, &j.out, &j.err, in.environ)
	if in.terminal {
		streams.InTerminal, streams.OutTerminal, streams.ErrTerminal, streams.Colour = true, true, true, true
		streams.Size = func() (columns, rows int) { return 70, 8 }
	}
	go func() {
		defer close(j.done)
		j.status = app.RunWith(ctx, nil, args, in.environ, streams)
	}()
	t.Cleanup(func() { cancel(); <-j.done })
	return j
}

// wait waits until the command has ended and checks its status.
func (j *job) wait(t *testing.T, status int) {
	t.Helper()
	select {
	case <-j.done:
	case <-time.After(harness.Patience):
		t.Fatalf("it does not end; stdout: %q, stderr: %q", j.out.String(), j.err.String())
	}
	if j.status != status {
		t.Errorf("status %d, want %d; stdout: %q, stderr: %q", j.status, status, j.out.String(), j.err.String())
	}
}

// stop interrupts the command, and checks its status.
func (j *job) stop(t *testing.T, status int) {
	t.Helper()
	j.interrupt()
	j.wait(t, status)
}

// says waits until a command has printed a text.
func (j *job) says(t *testing.T, from *buffer, text string) {
	t.Helper()
	limit := time.After(harness.Patience)
	for !strings.Contains(from.String(), text) {
		select {
		case <-limit:
			t.Fatalf("it does not say %q; stdout: %q, stderr: %q", text, j.out.String(), j.err.String())
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// places counts the addresses given out.
var places atomic.Int32

// startAlone starts a broker where nothing else of these tests is, so that another
// one can take its place later: no connection has got its port meanwhile.
func startAlone(t *testing.T, flags ...string) *harness.Broker {
	t.Helper()
	n := places.Add(1)
	return harness.Start(t, append(flags, fmt.Sprintf("--addr=127.8.%d.%d:0", n/200, 1+n%200), "--insecure")...)
}

// successor starts a broker in the place of another one.
func successor(b *harness.Broker, t *testing.T, flags ...string) *harness.Broker {
	t.Helper()
	return harness.Start(t, append(flags, "--addr="+b.Addr, "--insecure")...)
}

// here is a setting in which this broker is the one.
func here(b *harness.Broker, in io.Reader) setting {
	return setting{in: in, environ: []string{"BELFRY_URL=http://" + b.Addr}}
}

// belfry runs a command to its end and returns what it has printed.
func belfry(b *harness.Broker, t *testing.T, status int, stdin string, args ...string) (stdout, stderr string) {
	t.Helper()
	j := begin(t, here(b, strings.NewReader(stdin)), args...)
	j.wait(t, status)
	return j.out.String(), j.err.String()
}

// tail returns what the broker has of topics, as subscribe prints it.
func tail(b *harness.Broker, t *testing.T, count string, topics ...string) (lines []string) {
	t.Helper()
	args := append(append([]string{"subscribe"}, topics...), "--last", "1000", "--count", count, "--format", "text")
	out, _ := belfry(b, t, 0, "", args...)
	for line := range strings.Lines(out) {
		_, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		lines = append(lines, rest)
	}
	return lines
}
