// Package bench measures a running broker. It publishes events, receives them over many
// connections, and reports how many arrived, and when.
package bench

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"belfry/cli"
)

// Options configure a measurement.
type Options struct {
	Connections int           // receiving connections
	Topics      int           // topics that they are spread over, at most Connections
	Rate        int           // events a second; 0: as fast as Window permits
	Window      int           // if Rate is 0: most events under way at a time
	Size        int           // bytes of a message, at least MinSize
	Duration    time.Duration // of publishing
	Transport   string        // bare, v1 or sse
	Publishers  int           // most publishes under way at a time
	JSON        bool          // print a JSON object, not a table
	SVG         string        // a file to draw into; "": none
}

// How long the bench waits for a broker.
const (
	dialers   = 16                     // connections made at a time
	dialTries = 20                     // attempts for one connection before the measurement
	pause     = 100 * time.Millisecond // before another attempt
	readyTime = 10 * time.Second       // for the first event to arrive everywhere
	drainTime = 10 * time.Second       // for the last ones
	quietTime = 2 * time.Second        // with no event for so long, none is expected
)

// A run is one measurement.
type run struct {
	Options
	broker cli.Broker
	began  time.Time // zero of the clock that stamps messages
	prefix string    // of the topics

	poller *poller
	tally  tally
	note   chan struct{} // of capacity 1: events have arrived

	received   atomic.Int64
	newest     atomic.Int64 // time of the last arrival
	reconnects atomic.Int64

	sent     atomic.Int64
	granted  atomic.Int64 // deliveries that may be expected so far
	expected atomic.Int64 // deliveries of what was published
	failed   atomic.Int64 // failed publishes
	failure  atomic.Pointer[error]
}

// Run measures and prints the report. When ctx ends it stops publishing and reports what
// it has.
func Run(ctx context.Context, b cli.Broker, o Options, s cli.Streams) error {
	r := &run{
		Options: o, broker: b, began: time.Now(), note: make(chan struct{}, 1),
		prefix: "belfry.bench." + strings.ToLower(rand.Text()[:10]) + ".",
	}
	floor, err := floor(o.Size)
	if err != nil {
		return err
	}
	if r.poller, err = newPoller(r.tally.Lock, r.tell); err != nil {
		return err
	}
	receiving, stop := context.WithCancel(context.WithoutCancel(ctx))
	var receivers sync.WaitGroup
	defer receivers.Wait()
	defer stop()
	receivers.Go(func() { r.poller.run(receiving) })
	if err := r.connect(ctx, receiving, &receivers); err != nil {
		return ended(ctx, err)
	}
	if err := r.ready(ctx); err != nil {
		return ended(ctx, err)
	}
	r.reset()
	end := r.watch(s)
	start := r.clock()
	r.publish(ctx)
	published := r.clock() - start
	r.drain()
	end()
	if r.sent.Load() == 0 {
		if failure := r.failure.Load(); failure != nil {
			return ended(ctx, *failure)
		}
		return cli.ErrInterrupted
	}
	return r.report(start, published, floor).print(s, r.Options)
}

// ended returns the error of a run that has measured nothing.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return cli.ErrInterrupted
	}
	return err
}

func (r *run) clock() time.Duration { return time.Since(r.began) }

func (r *run) topic(i int) string { return fmt.Sprint(r.prefix, i%r.Topics) }

// audience returns how many connections receive a topic.
func (r *run) audience(topic int) int64 {
	n := r.Connections / r.Topics
	if topic < r.Connections%r.Topics {
		n++
	}
	return int64(n)
}

// connect makes all connections and starts their goroutines.
func (r *run) connect(ctx, receiving context.Context, receivers *sync.WaitGroup) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var making sync.WaitGroup
	places := make(chan struct{}, dialers)
	for i := range r.Connections {
		places <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		making.Go(func() {
			defer func() { <-places }()
			c, err := r.dialPatiently(ctx, i)
			if err != nil {
				cancel(err)
				return
			}
			receivers.Go(func() { r.receive(receiving, c, i) })
		})
	}
	making.Wait()
	return context.Cause(ctx)
}

// ready publishes to each topic once and waits until every connection has received it:
// then all are subscribed.
func (r *run) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	p := &publisher{run: r, message: r.message()}
	defer p.close()
	for topic := range r.Topics {
		if err := p.publish(ctx, topic); err != nil {
			return err
		}
	}
	for r.received.Load() < int64(r.Connections) {
		select {
		case <-r.note:
		case <-ctx.Done():
			return fmt.Errorf("only %d of %d connections have received a first event", r.received.Load(), r.Connections)
		}
	}
	return nil
}

// reset forgets the events of ready.
func (r *run) reset() {
	r.received.Store(0)
	r.reconnects.Store(0)
	r.tally.Lock()
	r.tally.histogram = histogram{}
	r.tally.Unlock()
}

// drain waits for the last events.
func (r *run) drain() {
	end := time.After(drainTime)
	for r.received.Load() < r.expected.Load() {
		quiet := time.NewTimer(quietTime)
		select {
		case <-r.note:
			quiet.Stop()
		case <-quiet.C:
			return
		case <-end:
			return
		}
	}
}

func (r *run) message() []byte {
	return append(make([]byte, MinSize), strings.Repeat("x", r.Size-MinSize)...)
}
