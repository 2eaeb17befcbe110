package main

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
)

// TestFloodReport runs the large version of each flood against a process of its
// own, and tells what somebody who behaves well feels of it, beside what the same
// one feels while nothing happens, and while the same flood comes down on another
// broker: then the machine is as busy, and this broker is not.
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

// What TestFloodAttackers is told.
var (
	floodAt   = flag.String("flood.at", "", "address of the broker that TestFloodAttackers floods")
	floodName = flag.String("flood.name", "", "the flood")
)

// attackFromElsewhere has the attackers do what they do in a process of their own,
// which gets what time the others leave: they would be on another machine. To stop
// them returns how often the broker has ended what one of them did.
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
	p := startBench(t, flags...)
	f.give(&p.http)
	good, err := p.openSocket("GET /ws?topic=live HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + goodKey + "\r\n" + upgradeHeader + "\r\n")
	if err != nil {
		t.Fatal(err)
	}
	defer good.Close()
	before := p.memory(t)
	other := startBench(t, flags...)
	var calm, beside, flooded felt
	ended, most := 0, before
	for range floodRounds {
		calm.add(p.feel(t, good, *floodTime/2))

		stop := f.attackFromElsewhere(t, other.addr)
		beside.add(p.feel(t, good, *floodTime/2))
		stop()

		watched := watchMemory(t, p)
		stop = f.attackFromElsewhere(t, p.addr)
		flooded.add(p.feel(t, good, *floodTime*time.Duration(max(1, f.long))))
		ended += stop()
		most = max(most, watched())
	}
	refused := "cut"
	if f.limit != "" {
		refused = strconv.Itoa(int(p.series(t, f.limit)))
	}
	<-time.After(15 * time.Second) // for memory to be given back
	mib := func(n int) int { return n >> 20 }
	return fmt.Sprintf("| %s | %d, %d | %s | %d, %d | %.1f, %.1f, %.1f ms | %.1f, %.1f, %.1f ms | %d, %d, %d |\n", f.name, f.many, ended, refused, flooded.served, flooded.failed,
		quantile(calm.p50, .5), quantile(beside.p50, .5), quantile(flooded.p50, .5), quantile(calm.p99, .5), quantile(beside.p99, .5), quantile(flooded.p99, .5), mib(before), mib(most), mib(p.memory(t)))
}

// floodRounds is how often a flood begins and ends. The machine is not as fast all
// the time, so that medians are told.
const floodRounds = 3

// felt is what somebody who behaves well has felt, by round, in milliseconds.
type felt struct {
	p50, p99       []float64
	served, failed int
}

func (f *felt) add(ms []float64, failed int) {
	f.p50, f.p99 = append(f.p50, quantile(ms, .5)), append(f.p99, quantile(ms, .99))
	f.served, f.failed = f.served+len(ms), f.failed+failed
}

// watchMemory looks at what a process uses until the function that it returns is
// called, which tells the most.
func watchMemory(t *testing.T, p *benchBroker) (most func() int) {
	n := 0
	over := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		for tick := time.Tick(100 * time.Millisecond); ; {
			n = max(n, p.memory(t))
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

// feel publishes for a while to somebody who behaves well, and returns the times
// from publish to arrival, in milliseconds, and how many publishes were refused.
// Everything else arrives.
func (p *benchBroker) feel(t *testing.T, good io.Reader, d time.Duration) (ms []float64, failed int) {
	t.Helper()
	frame := make([]byte, 4+len(message))
	for end := time.Now().Add(d); time.Now().Before(end); <-time.After(5 * time.Millisecond) {
		sent := time.Now()
		if p.publish("live") != nil {
			failed++ // others have used up what there is
			continue
		}
		if _, err := io.ReadFull(good, frame); err != nil {
			t.Fatal(err)
		}
		ms = append(ms, time.Since(sent).Seconds()*1000)
	}
	return ms, failed
}

// series returns the value of a series of /metrics.
func (p *benchBroker) series(t *testing.T, name string) float64 {
	t.Helper()
	response, err := p.http.Get("http://" + p.addr + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			n, _ := strconv.ParseFloat(strings.TrimSpace(value), 64)
			return n
		}
	}
	return 0
}
