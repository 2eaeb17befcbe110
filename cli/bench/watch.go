package bench

import (
	"fmt"
	"sync"
	"time"

	"belfry/cli"
)

// watchInterval is the interval between lines of progress.
const watchInterval = 500 * time.Millisecond

// watch shows progress on a terminal until the returned function is called.
func (r *run) watch(s cli.Streams) (end func()) {
	if !s.ErrTerminal {
		return func() {}
	}
	stop := make(chan struct{})
	var shown sync.WaitGroup
	start := r.clock()
	draw := func() {
		elapsed := r.clock() - start
		fmt.Fprintf(s.Err, "\r\x1b[K%5.1fs  %d events, %d deliveries (%.0f /s)",
			elapsed.Seconds(), r.sent.Load(), r.received.Load(), float64(r.received.Load())/elapsed.Seconds())
	}
	shown.Go(func() {
		tick := time.NewTicker(watchInterval)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				draw()
			case <-stop:
				return
			}
		}
	})
	return func() {
		close(stop)
		shown.Wait()
		draw()
		fmt.Fprintln(s.Err)
	}
}
