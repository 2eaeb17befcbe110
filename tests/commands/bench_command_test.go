package commands_test

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"belfry/tests/harness"
)

// TestBenchCommand: over each transport everything that is published comes.
func TestBenchCommand(t *testing.T) {
	t.Parallel()
	b := harness.Start(t)
	for _, transport := range []string{"bare", "v1", "sse"} {
		picture := filepath.Join(t.TempDir(), "latency.svg")
		out, errs := belfry(b, t, 0, "", "bench", "--transport", transport, "--connections", "7", "--topics", "3", "--window", "3",
			"--size", "9000", "--duration", "50ms", "--json", "--svg", picture)
		var r struct {
			Events, Deliveries, Lost, Reconnects, Failed int64
			Latency                                      struct{ P50, P99, Max float64 } `json:"latency_ms"`
			Floor                                        float64                         `json:"floor_us_per_write"`
		}
		if err := json.Unmarshal([]byte(out), &r); err != nil {
			t.Fatal(err, out, errs)
		}
		if r.Events == 0 || r.Lost != 0 || r.Failed != 0 || r.Reconnects != 0 || r.Floor <= 0 ||
			r.Deliveries < r.Events*2 || r.Deliveries > r.Events*3 || // of 7 connections 3, 2 and 2 have a topic
			r.Latency.P50 <= 0 || r.Latency.P50 > r.Latency.P99 || r.Latency.P99 > r.Latency.Max {
			t.Errorf("%s: %s", transport, out)
		}
		wellFormed(t, picture)
	}
}

// wellFormed checks that a file is XML.
func wellFormed(t *testing.T, name string) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for d := xml.NewDecoder(f); err != io.EOF; {
		if _, err = d.Token(); err != nil && err != io.EOF {
			t.Fatal(err)
		}
	}
}

// TestBenchInterrupted: an interrupted bench prints its figures so far. If there are none,
// the status says so.
func TestBenchInterrupted(t *testing.T) {
	t.Parallel()
	b := harness.Start(t)
	j := begin(t, setting{terminal: true, environ: here(b, nil).environ}, "bench", "--connections", "3", "--window", "1", "--duration", "1h")
	j.says(t, &j.err, " deliveries (") // half a second after the first event
	j.stop(t, 0)
	if out := j.out.String(); !strings.HasPrefix(out, "3 connections (bare), 1 topics, 128 bytes, 2 publishers, 1 events under way") ||
		!strings.Contains(out, "\nlost                   0\n") {
		t.Error(out)
	}
	out, errs := belfry(b, t, 1, "", "bench", "--url", "http://"+closed)
	if out != "" || !strings.Contains(errs, "connection refused") {
		t.Error(out, errs)
	}
	belfry(b, t, 2, "", "bench", "--connections", "1", "--topics", "2")
}

// TestBenchLosses: events lost with a connection are counted, and the connection is made
// again.
func TestBenchLosses(t *testing.T) {
	t.Parallel()
	b := startAlone(t)
	j := begin(t, setting{terminal: true, environ: here(b, nil).environ}, "bench", "--connections", "3", "--rate", "1000", "--duration", "1h", "--json")
	j.says(t, &j.err, " deliveries (")
	b.Stop()
	again := successor(b, t)
	harness.Eventually(t, "all are back", func() bool { return again.Metric(t, "belfry_connections") == 3 })
	j.stop(t, 1)
	var r struct{ Reconnects, Failed int64 }
	if err := json.Unmarshal([]byte(j.out.String()), &r); err != nil || r.Reconnects != 3 || r.Failed == 0 {
		t.Error(j.out.String(), j.err.String(), err)
	}
}
