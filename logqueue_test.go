package main

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/zap"
)

// A logReader is where a log goes. It takes nothing before it is open.
type logReader struct {
	open  chan struct{}
	fails int // so many lines, the first ones
	lines []string
}

func (r *logReader) Write(line []byte) (int, error) {
	<-r.open
	if r.fails > 0 {
		r.fails--
		return 0, errors.New("no space left on device")
	}
	r.lines = append(r.lines, string(line))
	return len(line), nil
}

// expect checks that the lines have the numbers of 0 to n, in order, and tell of each
// that is missing.
func (r *logReader) expect(t *testing.T, n int) {
	t.Helper()
	next := 0
	for _, text := range r.lines {
		var line struct {
			N     int `json:"n"`
			Lines int `json:"lines"`
		}
		line.N = -1
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		if line.N < 0 {
			if next += line.Lines; line.Lines == 0 {
				t.Errorf("what is this: %s", text)
			}
			continue
		}
		if line.N != next {
			t.Errorf("line %d, want %d", line.N, next)
		}
		next = line.N + 1
	}
	if next != n {
		t.Errorf("%d lines are written or told of, want %d", next, n)
	}
}

// lostLines is the metric.
func (q *logQueue) lostLines(t *testing.T, reason string) int {
	t.Helper()
	both := make(chan prometheus.Metric, 2)
	q.Collect(both)
	for range 2 {
		var m dto.Metric
		if err := (<-both).Write(&m); err != nil {
			t.Fatal(err)
		}
		if m.GetLabel()[0].GetValue() == reason {
			return int(m.GetCounter().GetValue())
		}
	}
	t.Fatalf("nothing is lost for the reason %s", reason)
	return 0
}

// TestLogThatNobodyReads: nobody who logs waits for who reads the log; what is lost is
// counted, and told where it is missing.
func TestLogThatNobodyReads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &logReader{open: make(chan struct{})}
		log := newLogger(logOptions{Level: "info", Format: "json", QueueBytes: 10_000}, r)
		for n := range 1000 {
			log.Info("line", zap.Int("n", n))
		}
		synctest.Wait()
		lost := log.queue.lostLines(t, "full")
		if lost < 900 || lost > 990 {
			t.Errorf("of 1000 lines %d are lost, want all but what the queue holds", lost)
		}
		close(r.open)
		for n := 1000; n < 2000; n++ {
			synctest.Wait()
			log.Info("line", zap.Int("n", n))
		}
		log.close()
		r.expect(t, 2000)
		if again := log.queue.lostLines(t, "full"); again != lost || len(r.lines) != 2000-lost+1 {
			t.Errorf("%d lines are lost, and %d written, though somebody reads", again-lost, len(r.lines))
		}
	})
}

// TestLogThatCannotBeWritten: a log that fails is counted, and goes on when it can.
func TestLogThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &logReader{open: make(chan struct{}), fails: 30}
		close(r.open)
		log := newLogger(logOptions{Level: "info", Format: "json", QueueBytes: 1 << 20}, r)
		for n := range 100 {
			log.Info("line", zap.Int("n", n))
		}
		log.close()
		r.expect(t, 100)
		if lost := log.queue.lostLines(t, "failed"); lost != 100-len(r.lines)+1 || lost == 0 {
			t.Errorf("%d lines have failed, and %d were written", lost, len(r.lines))
		}
	})
}

// TestLogThatStaysFull: the end waits for it, but not for ever.
func TestLogThatStaysFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &logReader{open: make(chan struct{})}
		defer close(r.open)
		log := newLogger(logOptions{Level: "info", Format: "json", QueueBytes: 10_000}, r)
		log.Info("line")
		begin := time.Now()
		log.close()
		if d := time.Since(begin); d != logPatience {
			t.Errorf("the end waits for %v", d)
		}
		log.Info("too late")
	})
}

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
func (b *testBroker) serves(t *testing.T) {
	t.Helper()
	eventually(t, "it serves", func() bool {
		conn, err := net.Dial("unix", b.unix)
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

// testStuckLog: a broker whose log is a pipe that nobody reads serves, and ends.
func testStuckLog(t *testing.T, binary string) {
	_, w := pipe(t)
	path := socketPath(t)
	// The first line is about this variable, and more than the pipe holds; few more
	// have room in the queue.
	unknown := "BELFRY_" + strings.Repeat("A", 100_000) + "=1"
	p := logTo(t, binary, w, []string{unknown}, "--addr=unix:"+path, "--log-queue-bytes=102000")
	b := newTestBroker()
	defer b.http.CloseIdleConnections()
	through(b, path)
	b.serves(t)
	for range 300 {
		b.publish(t, event("cats", "purr"))
		b.call(t, "GET", "/nowhere", "").problem(t, 404, "not_found")
		if got := b.call(t, "GET", "/health/live", ""); got.status != http.StatusOK {
			t.Fatalf("got %d %s", got.status, got.body)
		}
	}
	if b.metric(t, `belfry_log_dropped_total{reason="full"}`) == 0 {
		t.Error("no line is dropped, though nobody reads")
	}
	p.signal(t, syscall.SIGTERM)
	if state := p.wait(t); state.ExitCode() != 0 {
		t.Errorf("the program ended with %v", state)
	}
}

// testLostReader: a broker outlives the reader of its log; a command does not outlive
// who reads what it prints.
func testLostReader(t *testing.T, binary string) {
	r, w := pipe(t)
	r.Close()
	path := socketPath(t)
	p := logTo(t, binary, w, nil, "--addr=unix:"+path)
	b := newTestBroker()
	defer b.http.CloseIdleConnections()
	through(b, path)
	b.serves(t)
	b.publish(t, event("cats", "purr"))
	eventually(t, "lines that nobody reads are counted", func() bool {
		return b.metric(t, `belfry_log_dropped_total{reason="failed"}`) > 0
	})
	p.signal(t, syscall.SIGTERM)
	if state := p.wait(t); state.ExitCode() != 0 {
		t.Errorf("the program ended with %v", state)
	}

	r, w = pipe(t)
	r.Close()
	logTo(t, binary, w, nil, "version").endsBy(t, syscall.SIGPIPE)
}

// endsBy checks that a signal has ended the process.
func (p *process) endsBy(t *testing.T, s syscall.Signal) {
	t.Helper()
	if state := p.wait(t); state.Sys().(syscall.WaitStatus).Signal() != s {
		t.Errorf("the process ended with %v, want %v", state, s)
	}
}

// testForsakenCommands: a command that waits for events ends with its terminal, and where
// that can be seen with whoever reads what it prints.
func testForsakenCommands(t *testing.T, binary string) {
	b := start(t)
	for _, forsake := range []func(p *process, reader *os.File) syscall.Signal{
		func(p *process, _ *os.File) syscall.Signal { p.signal(t, syscall.SIGHUP); return syscall.SIGHUP },
		func(_ *process, reader *os.File) syscall.Signal { reader.Close(); return syscall.SIGPIPE },
	} {
		r, w := pipe(t)
		p := logTo(t, binary, w, environment(t), "subscribe", "cats", "--url="+b.url("http", ""))
		eventually(t, "it is connected", func() bool { return b.census(t).Connected == 1 })
		s := forsake(p, r)
		if s == syscall.SIGPIPE && runtime.GOOS != "linux" {
			b.publish(t, event("cats", "is anybody there"))
		}
		p.endsBy(t, s)
		b.away(t)
	}
}
