package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Benchmarks over real sockets: the program runs as a process of its own, and
// what is told is what it uses, not how fast this program reads.

// mark is in each message once.
const mark = "~mark~"

// message has 128 bytes.
var message = mark + strings.Repeat("x", 128-len(mark))

// A benchBroker is the program, running as a process of its own.
type benchBroker struct {
	addr string
	pid  int
	http http.Client
	tls  *tls.Config // of clients; nil: there is no TLS
}

// startBench starts the program for what comes through a door.
func (d door) start(b *testing.B, flags ...string) *benchBroker {
	b.Helper()
	if !d.tls {
		return startBench(b, flags...)
	}
	p := startBench(b, append(anyCertificate().write(b, b.TempDir()), flags...)...)
	p.tls = anyCertificate().trusting()
	p.http.Transport.(*http.Transport).TLSClientConfig = p.tls.Clone()
	return p
}

// web returns where something of the broker is.
func (p *benchBroker) web(path string) string {
	if p.tls != nil {
		return "https://" + p.addr + path
	}
	return "http://" + p.addr + path
}

func startBench(b testing.TB, flags ...string) *benchBroker {
	b.Helper()
	return startProcess(b, ".", append([]string{"--addr=127.0.0.1:0", "--log-format=json", "--ping-interval=1h"}, flags...)...)
}

// startProcess builds a program and starts it. It logs where it listens as the
// broker does.
func startProcess(b testing.TB, dir string, args ...string) *benchBroker {
	b.Helper()
	binary := filepath.Join(b.TempDir(), "program")
	if out, err := exec.Command("go", "build", "-o", binary, dir).CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	cmd := exec.Command(binary, args...)
	out, err := cmd.StderrPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	broker := &benchBroker{pid: cmd.Process.Pid, http: http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}}
	listening, ended := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var entry struct{ Msg, Addr string }
			if json.Unmarshal(lines.Bytes(), &entry) == nil && entry.Msg == "listening" {
				listening <- entry.Addr
			}
		}
		_ = cmd.Wait() // it was killed
	}()
	b.Cleanup(func() {
		broker.http.CloseIdleConnections()
		_ = cmd.Process.Kill()
		<-ended
	})
	select {
	case broker.addr = <-listening:
	case <-ended:
		b.Fatal("the program does not start")
	}
	return broker
}

// cpu returns what the process has used so far.
func (p *benchBroker) cpu(b *testing.B) time.Duration {
	b.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.pid))
	if err != nil || len(tasks) == 0 {
		b.Skip("the system does not tell what a process uses")
	}
	total := time.Duration(0)
	for _, task := range tasks {
		text, _ := os.ReadFile(task) // a thread may have ended
		ran, _, _ := strings.Cut(string(text), " ")
		n, _ := strconv.ParseInt(ran, 10, 64)
		total += time.Duration(n)
	}
	return total
}

// memory returns the resident size of the process, in bytes.
func (p *benchBroker) memory(b testing.TB) int {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.pid))
	if err != nil {
		b.Skip(err)
	}
	pages, _ := strconv.Atoi(strings.Fields(string(text))[1])
	return pages * os.Getpagesize()
}

func (p *benchBroker) publish(topic string) error {
	body := fmt.Sprintf(`{"topic": %q, "message": %q}`, topic, message)
	response, err := p.http.Post(p.web("/publish"), "application/json", strings.NewReader(body))
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

// A crowd counts what its connections receive.
type crowd struct {
	received atomic.Int64
	lost     atomic.Bool   // a connection has ended
	changed  chan struct{} // of capacity 1
	running  sync.WaitGroup
	conns    []io.Closer
}

// read counts messages until the connection ends.
func (c *crowd) read(from io.Reader) {
	buf := make([]byte, 64<<10)
	kept := 0
	for {
		n, err := from.Read(buf[kept:])
		text := buf[:kept+n]
		marks := bytes.Count(text, []byte(mark))
		c.received.Add(int64(marks))
		if err != nil {
			c.lost.Store(true)
		}
		if marks > 0 || err != nil {
			select {
			case c.changed <- struct{}{}:
			default:
			}
		}
		if err != nil {
			return
		}
		kept = copy(buf, text[len(text)-min(len(text), len(mark)-1):])
	}
}

// wait waits until so many messages were received in all.
func (c *crowd) wait(b *testing.B, total int64) {
	b.Helper()
	for c.received.Load() < total {
		if c.lost.Load() {
			b.Fatal("a connection was lost")
		}
		<-c.changed
	}
}

// A door is a way to subscribe to the topic news.
type door struct {
	name, request string
	tls           bool
}

const upgradeHeader = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"

const (
	bareRequest   = "GET /ws?topic=news%s HTTP/1.1\r\nHost: localhost\r\n" + upgradeHeader + "\r\n"
	streamRequest = "GET /sse?topic=news%s HTTP/1.1\r\nHost: localhost\r\n\r\n"
)

var doors = []door{
	{"bare", bareRequest, false},
	{"belfry.v1", "GET /ws?topic=news%s HTTP/1.1\r\nHost: localhost\r\n" + upgradeHeader + "Sec-WebSocket-Protocol: belfry.v1\r\n\r\n", false},
	{"sse", streamRequest, false},
	{"sse-http2", "", false},
	{"bare-tls", bareRequest, true},
	{"sse-tls", streamRequest, true},
	{"sse-http2-tls", "", true}, // a connection for each, as browsers have them
}

// gather connects n subscribers through a door.
func (p *benchBroker) gather(b *testing.B, through door, n int, query string) *crowd {
	b.Helper()
	c := &crowd{changed: make(chan struct{}, 1)}
	b.Cleanup(func() {
		for _, conn := range c.conns {
			conn.Close()
		}
		c.running.Wait()
	})
	streams := p.streams(b)
	for range n {
		var from io.ReadCloser
		var err error
		if through.request == "" {
			if p.tls != nil {
				streams = p.streams(b)
			}
			from, err = openStream(b.Context(), streams, p.web("/sse?topic=news"+query))
		} else {
			from, err = p.openSocket(fmt.Sprintf(through.request, query))
		}
		if err != nil {
			b.Fatal(err)
		}
		c.conns = append(c.conns, from)
		c.running.Go(func() { c.read(from) })
	}
	return c
}

// streams speaks HTTP/2.
func (p *benchBroker) streams(b *testing.B) http.RoundTripper {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(p.tls == nil)
	protocols.SetHTTP2(p.tls != nil)
	t := &http.Transport{Protocols: protocols, TLSClientConfig: p.tls.Clone()}
	b.Cleanup(t.CloseIdleConnections)
	return t
}

func openStream(ctx context.Context, through http.RoundTripper, url string) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := through.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	return response.Body, nil
}

// openSocket returns a connection that has been answered.
func (p *benchBroker) openSocket(request string) (io.ReadCloser, error) {
	conn, err := net.Dial("tcp", p.addr)
	if err != nil {
		return nil, err
	}
	if p.tls != nil {
		conn = tls.Client(conn, p.tls)
	}
	_, err = io.WriteString(conn, request)
	for end := []byte{}; err == nil && !bytes.HasSuffix(end, []byte("\r\n\r\n")); {
		one := make([]byte, 1) // and no more: what follows is for the reader
		_, err = io.ReadFull(conn, one)
		end = append(end, one...)
	}
	return conn, err
}

// subscribed waits until the broker has so many connections.
func (p *benchBroker) subscribed(b *testing.B, n int) {
	b.Helper()
	for connected := 0; connected < n; {
		response, err := p.http.Get(p.web("/health"))
		if err != nil {
			b.Fatal(err)
		}
		var health struct{ Connected int }
		err = json.NewDecoder(response.Body).Decode(&health)
		response.Body.Close()
		if err != nil {
			b.Fatal(err)
		}
		connected = health.Connected
	}
}

// What a delivery costs on each transport: 1,000 subscribers, 4 events of 128
// bytes under way.
func BenchmarkFanout(b *testing.B) {
	const subscribers, window = 1000, 4
	for _, door := range doors {
		b.Run(door.name, func(b *testing.B) {
			p := door.start(b, "--protocols=http1+http2")
			c := p.gather(b, door, subscribers, "")
			p.subscribed(b, subscribers)
			before, events := p.cpu(b), int64(0)
			for b.Loop() {
				c.wait(b, (events-window+1)*subscribers)
				if err := p.publish("news"); err != nil {
					b.Fatal(err)
				}
				events++
			}
			c.wait(b, events*subscribers)
			b.ReportMetric(float64((p.cpu(b)-before).Nanoseconds())/1000/float64(events*subscribers), "cpu-µs/delivery")
		})
	}
}

// What 100 clients that read 100,000 events of the log cost, and what another
// that gets live events meanwhile feels.
func BenchmarkReplay(b *testing.B) {
	const readers, events = 100, 100_000
	for _, door := range doors {
		b.Run(door.name, func(b *testing.B) {
			p := door.start(b, "--protocols=http1+http2", "--history-events=1000000", "--history-bytes=268435456")
			var publishers sync.WaitGroup
			for range 4 {
				publishers.Go(func() {
					for range events / 4 {
						if err := p.publish("news"); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			publishers.Wait()
			query := "&after=" + p.start(b)
			calm := p.delays(b, func() { <-time.After(time.Second) })
			b.ResetTimer()
			for b.Loop() {
				before, cpu, memory := time.Now(), p.cpu(b), p.memory(b)
				busy := p.delays(b, func() { p.gather(b, door, readers, query).wait(b, readers*events) })
				b.ReportMetric(time.Since(before).Seconds(), "s")
				b.ReportMetric(float64((p.cpu(b)-cpu).Nanoseconds())/1000/(readers*events), "cpu-µs/delivery")
				b.ReportMetric(float64(p.memory(b)-memory)/(1<<20), "MiB")
				b.ReportMetric(quantile(calm, .99), "calm-p99-ms")
				b.ReportMetric(quantile(busy, .5), "busy-p50-ms")
				b.ReportMetric(quantile(busy, .99), "busy-p99-ms")
			}
		})
	}
}

// start returns the cursor before all events: that of a stream that begins with
// more than there can be.
func (p *benchBroker) start(b *testing.B) string {
	b.Helper()
	response, err := p.http.Get(p.web("/topics/news/events"))
	if err != nil {
		b.Fatal(err)
	}
	defer response.Body.Close()
	var page struct{ Cursor string }
	if err := json.NewDecoder(response.Body).Decode(&page); err != nil {
		b.Fatal(err)
	}
	return page.Cursor[:len(page.Cursor)/2] + strings.Repeat("0", len(page.Cursor)/2)
}

// delays publishes to a bystander while something is done, and returns the
// times from publish to arrival, in milliseconds.
func (p *benchBroker) delays(b *testing.B, while func()) (ms []float64) {
	b.Helper()
	bystander, err := p.openSocket("GET /ws?topic=live HTTP/1.1\r\nHost: localhost\r\n" + upgradeHeader + "\r\n")
	if err != nil {
		b.Fatal(err)
	}
	defer bystander.Close()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		ms, err = p.sample(bystander, stop)
	}()
	while()
	close(stop)
	if <-stopped; err != nil {
		b.Fatal(err)
	}
	return ms
}

func (p *benchBroker) sample(bystander io.Reader, stop <-chan struct{}) (ms []float64, err error) {
	frame := make([]byte, 4+len(message))
	for {
		select {
		case <-stop:
			return ms, nil
		case <-time.After(5 * time.Millisecond):
		}
		sent := time.Now()
		if err := p.publish("live"); err != nil {
			return ms, err
		}
		if _, err := io.ReadFull(bystander, frame); err != nil {
			return ms, err
		}
		ms = append(ms, time.Since(sent).Seconds()*1000)
	}
}

func quantile[T cmp.Ordered](all []T, q float64) (v T) {
	if len(all) == 0 {
		return v
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// What a quiet connection holds.
func BenchmarkIdle(b *testing.B) {
	const connections = 5000
	for _, door := range doors {
		b.Run(door.name, func(b *testing.B) {
			for b.Loop() {
				p := door.start(b, "--protocols=http1+http2")
				p.gather(b, door, 100, "")
				p.subscribed(b, 100)
				<-time.After(10 * time.Second) // for memory to be given back
				before := p.memory(b)
				p.gather(b, door, connections, "")
				p.subscribed(b, 100+connections)
				<-time.After(10 * time.Second)
				b.ReportMetric(float64(p.memory(b)-before)/connections/1024, "KiB/connection")
			}
		})
	}
}
