package bench

import (
	"bytes"
	"flag"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing them")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestReport: the table and the picture of a measurement.
func TestReport(t *testing.T) {
	t.Parallel()
	r := &run{Options: Options{Connections: 1000, Topics: 2, Window: 4, Size: 128, Transport: "v1", Publishers: 2}}
	for i := range 1000 {
		r.tally.add(time.Duration(i*i) * time.Microsecond)
	}
	r.sent.Store(500)
	r.expected.Store(250_000)
	r.received.Store(249_999)
	r.newest.Store(int64(6 * time.Second))
	report := r.report(time.Second, 5*time.Second, 8123*time.Nanosecond)
	var table bytes.Buffer
	if err := report.table(&table); err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/table.txt", table.Bytes())
	golden(t, "testdata/latency.svg", report.svg())
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is not what was made (%v):\n%s", name, err, got)
	}
}
