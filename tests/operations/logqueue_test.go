package operations_test

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"belfry/tests/harness"
)

// logTo starts the program with a log of the test's.
func logTo(t *testing.T, binary string, stderr *os.File, environ []string, flags ...string) *process {
	t.Helper()
	p := &process{exec.CommandContext(t.Context(), binary, flags...), make(chan struct{})}
	p.Env, p.Stdout, p.Stderr = append(os.Environ(), environ...), stderr, stderr
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	stderr.Close()
	go func() {
		defer close(p.done)
		_ = p.Wait() // how it ended is for the test to judge
	}()
	t.Cleanup(func() {
		_ = p.Process.Kill() // it may have ended
		<-p.done
	})
	return p
}

// serves waits until the program takes connections.
func serves(b *harness.Broker, t *testing.T) {
	t.Helper()
	harness.Eventually(t, "it serves", func() bool {
		conn, err := net.Dial("unix", b.Unix)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r, w
}

// testStuckLog: a broker whose log is a pipe without a reader serves, and ends.
func testStuckLog(t *testing.T, binary string) {
	_, w := pipe(t)
	path := socketPath(t)
	// The first line is about this variable. It is longer than the pipe holds, and few
	// more fit in the queue.
	unknown := "BELFRY_" + strings.Repeat("A", 100_000) + "=1"
	p := logTo(t, binary, w, []string{unknown}, "--addr=unix:"+path, "--log-queue-bytes=102000")
	b := harness.NewBroker()
	defer b.HTTP.CloseIdleConnections()
	through(b, path)
	serves(b, t)
	for range 300 {
		b.Publish(t, harness.Event("cats", "purr"))
		b.Call(t, "GET", "/nowhere", "").Problem(t, 404, "not_found")
		if got := b.Call(t, "GET", "/health/live", ""); got.Status != http.StatusOK {
			t.Fatalf("got %d %s", got.Status, got.Body)
		}
	}
	if b.Metric(t, `belfry_log_dropped_total{reason="full"}`) == 0 {
		t.Error("no line is dropped, though nobody reads")
	}
	p.signal(t, syscall.SIGTERM)
	if state := p.wait(t); state.ExitCode() != 0 {
		t.Errorf("the program ended with %v", state)
	}
}

// testLostReader: a broker outlives the reader of its log. A command does not outlive the
// reader of its output.
func testLostReader(t *testing.T, binary string) {
	r, w := pipe(t)
	r.Close()
	path := socketPath(t)
	p := logTo(t, binary, w, nil, "--addr=unix:"+path)
	b := harness.NewBroker()
	defer b.HTTP.CloseIdleConnections()
	through(b, path)
	serves(b, t)
	b.Publish(t, harness.Event("cats", "purr"))
	harness.Eventually(t, "lines that nobody reads are counted", func() bool {
		return b.Metric(t, `belfry_log_dropped_total{reason="failed"}`) > 0
	})
	p.signal(t, syscall.SIGTERM)
	if state := p.wait(t); state.ExitCode() != 0 {
		t.Errorf("the program ended with %v", state)
	}

	r, w = pipe(t)
	r.Close()
	logTo(t, binary, w, nil, "version").endsBy(t, syscall.SIGPIPE)
}

// endsBy checks that a signal ends the process.
func (p *process) endsBy(t *testing.T, s syscall.Signal) {
	t.Helper()
	if state := p.wait(t); state.Sys().(syscall.WaitStatus).Signal() != s {
		t.Errorf("the process ended with %v, want %v", state, s)
	}
}

// testForsakenCommands: a command that waits for events ends with its terminal and, where
// that can be seen, with the reader of its output.
func testForsakenCommands(t *testing.T, binary string) {
	b := harness.Start(t)
	for _, forsake := range []func(p *process, reader *os.File) syscall.Signal{
		func(p *process, _ *os.File) syscall.Signal { p.signal(t, syscall.SIGHUP); return syscall.SIGHUP },
		func(_ *process, reader *os.File) syscall.Signal { reader.Close(); return syscall.SIGPIPE },
	} {
		r, w := pipe(t)
		p := logTo(t, binary, w, harness.Environment(t), "subscribe", "cats", "--url="+b.URL("http", ""))
		harness.Eventually(t, "it is connected", func() bool { return b.Census(t).Connected == 1 })
		s := forsake(p, r)
		if s == syscall.SIGPIPE && runtime.GOOS != "linux" {
			b.Publish(t, harness.Event("cats", "is anybody there"))
		}
		p.endsBy(t, s)
		b.Away(t)
	}
}
