package cli

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// counted is a reader that counts the bytes read.
type counted struct {
	r io.Reader
	n atomic.Int64
}

// Read implements [io.Reader].
func (c *counted) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n.Add(int64(n))
	return n, err
}

// progress shows in one line of a terminal how much of a file has been read.
type progress struct {
	out    io.Writer
	source *counted
	length int64
	stop   chan struct{}
	shown  sync.WaitGroup
}

// progressInterval is how often the line is drawn.
const progressInterval = 100 * time.Millisecond

func startProgress(out io.Writer, source *counted, length int64) *progress {
	p := &progress{out: out, source: source, length: length, stop: make(chan struct{})}
	p.shown.Go(func() {
		tick := time.NewTicker(progressInterval)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				p.draw()
			case <-p.stop:
				return
			}
		}
	})
	return p
}

// end draws the line for the last time.
func (p *progress) end() {
	close(p.stop)
	p.shown.Wait()
	p.draw()
	fmt.Fprintln(p.out)
}

func (p *progress) draw() {
	const width = 30
	n := p.source.n.Load()
	done := min(float64(n)/float64(p.length), 1)
	bar := make([]byte, width)
	for i := range bar {
		if bar[i] = ' '; float64(i) < done*width {
			bar[i] = '='
		}
	}
	fmt.Fprintf(p.out, "\r\x1b[K[%s] %3.0f%%  %s of %s", bar, done*100, size(float64(n)), size(float64(p.length)))
}
