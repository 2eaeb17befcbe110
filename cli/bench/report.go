package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"belfry/cli"
)

// A report is the result of a measurement.
type report struct {
	Transport   string `json:"transport"`
	Connections int    `json:"connections"`
	Topics      int    `json:"topics"`
	Size        int    `json:"size"`
	Rate        int    `json:"rate,omitempty"`
	Window      int    `json:"window,omitempty"`
	Publishers  int    `json:"publishers"`

	Seconds       float64 `json:"seconds"` // of publishing
	Events        int64   `json:"events"`
	EventRate     float64 `json:"events_per_s"`
	Deliveries    int64   `json:"deliveries"`
	DeliveryRate  float64 `json:"deliveries_per_s"`
	Lost          int64   `json:"lost"`
	Reconnects    int64   `json:"reconnects"`
	Failed        int64   `json:"failed"` // publishes
	LastFailure   string  `json:"last_failure,omitempty"`
	Latency       latency `json:"latency_ms"`
	FloorPerWrite float64 `json:"floor_us_per_write"`

	latencies histogram
}

// latency is the time from before a publish to after a read, in milliseconds.
type latency struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99_9"`
	Max  float64 `json:"max"`
}

// report returns the result of the measurement since start.
func (r *run) report(start, published, floor time.Duration) *report {
	o := r.Options
	t := &report{
		Transport: o.Transport, Connections: o.Connections, Topics: o.Topics, Size: o.Size, Rate: o.Rate, Publishers: o.Publishers,
		Seconds: published.Seconds(), Events: r.sent.Load(), EventRate: float64(r.sent.Load()) / published.Seconds(),
		Deliveries: r.received.Load(), Reconnects: r.reconnects.Load(), Failed: r.failed.Load(),
		FloorPerWrite: float64(floor.Nanoseconds()) / 1e3,
	}
	if o.Rate == 0 {
		t.Window = o.Window
	}
	t.Lost = max(0, r.expected.Load()-t.Deliveries)
	if receiving := time.Duration(r.newest.Load()) - start; receiving > 0 {
		t.DeliveryRate = float64(t.Deliveries) / receiving.Seconds()
	}
	if failure := r.failure.Load(); failure != nil {
		t.LastFailure = (*failure).Error()
	}
	r.tally.Lock()
	t.latencies = r.tally.histogram
	r.tally.Unlock()
	ms := func(share float64) float64 { return milliseconds(t.latencies.quantile(share)) }
	t.Latency = latency{ms(0.5), ms(0.9), ms(0.99), ms(0.999), milliseconds(t.latencies.max)}
	return t
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }

// print prints the report, and draws it if requested. It fails if events were lost or
// could not be published.
func (t *report) print(s cli.Streams, o Options) error {
	var err error
	if o.JSON {
		err = json.NewEncoder(s.Out).Encode(t)
	} else {
		err = t.table(s.Out)
	}
	if err == nil && o.SVG != "" {
		err = os.WriteFile(o.SVG, t.svg(), 0o666)
	}
	switch {
	case err != nil:
		return err
	case t.Failed > 0:
		return fmt.Errorf("%d publishes failed, the last: %s", t.Failed, t.LastFailure)
	case t.Lost > 0:
		return fmt.Errorf("%d deliveries are missing", t.Lost)
	}
	return nil
}

func (t *report) table(out io.Writer) error {
	pace := fmt.Sprintf("%d events/s", t.Rate)
	if t.Rate == 0 {
		pace = fmt.Sprintf("%d events under way at a time", t.Window)
	}
	_, err := fmt.Fprintf(out, `%d connections (%s), %d topics, %d bytes, %d publishers, %s

events      %12d  %10.1f /s
deliveries  %12d  %10.0f /s
lost        %12d
reconnects  %12d
latency, ms          p50        p90        p99      p99.9        max
            %12.3f %10.3f %10.3f %10.3f %10.3f
floor       %12.2f us for a bare write of a message, %.0f /s
`,
		t.Connections, t.Transport, t.Topics, t.Size, t.Publishers, pace,
		t.Events, t.EventRate, t.Deliveries, t.DeliveryRate, t.Lost, t.Reconnects,
		t.Latency.P50, t.Latency.P90, t.Latency.P99, t.Latency.P999, t.Latency.Max,
		t.FloorPerWrite, 1e6/t.FloorPerWrite)
	return err
}
