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

// logPatience is how long the end of the program waits for its log.
const logPatience = time.Second

// lineOverhead is what a line in the queue takes beside its text, in bytes.
const lineOverhead = 64

// A logQueue keeps lines for a writer that may take its time, or never read: nobody who
// logs waits for it. Lines that there is no room for are dropped until half of the room is
// free again; the next line says how many.
type logQueue struct {
	// Static after construction.
	out     io.Writer
	encoder zapcore.Encoder // of what the queue itself has to say
	max     int             // bytes
	done    chan struct{}   // closed when the last line is written

	mu      sync.Mutex
	changed sync.Cond // there are lines, or the end
	lines   []logLine
	bytes   int // of the lines, and of those that are being written
	full    bool
	closed  bool
	dropped uint64 // lines since the last that was kept
	lost    [2]uint64
}

// A logLine is one that waits.
type logLine struct {
	text   []byte
	before uint64 // so many before it were dropped
}

// Why lines are lost: the label of the metric.
const (
	lostFull   = iota // there was no room
	lostFailed        // it could not be written
)

// newLogQueue returns a queue for lines, of so many bytes at most, and has it written.
func newLogQueue(out io.Writer, encoder zapcore.Encoder, max int) *logQueue {
	q := &logQueue{out: out, encoder: encoder, max: max, done: make(chan struct{})}
	q.changed.L = &q.mu
	go q.run()
	return q
}

// Write takes a line. It never fails: zap would report that, and wait.
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

// Sync implements [zapcore.WriteSyncer]. Nobody waits.
func (q *logQueue) Sync() error { return nil }

// run writes the lines until the queue is closed.
func (q *logQueue) run() {
	defer close(q.done)
	var untold uint64
	for lines := q.take(); lines != nil; lines = q.take() {
		for _, line := range lines {
			untold += line.before
			ok := untold == 0 || q.write(q.notice(untold)) // or the line would stand before it
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

// take waits for lines. Nil is the end.
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

// release says that a line has been written, or can't be.
func (q *logQueue) release(line logLine, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.bytes -= len(line.text) + lineOverhead
	if !ok {
		q.lost[lostFailed]++
	}
}

// notice is the line that says how many are missing.
func (q *logQueue) notice(lines uint64) []byte {
	entry := zapcore.Entry{Level: zapcore.WarnLevel, Time: time.Now(), Message: "lines of the log are missing here"}
	text, err := q.encoder.EncodeEntry(entry, []zapcore.Field{zap.Uint64("lines", lines)})
	if err != nil {
		return nil // cannot be: the entry is of plain values
	}
	return text.Bytes()
}

// close has the lines that wait written, for as long as there is patience.
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
	"Lines of the log that were not written: full, because nobody read what was before, or failed.", []string{"reason"}, nil)

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
