package logging

import (
	"encoding/json"
	"errors"
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

// TestLogThatNobodyReads: a caller never waits for the reader of the log. Lost lines are
// counted, and reported where they are missing.
func TestLogThatNobodyReads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &logReader{open: make(chan struct{})}
		log := New(Options{Level: "info", Format: "json", QueueBytes: 10_000}, r)
		for n := range 1000 {
			log.Info("line", zap.Int("n", n))
		}
		synctest.Wait()
		lost := log.Queue.lostLines(t, "full")
		if lost < 900 || lost > 990 {
			t.Errorf("of 1000 lines %d are lost, want all but what the queue holds", lost)
		}
		close(r.open)
		for n := 1000; n < 2000; n++ {
			synctest.Wait()
			log.Info("line", zap.Int("n", n))
		}
		log.Close()
		r.expect(t, 2000)
		if again := log.Queue.lostLines(t, "full"); again != lost || len(r.lines) != 2000-lost+1 {
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
		log := New(Options{Level: "info", Format: "json", QueueBytes: 1 << 20}, r)
		for n := range 100 {
			log.Info("line", zap.Int("n", n))
		}
		log.Close()
		r.expect(t, 100)
		if lost := log.Queue.lostLines(t, "failed"); lost != 100-len(r.lines)+1 || lost == 0 {
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
		log := New(Options{Level: "info", Format: "json", QueueBytes: 10_000}, r)
		log.Info("line")
		begin := time.Now()
		log.Close()
		if d := time.Since(begin); d != logPatience {
			t.Errorf("the end waits for %v", d)
		}
		log.Info("too late")
	})
}
