package bench_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"belfry/tests/harness"
)

// What the console costs a broker with 10,000 connected clients that get 4 events a
// second: closed, at its overview, and, which is more than one page does, at the
// overview, the clients, the topics and one topic at once.
func BenchmarkConsole(b *testing.B) {
	const subscribers, events, pause = 10_000, 60, 250 * time.Millisecond
	for _, page := range []struct {
		name     string
		overview bool
		asks     map[string]time.Duration
	}{
		{"closed", false, nil},
		{"overview", true, nil},
		{"all", true, map[string]time.Duration{
			"/clients?limit=50": 3 * time.Second, "/topics?limit=50": 3 * time.Second,
			"/topics/news": 2 * time.Second, "/topics/news/presence": 2 * time.Second, "/topics/news/events?last=20": 2 * time.Second,
		}},
	} {
		b.Run(page.name, func(b *testing.B) {
			admin := filepath.Join(b.TempDir(), "admin")
			p := harness.StartBench(b, "--admin-addr=unix:"+admin)
			operators := operatorsAt(b, admin)
			c := p.Gather(b, doors[0], subscribers, "")
			p.Subscribed(b, subscribers)
			if page.overview {
				p.WatchFigures(b)
			}
			for path, every := range page.asks {
				operators.poll(b, path, every)
			}
			total := int64(0)
			for b.Loop() {
				before := p.CPU(b)
				busy := make(chan float64, 1)
				go func() { busy <- operators.hubShare(b, events*pause) }()
				for range events {
					if err := p.Publish("news"); err != nil {
						b.Fatal(err)
					}
					<-time.After(pause)
				}
				total += events * subscribers
				c.Wait(b, total)
				b.ReportMetric(float64((p.CPU(b)-before).Nanoseconds())/1000/(events*subscribers), "cpu-µs/delivery")
				b.ReportMetric(100*<-busy, "hub-busy-%")
			}
		})
	}
}

// operators ask at the address for operators.
type operators struct{ http.Client }

func operatorsAt(b *testing.B, socket string) *operators {
	o := &operators{http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}}
	b.Cleanup(o.CloseIdleConnections)
	return o
}

func (o *operators) get(ctx context.Context, path string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost"+path, nil)
	if err != nil {
		return nil, err
	}
	response, err := o.Do(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	return io.ReadAll(response.Body)
}

// poll asks now and again until the benchmark ends.
func (o *operators) poll(b *testing.B, path string, every time.Duration) {
	ctx, stop := context.WithCancel(context.Background())
	var asking sync.WaitGroup
	asking.Go(func() {
		for ctx.Err() == nil {
			if _, err := o.get(ctx, path); err != nil && ctx.Err() == nil {
				b.Error(err)
				return
			}
			select {
			case <-ctx.Done():
			case <-time.After(every):
			}
		}
	})
	b.Cleanup(func() { stop(); asking.Wait() })
}

// hubShare returns how much of a time from now on the hub's goroutine runs, by a
// profile.
func (o *operators) hubShare(b *testing.B, during time.Duration) float64 {
	profile, err := o.get(context.Background(), "/debug/pprof/profile?seconds="+strconv.Itoa(int(during.Seconds())))
	file := filepath.Join(b.TempDir(), "profile")
	if err == nil {
		err = os.WriteFile(file, profile, 0o600)
	}
	var table []byte
	if err == nil {
		table, err = exec.Command("go", "tool", "pprof", "-top", "-cum", "-nodecount=10000", "-unit=ms", file).Output()
	}
	if err != nil {
		b.Error(err)
	}
	for line := range strings.Lines(string(table)) {
		if fields := strings.Fields(line); len(fields) > 5 && fields[5] == "belfry/hub.(*Hub).Run" {
			ms, _ := strconv.ParseFloat(strings.TrimSuffix(fields[3], "ms"), 64)
			return ms / float64(during.Milliseconds())
		}
	}
	return 0
}
