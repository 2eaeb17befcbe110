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
func (f *flood) attackFromElsewhere(t *testing.T, addr string) (stop func() string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("nice", "-n", "19", self, "-test.run=^TestFloodAttackers$", "-flood.at="+addr, "-flood.name="+f.name)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() string {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the attackers: %v: %s", err, out.String())
		}
		rounds, _, _ := strings.Cut(out.String(), "\n")
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
	flags = append([]string{"--resume-window=0s"}, f.settings(t, flags)...)
	p := startBench(t, flags...)
	f.give(&p.http)
	good, err := p.openSocket("GET /ws?topic=live HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + goodKey + "\r\n" + upgradeHeader + "\r\n")
	if err != nil {
		t.Fatal(err)
	}
	defer good.Close()
	before := p.memory(t)
	calm, _ := p.feel(t, good, *floodTime/2)

	other := startBench(t, flags...)
	stop := f.attackFromElsewhere(t, other.addr)
	beside, _ := p.feel(t, good, *floodTime/2)
	stop()

	most := before
	over := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		for tick := time.Tick(100 * time.Millisecond); ; {
			most = max(most, p.memory(t))
			select {
			case <-tick:
			case <-over:
				return
			}
		}
	})
	stop = f.attackFromElsewhere(t, p.addr)
	flooded, failed := p.feel(t, good, *floodTime*time.Duration(max(1, f.long)))
	rounds := stop()
	close(over)
	watching.Wait()
	refused := "cut"
	if f.limit != "" {
		refused = strconv.Itoa(int(p.series(t, f.limit)))
	}
	<-time.After(15 * time.Second) // for memory to be given back
	mib := func(n int) int { return n >> 20 }
	return fmt.Sprintf("| %s | %d, %s | %s | %d, %d | %.1f, %.1f, %.1f ms | %.1f, %.1f, %.1f ms | %d, %d, %d |\n", f.name, f.many, rounds, refused, len(flooded), failed,
		quantile(calm, .5), quantile(beside, .5), quantile(flooded, .5), quantile(calm, .99), quantile(beside, .99), quantile(flooded, .99), mib(before), mib(most), mib(p.memory(t)))
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
