package logging

import (
	"bytes"
	"io"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// logPatience is how long the end of the program waits for the log.
const logPatience = time.Second

// lineOverhead is what a queued line takes besides its text, in bytes.
const lineOverhead = 64

// A logQueue holds lines for a writer that may be slow or stuck, so that callers never
// wait. When it is full it drops lines until half of it is free again. The next line says
// how many were dropped.
type logQueue struct {
	// Static after construction.
	out     io.Writer
	encoder zapcore.Encoder // for the queue's own messages
	max     int             // bytes
	done    chan struct{}   // closed when the last line is written

	mu      sync.Mutex
	changed sync.Cond // there are lines, or it is closed
	lines   []logLine
	bytes   int // of the lines, including those being written
	full    bool
	closed  bool
	dropped uint64 // dropped since the last accepted line
	lost    [2]uint64
}

// A logLine is a queued line.
type logLine struct {
	text   []byte
	before uint64 // lines that were dropped before it
}

// The reasons for lost lines: labels of the metric.
const (
	lostFull   = iota // the queue was full
	lostFailed        // the write failed
)

// newLogQueue returns a queue of at most max bytes and starts to write it.
func newLogQueue(out io.Writer, encoder zapcore.Encoder, max int) *logQueue {
	q := &logQueue{out: out, encoder: encoder, max: max, done: make(chan struct{})}
	q.changed.L = &q.mu
	go q.run()
	return q
}

// Write queues a line. It never fails, because zap would report the error and wait.
func (q *logQueue) Write(line []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	after := q.bytes + len(line) + lineOverhead
	q.full = after > q.max || q.full && q.bytes > q.max/2
	if q.full || q.closed {
		q.dropped++
		q.lost[lostFull]++
		return len(line), nil
	}
	q.lines = append(q.lines, logLine{bytes.Clone(line), q.dropped})
	q.bytes, q.dropped = after, 0
	q.changed.Signal()
	return len(line), nil
}

// Sync implements [zapcore.WriteSyncer]. It does not wait.
func (q *logQueue) Sync() error { return nil }

// run writes the lines until the queue is closed.
func (q *logQueue) run() {
	defer close(q.done)
	var untold uint64
	for lines := q.take(); lines != nil; lines = q.take() {
		for _, line := range lines {
			untold += line.before
			ok := untold == 0 || q.write(q.notice(untold)) // otherwise the line would come before the notice
			if ok {
				untold = 0
				ok = q.write(line.text)
			}
			if !ok {
				untold++
			}
			q.release(line, ok)
		}
	}
}

// take waits for lines. Nil means the end.
func (q *logQueue) take() (lines []logLine) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.lines) == 0 && !q.closed {
		q.changed.Wait()
	}
	lines, q.lines = q.lines, nil
	return lines
}

func (q *logQueue) write(line []byte) bool {
	_, err := q.out.Write(line)
	return err == nil
}

// release frees the space of a line that was written or failed.
func (q *logQueue) release(line logLine, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.bytes -= len(line.text) + lineOverhead
	if !ok {
		q.lost[lostFailed]++
	}
}

// notice returns the line that says how many lines are missing.
func (q *logQueue) notice(lines uint64) []byte {
	entry := zapcore.Entry{Level: zapcore.WarnLevel, Time: time.Now(), Message: "lines of the log are missing here"}
	text, err := q.encoder.EncodeEntry(entry, []zapcore.Field{zap.Uint64("lines", lines)})
	if err != nil {
		return nil // impossible: the entry has plain values only
	}
	return text.Bytes()
}

// close writes the queued lines, for at most logPatience.
func (q *logQueue) close() {
	q.mu.Lock()
	q.closed = true
	q.changed.Signal()
	q.mu.Unlock()
	patience := time.NewTimer(logPatience)
	defer patience.Stop()
	select {
	case <-q.done:
	case <-patience.C:
	}
}

var descLogDropped = prometheus.NewDesc("belfry_log_dropped_total",
	"Lines of the log that were not written, because the queue was full or because the write failed.", []string{"reason"}, nil)

// Describe implements [prometheus.Collector].
func (q *logQueue) Describe(out chan<- *prometheus.Desc) { out <- descLogDropped }

// Collect implements [prometheus.Collector].
func (q *logQueue) Collect(out chan<- prometheus.Metric) {
	q.mu.Lock()
	lost := q.lost
	q.mu.Unlock()
	for why, reason := range [...]string{lostFull: "full", lostFailed: "failed"} {
		out <- prometheus.MustNewConstMetric(descLogDropped, prometheus.CounterValue, float64(lost[why]), reason)
	}
}
