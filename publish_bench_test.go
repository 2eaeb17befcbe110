package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
)

// post publishes a body of some type.
func (p *benchBroker) post(kind string, body io.Reader) error {
	response, err := p.http.Post("http://"+p.addr+"/publish", kind, body)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	return nil
}

// What the broker's process uses for an event of 128 bytes, by how it is
// published, by 16 at a time, and a handler of net/http that does nothing with it.
func BenchmarkPublish(b *testing.B) {
	const publishers, many = 16, 100
	one := fmt.Sprintf(`{"topic": "news", "message": %q}`, message)
	list := "[" + strings.TrimSuffix(strings.Repeat(one+",", many), ",") + "]"
	lines := strings.Repeat(one+"\n", many)
	single := func(p *benchBroker) error { return p.post("application/json", strings.NewReader(one)) }
	measure := func(b *testing.B, p *benchBroker, events int, publish func(*benchBroker) error) {
		p.http.Transport.(*http.Transport).MaxIdleConnsPerHost = publishers
		b.SetParallelism((publishers + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0))
		before := p.cpu(b)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := publish(p); err != nil {
					b.Error(err)
					return
				}
			}
		})
		b.ReportMetric(float64((p.cpu(b)-before).Nanoseconds())/1000/float64(b.N*events), "cpu-µs/event")
	}
	b.Run("net/http", func(b *testing.B) { measure(b, startProcess(b, "./testdata/bare"), 1, single) })
	b.Run("single", func(b *testing.B) { measure(b, startBench(b), 1, single) })
	b.Run("single, 1 subscriber", func(b *testing.B) {
		p := startBench(b)
		p.gather(b, doors[0], 1, "")
		p.subscribed(b, 1)
		measure(b, p, 1, single)
	})
	b.Run("list of 100", func(b *testing.B) {
		measure(b, startBench(b), many, func(p *benchBroker) error { return p.post("application/json", strings.NewReader(list)) })
	})
	b.Run("stream", func(b *testing.B) {
		measure(b, startBench(b), 1000*many, func(p *benchBroker) error {
			return p.post("application/x-ndjson", strings.NewReader(strings.Repeat(lines, 1000)))
		})
	})
}
