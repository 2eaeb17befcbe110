package hostile_test

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"belfry/tests/harness"
)

var abuseWaves = flag.Int("abuse.waves", 2, "have so many waves of hundreds of connections do what no client should")

// TestAbuse: more than a thousand connections misbehave, hundreds at a time. A client that
// behaves well does not notice. In the end all resources are given back. make abuse runs
// many more.
//
// The test is not parallel: it counts what the whole process holds.
func TestAbuse(t *testing.T) {
	const ofAKind = 30
	b := harness.Start(t, "--header-timeout=4s", "--close-timeout=200ms", "--resume-window=500ms", "--history-age=1s", "--client-queue-bytes=131072")
	good := b.Connect(t, b.Register(t, `{"user_id": "good", "topic": "good"}`))
	good.Sync(t)
	before := abuseHoldings(t, b)
	if before.connections != 1 || before.wires != 2 {
		t.Fatalf("one client holds %+v", before)
	}

	var opened atomic.Int32
	var patient sync.WaitGroup // abusers that outlast their wave
	noise := makeNoise(t, b)
	for wave := range *abuseWaves {
		abuseWave(t, b, wave, ofAKind, &patient, &opened)
	}
	patient.Wait()

	events := noise()
	for i := range events {
		good.Expect(t, fmt.Sprint(i+1))
	}
	good.Silent(t)
	if least := *abuseWaves * ofAKind * len(abuses); int(opened.Load()) < least || events < 10 {
		t.Errorf("%d connections of %d kinds and %d events: more was meant", opened.Load(), len(abuses), events)
	}
	var after holdings
	limit := time.Now().Add(harness.Patience)
	for after = abuseHoldings(t, b); after != before && time.Now().Before(limit); {
		after = abuseHoldings(t, b)
	}
	if after != before {
		stacks := make([]byte, 1<<20)
		t.Errorf("before %+v\nafter  %+v\n%s", before, after, stacks[:runtime.Stack(stacks, true)])
	}
	b.Stop()
	for _, line := range b.Log() {
		if strings.Contains(line, `"level":"error"`) {
			t.Error(line)
		}
	}
}

const slowConsumers = `belfry_disconnects_total{reason="slow_consumer"}`

// abuseWave runs abusers of all kinds, and waits for all but the patient ones.
func abuseWave(t *testing.T, b *harness.Broker, wave, ofAKind int, patient *sync.WaitGroup, opened *atomic.Int32) {
	slow := b.Metric(t, slowConsumers)
	cut := make(chan struct{})
	var running sync.WaitGroup
	defer running.Wait()
	defer close(cut)
	for kind, abuse := range abuses {
		group := &running
		if abuse.patient {
			group = patient
		}
		for i := range ofAKind {
			group.Go(func() {
				number := (wave*len(abuses)+kind)*ofAKind + i
				a := &abuser{b: b, from: net.IPv4(127, 0, byte(number/250), byte(2+number%250)), slowAreCut: cut}
				if err := abuse.do(a); err != nil {
					t.Errorf("%s: %v", abuse.name, err)
				}
				a.leave()
				opened.Add(int32(len(a.conns)))
			})
		}
	}
	harness.Eventually(t, "those that do not read are cut", func() bool { return b.Metric(t, slowConsumers) >= slow+float64(ofAKind) })
}

// makeNoise publishes numbers to the topic good and much else to the topic
// noise, until stop is called, which returns the last number.
func makeNoise(t *testing.T, b *harness.Broker) (stop func() int) {
	end := make(chan struct{})
	last := make(chan int, 1)
	filler := harness.Event("noise", strings.Repeat("noise ", 1500))
	go func() {
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for n := 1; ; n++ {
			for _, body := range []string{harness.Event("good", strconv.Itoa(n)), filler} {
				if got, err := b.Do("POST", "/publish", body); err != nil || got.Status != http.StatusOK {
					t.Errorf("publishing: %v %+v", err, got)
				}
			}
			select {
			case <-tick.C:
			case <-end:
				last <- n
				return
			}
		}
	}()
	stop = sync.OnceValue(func() int { close(end); return <-last })
	t.Cleanup(func() { stop() })
	return stop
}

// holdings is what a broker, its clients and the kernel hold.
type holdings struct {
	goroutines int
	sockets    int // of this process
	wires      int // ends of TCP connections to the broker that are not closed on both sides
	harness.Census
	connections, patterns float64
}

// abuseHoldings counts at a moment when nothing has changed for a while.
func abuseHoldings(t *testing.T, b *harness.Broker) (h holdings) {
	t.Helper()
	h.Census = b.Census(t)
	h.connections, h.patterns = b.Metric(t, "belfry_connections"), b.Metric(t, "belfry_patterns")
	b.HTTP.CloseIdleConnections()
	for same := 0; same < 20; same++ {
		goroutines, sockets := runtime.NumGoroutine(), countSockets(t)
		if goroutines != h.goroutines || sockets != h.sockets {
			h.goroutines, h.sockets, same = goroutines, sockets, 0
		}
		<-time.After(time.Millisecond)
	}
	h.wires = countWires(t, b.Addr)
	return h
}

// countSockets counts the sockets that this process has open.
func countSockets(t *testing.T) (n int) {
	t.Helper()
	files, err := filepath.Glob("/proc/self/fd/*")
	if err != nil || len(files) == 0 {
		t.Skip("left out: without /proc nobody tells what is open")
	}
	for _, f := range files {
		if name, err := os.Readlink(f); err == nil && strings.HasPrefix(name, "socket:") {
			n++
		}
	}
	return n
}

// countWires counts the ends of connections to an address that the kernel
// knows of, whether a process still has them or not.
func countWires(t *testing.T, addr string) (n int) {
	t.Helper()
	const listening, timeWait = "0A", "06"
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(addr)
	number, _ := strconv.Atoi(port)
	suffix := fmt.Sprintf(":%04X", number)
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		if f[3] != listening && f[3] != timeWait && (strings.HasSuffix(f[1], suffix) || strings.HasSuffix(f[2], suffix)) {
			n++
		}
	}
	return n
}

// An abuser has an address of its own, so that ports do not run out.
type abuser struct {
	b          *harness.Broker
	from       net.IP
	slowAreCut <-chan struct{} // closed when nobody is left who does not read
	conns      []*abuseConn
}

type abuseConn struct {
	*net.TCPConn
	in *bufio.Reader
}

// calls bounds the HTTP calls that abusers make at the same time.
var calls = make(chan struct{}, 8)

func (a *abuser) call(method, target, body string) (harness.Answer, error) {
	calls <- struct{}{}
	defer func() { <-calls }()
	got, err := a.b.Do(method, target, body)
	if err == nil && got.Status != http.StatusOK {
		err = fmt.Errorf("%s %s: %+v", method, target, got)
	}
	return got, err
}

// register returns the path of a new client.
func (a *abuser) register(topics string) (path string, err error) {
	got, err := a.call("POST", "/register", `{"user_id": 1, "topics": `+topics+`}`)
	if err != nil {
		return "", err
	}
	_, path, _ = strings.Cut(got.Body, `"path":"`)
	path, _, ok := strings.Cut(path, `"`)
	if !ok {
		return "", fmt.Errorf("no path in %s", got.Body)
	}
	return path, nil
}

func (a *abuser) unregister(path string) error {
	_, err := a.call("DELETE", strings.Replace(path, "/ws/", "/register/", 1), "")
	return err
}

// dial opens a connection and writes to it.
func (a *abuser) dial(first string) (*abuseConn, error) {
	d := net.Dialer{Timeout: harness.Patience, LocalAddr: &net.TCPAddr{IP: a.from}, Control: func(_, _ string, c syscall.RawConn) (err error) {
		failed := c.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096) })
		return errors.Join(failed, err)
	}}
	nc, err := d.Dial("tcp", a.b.Addr)
	if err != nil {
		return nil, err
	}
	c := &abuseConn{nc.(*net.TCPConn), bufio.NewReader(nc)}
	a.conns = append(a.conns, c)
	if err := c.SetDeadline(time.Now().Add(harness.Patience)); err != nil {
		return nil, err
	}
	_, err = io.WriteString(c, first)
	return c, err
}

// open opens the WebSocket of a client.
func (a *abuser) open(path string) (*abuseConn, error) {
	c, err := a.dial(harness.Opening(path))
	if err != nil {
		return nil, err
	}
	return c, c.accepted()
}

// fresh opens the WebSocket of a new client and writes to it.
func (a *abuser) fresh(first ...string) (*abuseConn, error) {
	path, err := a.register(`["cats", "dogs.*"]`)
	if err != nil {
		return nil, err
	}
	c, err := a.open(path)
	if err != nil {
		return nil, err
	}
	_, err = io.WriteString(c, strings.Join(first, ""))
	return c, err
}

// leave cuts the remaining connections.
func (a *abuser) leave() {
	for _, c := range a.conns {
		_ = c.SetLinger(0) // fails only for what is cut already
		c.Close()
	}
}

func (c *abuseConn) accepted() error {
	res, err := http.ReadResponse(c.in, nil)
	if err == nil && res.StatusCode != http.StatusSwitchingProtocols {
		err = fmt.Errorf("the handshake was answered %s", res.Status)
	}
	return err
}

// ended waits for the broker to end the connection and reports which Close
// codes it sent before.
func (c *abuseConn) ended(want ...int) error {
	var codes []int
	for {
		op, payload, err := harness.ReadFrame(c.in)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return fmt.Errorf("the broker does not end the connection; it sent the Close codes %v", codes)
		case err != nil && !slices.Equal(codes, want):
			return fmt.Errorf("the broker sent the Close codes %v, then %w; want %v", codes, err, want)
		case err != nil:
			return nil
		case op == harness.Closing && len(payload) >= 2:
			codes = append(codes, int(payload[0])<<8|int(payload[1]))
		}
	}
}

// abuses are the ways to misbehave. Connections that would end by themselves are cut.
var abuses = []struct {
	name    string
	patient bool
	do      func(a *abuser) error
}{
	{"cut in the handshake", false, func(a *abuser) error {
		_, err := a.dial(harness.Opening("/ws/0123")[:100])
		return err
	}},
	{"silent in the handshake", true, func(a *abuser) error {
		c, err := a.dial(harness.Opening("/ws/0123")[:100])
		if err != nil {
			return err
		}
		if _, err = io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		return nil
	}},
	{"handshake byte by byte, then gone", false, func(a *abuser) error {
		path, err := a.register(`["cats"]`)
		if err != nil {
			return err
		}
		c, err := a.dial("")
		if err != nil {
			return err
		}
		whole := harness.Opening(path)
		for i := range len(whole) - 1 {
			if _, err := io.WriteString(c, whole[i:i+1]); err != nil {
				break // the broker has waited long enough
			}
		}
		return a.unregister(path)
	}},
	{"reset before the answer to the handshake", false, func(a *abuser) error {
		path, err := a.register(`["cats"]`)
		if err != nil {
			return err
		}
		_, err = a.dial(harness.Opening(path))
		a.leave()
		return errors.Join(err, a.unregister(path))
	}},
	{"reset right after the handshake", false, func(a *abuser) error {
		_, err := a.fresh()
		return err
	}},
	{"all at once", false, func(a *abuser) error {
		path, err := a.register(`["cats"]`)
		if err != nil {
			return err
		}
		c, err := a.dial(harness.Opening(path) + harness.Say("early") + harness.Farewell(1000, ""))
		if err != nil {
			return err
		}
		if err := c.accepted(); err != nil {
			return err
		}
		return c.ended(1000)
	}},
	{"cut in a frame", false, func(a *abuser) error {
		_, err := a.fresh(harness.Say(strings.Repeat("x", 1000))[:500])
		return err
	}},
	{"rubbish", false, func(a *abuser) error {
		c, err := a.fresh(strings.Repeat("\xff", 5000))
		if err != nil {
			return err
		}
		return c.ended(1002)
	}},
	{"pings without end", false, func(a *abuser) error {
		c, err := a.fresh(strings.Repeat(harness.Masked(harness.Final|harness.Ping, ""), 200))
		if err != nil {
			return err
		}
		return c.ended(1008)
	}},
	{"never reads", false, func(a *abuser) error {
		path, err := a.register(`["noise"]`)
		if err == nil {
			_, err = a.open(path)
		}
		<-a.slowAreCut
		return err
	}},
	{"does not answer a Close frame", false, func(a *abuser) error {
		path, err := a.register(`["cats"]`)
		if err != nil {
			return err
		}
		c, err := a.open(path)
		if err != nil {
			return err
		}
		if err := a.unregister(path); err != nil {
			return err
		}
		return c.ended(4000)
	}},
	{"closes twice", false, func(a *abuser) error {
		c, err := a.fresh(harness.Farewell(1000, ""), harness.Farewell(1000, "again"))
		if err != nil {
			return err
		}
		return c.ended(1000)
	}},
	{"sends on after its Close frame", false, func(a *abuser) error {
		c, err := a.fresh(harness.Farewell(1001, ""))
		if err != nil {
			return err
		}
		for err == nil { // until it is told
			_, err = io.WriteString(c, harness.Say(strings.Repeat("x", 1000)))
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		return nil
	}},
	{"half open", false, func(a *abuser) error {
		c, err := a.fresh()
		if err != nil {
			return err
		}
		if err := c.CloseWrite(); err != nil {
			return err
		}
		return c.ended()
	}},
	{"takes over again and again", false, func(a *abuser) error {
		path, err := a.register(`["cats"]`)
		if err != nil {
			return err
		}
		var c *abuseConn
		for range 8 {
			if c, err = a.open(path); err != nil {
				return err
			}
		}
		return c.ended(4002)
	}},
}
