package bench_test

import (
	"sync"
	"testing"
	"time"

	"belfry/tests/harness"
)

const (
	bareRequest   = "GET /ws?topic=news%s HTTP/1.1\r\nHost: localhost\r\n" + harness.UpgradeHeader + "\r\n"
	streamRequest = "GET /sse?topic=news%s HTTP/1.1\r\nHost: localhost\r\n\r\n"
)

var doors = []harness.Door{
	{Name: "bare", Request: bareRequest},
	{Name: "belfry.v1", Request: "GET /ws?topic=news%s HTTP/1.1\r\nHost: localhost\r\n" + harness.UpgradeHeader + "Sec-WebSocket-Protocol: belfry.v1\r\n\r\n"},
	{Name: "sse", Request: streamRequest},
	{Name: "sse-http2", Request: ""},
	{Name: "bare-tls", Request: bareRequest, TLS: true},
	{Name: "sse-tls", Request: streamRequest, TLS: true},
	{Name: "sse-http2-tls", Request: "", TLS: true}, // a connection for each, as browsers have them
}

// What a delivery costs on each transport: 1,000 subscribers, 4 events of 128
// bytes under way.
func BenchmarkFanout(b *testing.B) {
	const subscribers, window = 1000, 4
	for _, door := range doors {
		b.Run(door.Name, func(b *testing.B) {
			p := door.Start(b, "--protocols=http1+http2")
			c := p.Gather(b, door, subscribers, "")
			p.Subscribed(b, subscribers)
			before, events := p.CPU(b), int64(0)
			for b.Loop() {
				c.Wait(b, (events-window+1)*subscribers)
				if err := p.Publish("news"); err != nil {
					b.Fatal(err)
				}
				events++
			}
			c.Wait(b, events*subscribers)
			b.ReportMetric(float64((p.CPU(b)-before).Nanoseconds())/1000/float64(events*subscribers), "cpu-µs/delivery")
		})
	}
}

// What 100 clients that read 100,000 events of the log cost, and what another
// that gets live events meanwhile feels.
func BenchmarkReplay(b *testing.B) {
	const readers, events = 100, 100_000
	for _, door := range doors {
		b.Run(door.Name, func(b *testing.B) {
			p := door.Start(b, "--protocols=http1+http2", "--history-events=1000000", "--history-bytes=268435456")
			var publishers sync.WaitGroup
			for range 4 {
				publishers.Go(func() {
					for range events / 4 {
						if err := p.Publish("news"); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			publishers.Wait()
			query := "&after=" + p.Start(b)
			calm := p.Delays(b, func() { <-time.After(time.Second) })
			b.ResetTimer()
			for b.Loop() {
				before, cpu, memory := time.Now(), p.CPU(b), p.Memory(b)
				busy := p.Delays(b, func() { p.Gather(b, door, readers, query).Wait(b, readers*events) })
				b.ReportMetric(time.Since(before).Seconds(), "s")
				b.ReportMetric(float64((p.CPU(b)-cpu).Nanoseconds())/1000/(readers*events), "cpu-µs/delivery")
				b.ReportMetric(float64(p.Memory(b)-memory)/(1<<20), "MiB")
				b.ReportMetric(harness.Quantile(calm, .99), "calm-p99-ms")
				b.ReportMetric(harness.Quantile(busy, .5), "busy-p50-ms")
				b.ReportMetric(harness.Quantile(busy, .99), "busy-p99-ms")
			}
		})
	}
}

// What a quiet connection holds.
func BenchmarkIdle(b *testing.B) {
	const connections = 5000
	for _, door := range doors {
		b.Run(door.Name, func(b *testing.B) {
			for b.Loop() {
				p := door.Start(b, "--protocols=http1+http2")
				p.Gather(b, door, 100, "")
				p.Subscribed(b, 100)
				<-time.After(10 * time.Second) // for memory to be given back
				before := p.Memory(b)
				p.Gather(b, door, connections, "")
				p.Subscribed(b, 100+connections)
				<-time.After(10 * time.Second)
				b.ReportMetric(float64(p.Memory(b)-before)/connections/1024, "KiB/connection")
			}
		})
	}
}
