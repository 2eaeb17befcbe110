package bench_test

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"belfry/tests/harness"
)

// What the broker's process uses for an event of 128 bytes, by how it is
// published, by 16 at a time, and a handler of net/http that does nothing with it.
func BenchmarkPublish(b *testing.B) {
	const publishers, many = 16, 100
	one := fmt.Sprintf(`{"topic": "news", "message": %q}`, harness.Message)
	list := "[" + strings.TrimSuffix(strings.Repeat(one+",", many), ",") + "]"
	lines := strings.Repeat(one+"\n", many)
	single := func(p *harness.BenchBroker) error { return p.Post("application/json", strings.NewReader(one)) }
	measure := func(b *testing.B, p *harness.BenchBroker, events int, publish func(*harness.BenchBroker) error) {
		p.HTTP.Transport.(*http.Transport).MaxIdleConnsPerHost = publishers
		b.SetParallelism((publishers + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0))
		before := p.CPU(b)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := publish(p); err != nil {
					b.Error(err)
					return
				}
			}
		})
		b.ReportMetric(float64((p.CPU(b)-before).Nanoseconds())/1000/float64(b.N*events), "cpu-µs/event")
	}
	b.Run("net/http", func(b *testing.B) { measure(b, harness.StartProcess(b, "./tests/testdata/bare"), 1, single) })
	b.Run("single", func(b *testing.B) { measure(b, harness.StartBench(b), 1, single) })
	b.Run("single, 1 subscriber", func(b *testing.B) {
		p := harness.StartBench(b)
		p.Gather(b, doors[0], 1, "")
		p.Subscribed(b, 1)
		measure(b, p, 1, single)
	})
	b.Run("list of 100", func(b *testing.B) {
		measure(b, harness.StartBench(b), many, func(p *harness.BenchBroker) error { return p.Post("application/json", strings.NewReader(list)) })
	})
	b.Run("stream", func(b *testing.B) {
		measure(b, harness.StartBench(b), 1000*many, func(p *harness.BenchBroker) error {
			return p.Post("application/x-ndjson", strings.NewReader(strings.Repeat(lines, 1000)))
		})
	})
}
