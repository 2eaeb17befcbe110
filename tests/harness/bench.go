package harness

import (
	"bufio"
	"cmp"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Benchmarks over real sockets: the program runs as a process of its own, and
// what is told is what it uses, not how fast this program reads.

// mark is in each message once.
const mark = "~mark~"

// Message has 128 bytes.
var Message = mark + strings.Repeat("x", 128-len(mark))

// A BenchBroker is the program, running as a process of its own.
type BenchBroker struct {
	Addr string
	pid  int
	HTTP http.Client
	tls  *tls.Config // of clients; nil: there is no TLS
}

// startBench starts the program for what comes through a door.
func (d Door) Start(b *testing.B, flags ...string) *BenchBroker {
	b.Helper()
	if !d.TLS {
		return StartBench(b, flags...)
	}
	p := StartBench(b, append(anyCertificate().write(b, b.TempDir()), flags...)...)
	p.tls = anyCertificate().Trusting()
	p.HTTP.Transport.(*http.Transport).TLSClientConfig = p.tls.Clone()
	return p
}

// web returns where something of the broker is.
func (p *BenchBroker) web(path string) string {
	if p.tls != nil {
		return "https://" + p.Addr + path
	}
	return "http://" + p.Addr + path
}

func StartBench(b testing.TB, flags ...string) *BenchBroker {
	b.Helper()
	return StartProcess(b, ".", append([]string{"--addr=127.0.0.1:0", "--log-format=json", "--ping-interval=1h"}, flags...)...)
}

// StartProcess builds a program and starts it. It logs where it listens as the
// broker does.
func StartProcess(b testing.TB, dir string, args ...string) *BenchBroker {
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
	broker := &BenchBroker{pid: cmd.Process.Pid, HTTP: http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}}
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
		broker.HTTP.CloseIdleConnections()
		_ = cmd.Process.Kill()
		<-ended
	})
	select {
	case broker.Addr = <-listening:
	case <-ended:
		b.Fatal("the program does not start")
	}
	return broker
}

// CPU returns what the process has used so far.
func (p *BenchBroker) CPU(b *testing.B) time.Duration {
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

// Memory returns the resident size of the process, in bytes.
func (p *BenchBroker) Memory(b testing.TB) int {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.pid))
	if err != nil {
		b.Skip(err)
	}
	pages, _ := strconv.Atoi(strings.Fields(string(text))[1])
	return pages * os.Getpagesize()
}

func (p *BenchBroker) Publish(topic string) error {
	body := fmt.Sprintf(`{"topic": %q, "message": %q}`, topic, Message)
	response, err := p.HTTP.Post(p.web("/publish"), "application/json", strings.NewReader(body))
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

// Subscribed waits until the broker has so many connections.
func (p *BenchBroker) Subscribed(b *testing.B, n int) {
	b.Helper()
	for connected := 0; connected < n; {
		response, err := p.HTTP.Get(p.web("/health"))
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

// Start returns the cursor before all events: that of a stream that begins with
// more than there can be.
func (p *BenchBroker) Start(b *testing.B) string {
	b.Helper()
	response, err := p.HTTP.Get(p.web("/topics/news/events"))
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

// Delays publishes to a bystander while something is done, and returns the
// times from publish to arrival, in milliseconds.
func (p *BenchBroker) Delays(b *testing.B, while func()) (ms []float64) {
	b.Helper()
	bystander, err := p.OpenSocket("GET /ws?topic=live HTTP/1.1\r\nHost: localhost\r\n" + UpgradeHeader + "\r\n")
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

func (p *BenchBroker) sample(bystander io.Reader, stop <-chan struct{}) (ms []float64, err error) {
	frame := make([]byte, 4+len(Message))
	for {
		select {
		case <-stop:
			return ms, nil
		case <-time.After(5 * time.Millisecond):
		}
		sent := time.Now()
		if err := p.Publish("live"); err != nil {
			return ms, err
		}
		if _, err := io.ReadFull(bystander, frame); err != nil {
			return ms, err
		}
		ms = append(ms, time.Since(sent).Seconds()*1000)
	}
}

func Quantile[T cmp.Ordered](all []T, q float64) (v T) {
	if len(all) == 0 {
		return v
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// Post publishes a body of some type.
func (p *BenchBroker) Post(kind string, body io.Reader) error {
	response, err := p.HTTP.Post("http://"+p.Addr+"/publish", kind, body)
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

// WatchFigures subscribes to the figures until the benchmark ends.
func (p *BenchBroker) WatchFigures(b *testing.B) {
	b.Helper()
	conn, err := p.OpenSocket("GET /ws?topic=$stats HTTP/1.1\r\nHost: localhost\r\n" + UpgradeHeader + "Sec-WebSocket-Protocol: belfry.v1\r\n\r\n")
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _, _ = io.Copy(io.Discard, conn) }()
	b.Cleanup(func() { conn.Close(); <-done })
}

// Feel publishes for a while as a client that behaves well. It returns the times from
// publish to arrival, in milliseconds, and how many publishes were refused. Everything
// else arrives.
func (p *BenchBroker) Feel(t *testing.T, good io.Reader, d time.Duration) (ms []float64, failed int) {
	t.Helper()
	frame := make([]byte, 4+len(Message))
	for end := time.Now().Add(d); time.Now().Before(end); <-time.After(5 * time.Millisecond) {
		sent := time.Now()
		if p.Publish("live") != nil {
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

// Series returns the value of a series of /metrics.
func (p *BenchBroker) Series(t *testing.T, name string) float64 {
	t.Helper()
	response, err := p.HTTP.Get("http://" + p.Addr + "/metrics")
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
