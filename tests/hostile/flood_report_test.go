package hostile_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"belfry/tests/harness"
)

// TestFloodReport runs the large version of each flood against a separate process. It
// reports the latency of a publisher that behaves well, with two comparisons: without a
// flood, and with the same flood on another broker. In the latter case the machine is
// equally busy, but this broker is not.
func TestFloodReport(t *testing.T) {
	if *floodTime == 0 {
		t.Skip("only with -flood.for")
	}
	table := "| flood | attackers, ended | refused | served, not | p50 calm, beside, in it | p99 calm, beside, in it | MiB before, most, after |\n" +
		"| --- | --- | --- | --- | --- | --- | --- |\n"
	for _, f := range floods {
		t.Run(strings.ReplaceAll(f.name, " ", "-"), func(t *testing.T) { table += f.report(t) })
	}
	fmt.Println(table)
}

// The environment of TestFloodAttackers.
var (
	floodAt   = flag.String("flood.at", "", "address of the broker that TestFloodAttackers floods")
	floodName = flag.String("flood.name", "", "the flood")
)

// attackFromElsewhere runs the attackers in a process of low priority, because real ones
// would be on another machine. Stopping them returns how often the broker ended their
// connections.
func (f *flood) attackFromElsewhere(t *testing.T, addr string) (stop func() int) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("chrt", "--idle", "0", self, "-test.run=^TestFloodAttackers$", "-flood.at="+addr, "-flood.name="+f.name)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() int {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the attackers: %v: %s", err, out.String())
		}
		line, _, _ := strings.Cut(out.String(), "\n")
		rounds, err := strconv.Atoi(line)
		if err != nil {
			t.Error(err)
		}
		return rounds
	}
}

// TestFloodAttackers are the attackers, until stdin ends.
func TestFloodAttackers(t *testing.T) {
	if *floodAt == "" {
		t.Skip("only with -flood.at")
	}
	f := &floods[slices.IndexFunc(floods, func(f flood) bool { return f.name == *floodName })]
	ctx, stop := context.WithCancel(t.Context())
	var rounds atomic.Int64
	var flooding sync.WaitGroup
	flooding.Go(func() { f.attack(ctx, *floodAt, f.many, &rounds) })
	_, _ = io.Copy(io.Discard, os.Stdin)
	fmt.Println(rounds.Load())
	stop()
	flooding.Wait()
}

// report returns a row of the table.
func (f *flood) report(t *testing.T) string {
	flags := f.flags
	if f.large != nil {
		flags = f.large
	}
	flags = append([]string{"--resume-window=0s"}, f.settings(t, flags, 200)...)
	p := harness.StartBench(t, flags...)
	f.give(&p.HTTP)
	good, err := p.OpenSocket("GET /ws?topic=live HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + goodKey + "\r\n" + harness.UpgradeHeader + "\r\n")
	if err != nil {
		t.Fatal(err)
	}
	defer good.Close()
	before := p.Memory(t)
	other := harness.StartBench(t, flags...)
	var calm, beside, flooded felt
	ended, most := 0, before
	for range floodRounds {
		calm.add(p.Feel(t, good, *floodTime/2))

		stop := f.attackFromElsewhere(t, other.Addr)
		beside.add(p.Feel(t, good, *floodTime/2))
		stop()

		watched := watchMemory(t, p)
		stop = f.attackFromElsewhere(t, p.Addr)
		flooded.add(p.Feel(t, good, *floodTime*time.Duration(max(1, f.long))))
		ended += stop()
		most = max(most, watched())
	}
	refused := "cut"
	if f.limit != "" {
		refused = strconv.Itoa(int(p.Series(t, f.limit)))
	}
	<-time.After(15 * time.Second) // for memory to be given back
	mib := func(n int) int { return n >> 20 }
	return fmt.Sprintf("| %s | %d, %d | %s | %d, %d | %.1f, %.1f, %.1f ms | %.1f, %.1f, %.1f ms | %d, %d, %d |\n", f.name, f.many, ended, refused, flooded.served, flooded.failed,
		harness.Quantile(calm.p50, .5), harness.Quantile(beside.p50, .5), harness.Quantile(flooded.p50, .5), harness.Quantile(calm.p99, .5), harness.Quantile(beside.p99, .5), harness.Quantile(flooded.p99, .5), mib(before), mib(most), mib(p.Memory(t)))
}

// floodRounds is how often a flood begins and ends. The speed of the machine varies, so
// medians are reported.
const floodRounds = 3

// felt has the latencies of a publisher that behaves well, by round, in milliseconds.
type felt struct {
	p50, p99       []float64
	served, failed int
}

func (f *felt) add(ms []float64, failed int) {
	f.p50, f.p99 = append(f.p50, harness.Quantile(ms, .5)), append(f.p99, harness.Quantile(ms, .99))
	f.served, f.failed = f.served+len(ms), f.failed+failed
}

// watchMemory watches the memory of a process until the returned function is called, which
// returns the peak.
func watchMemory(t *testing.T, p *harness.BenchBroker) (most func() int) {
	n := 0
	over := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		for tick := time.Tick(100 * time.Millisecond); ; {
			n = max(n, p.Memory(t))
			select {
			case <-tick:
			case <-over:
				return
			}
		}
	})
	return func() int {
		close(over)
		watching.Wait()
		return n
	}
}
