package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"belfry/api/auth"
)

// A slowPublish is a publish whose body has not arrived whole.
type slowPublish struct {
	*wire
	rest string
}

func (b *testBroker) slowPublish(t *testing.T, body string) slowPublish {
	t.Helper()
	w := b.socket(t, "POST /publish HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: "+strconv.Itoa(len(body))+"\r\n\r\n")
	if got := w.answer(t); got.status != http.StatusContinue { // somebody has begun to read the body
		t.Fatalf("got %d %s", got.status, got.body)
	}
	half := len(body) / 2
	w.send(t, body[:half])
	return slowPublish{w, body[half:]}
}

// finish sends the rest and returns the receipt.
func (p slowPublish) finish(t *testing.T) receipt {
	t.Helper()
	p.send(t, p.rest)
	var r receipt
	if got := p.answer(t); got.status != http.StatusOK {
		t.Errorf("got %d %s", got.status, got.body)
	} else if err := json.Unmarshal([]byte(got.body), &r); err != nil {
		t.Errorf("%v: %s", err, got.body)
	}
	return r
}

// terminate begins the broker's end, and returns when it takes no connections
// any more.
func (b *testBroker) terminate(t *testing.T) {
	t.Helper()
	go b.stop()
	b.deaf(t)
}

// ends has the broker end, and checks that it does so in order.
func (b *testBroker) ends(t *testing.T) {
	t.Helper()
	ended := make(chan int, 1)
	go func() { ended <- b.stop() }()
	select {
	case status := <-ended:
		if status != 0 {
			t.Errorf("the exit status is %d", status)
		}
	case <-time.After(patience):
		t.Fatal("the program does not end")
	}
}

func (b *testBroker) deaf(t *testing.T) {
	t.Helper()
	eventually(t, "new connections are refused", func() bool {
		conn, err := net.Dial("tcp", b.addr)
		if err == nil {
			conn.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	})
}

func TestShutdown(t *testing.T) {
	t.Parallel()
	b := start(t)
	var peers []*peer
	for range 3 {
		peers = append(peers, b.connect(t, b.register(t, `{"user_id": 1}`)))
	}
	w := b.wire(t, b.register(t, `{"user_id": 2}`))
	b.register(t, `{"user_id": 3}`)
	publish := b.slowPublish(t, event("cats", "in flight"))
	b.publish(t, event("cats", "before"))

	b.terminate(t)
	if got := publish.finish(t); got.Matched != 5 || got.Queued != 4 {
		t.Errorf("the publish in flight: %+v", got)
	}

	for _, p := range peers {
		p.expect(t, "before", "in flight")
		p.closed(t, 1012, "draining")
	}
	w.expect(t, "before", "in flight")
	w.closed(t, 1012, "draining")
	b.ends(t)
}

// TestShutdownDeliversWhatWaits: a client that is slow, but reads, gets
// everything before its Close frame.
func TestShutdownDeliversWhatWaits(t *testing.T) {
	t.Parallel()
	b := start(t)
	slow := slowReader(t, b)
	const published = 90
	for i := range published {
		b.publish(t, event("cats", padded(i+1)))
	}
	b.terminate(t)
	slow.readToClose(1012, "draining")
	slow.send(t, farewell(1012, ""))
	slow.ended(t)
	if slow.last != published {
		t.Errorf("of %d events %d have come", published, slow.last)
	}
	b.ends(t)
}

// TestShutdownDespiteOthers: neither a client that reads nothing nor a publisher
// that sends nothing holds up the end for longer than they may: all other time-outs
// are an hour.
func TestShutdownDespiteOthers(t *testing.T) {
	t.Parallel()
	b := start(t, "--close-timeout=50ms", "--drain=50ms")
	deaf := slowReader(t, b)
	quick := b.connect(t, b.register(t, `{"user_id": 2}`))
	const published = 90
	for i := range published {
		b.publish(t, event("cats", padded(i+1)))
	}
	for i := range published {
		quick.expect(t, padded(i+1))
	}
	publish := b.slowPublish(t, event("cats", "never"))

	b.ends(t)
	quick.closed(t, 1012, "draining")
	if rest, err := io.ReadAll(publish.reader(t)); len(rest) > 0 {
		t.Errorf("the publish that was cut off was answered %q, %v", rest, err)
	}
	if _, err := io.Copy(io.Discard, deaf.reader(t)); err == nil {
		t.Error("the client that read nothing was closed in order")
	}
}

// TestReady: /health/ready says no before the broker takes events and after.
// It is asked without a socket: the end closes the listener in the same moment.
func TestReady(t *testing.T) {
	t.Parallel()
	everybody, err := auth.New(auth.Options{Open: true})
	if err != nil {
		t.Fatal(err)
	}
	b := idleBroker(t)
	b.guard.Store(everybody)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { b.hub.Run(ctx) })
	running.Go(func() { b.transport.Run(ctx) })
	defer running.Wait()
	defer cancel()
	call := func(method, target, body string) answer {
		w := httptest.NewRecorder()
		b.http.Handler.ServeHTTP(w, httptest.NewRequest(method, target, strings.NewReader(body)))
		return answer{w.Code, w.Header(), w.Body.String()}
	}

	call("GET", "/health/ready", "").problem(t, 503, "not_ready")
	b.ready.Store(true)
	if got := call("GET", "/health/ready", ""); got.status != 200 {
		t.Errorf("a broker that serves answers %d %s", got.status, got.body)
	}
	b.shutDown()
	call("GET", "/health/ready", "").problem(t, 503, "not_ready")
	call("POST", "/publish", event("cats", "too late")).problem(t, 503, "draining")
	call("POST", "/register", `{"user_id": 1}`).problem(t, 503, "draining")
	if got := call("GET", "/health", ""); got.status != 200 {
		t.Errorf("a broker that drains answers %d %s", got.status, got.body)
	}
}

// TestBinary: the program as it is shipped, with real signals.
func TestBinary(t *testing.T) {
	t.Parallel()
	binary := filepath.Join(t.TempDir(), "belfry")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}

	t.Run("SIGTERM", func(t *testing.T) {
		b, process := startBinary(t, binary)
		p := b.connect(t, b.register(t, `{"user_id": 1}`))
		publish := b.slowPublish(t, event("cats", "in flight"))
		process.signal(t, syscall.SIGTERM)
		b.deaf(t)
		if got := publish.finish(t); got.Queued != 1 {
			t.Errorf("the publish in flight: %+v", got)
		}
		p.expect(t, "in flight")
		p.closed(t, 1012, "draining")
		if state := process.wait(t); state.ExitCode() != 0 {
			t.Errorf("the program ended with %v", state)
		}
	})

	t.Run("SIGTERM with clients of all kinds", func(t *testing.T) { testShutdownOfAllKinds(t, binary) })

	t.Run("SIGINT, then SIGTERM", func(t *testing.T) {
		b, process := startBinary(t, binary)
		publish := b.slowPublish(t, event("cats", "never"))
		process.signal(t, syscall.SIGINT)
		b.deaf(t)
		// The program gives up catching signals a moment after the first: one of
		// those that follow ends it. It is not SIGINT, which a shell has its
		// background jobs ignore.
		eventually(t, "the program has ended", func() bool {
			_ = process.Process.Signal(syscall.SIGTERM) // fails when it has ended
			return process.ended()
		})
		if state := process.wait(t); state.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
			t.Errorf("the program ended with %v", state)
		}
		if rest, _ := io.ReadAll(publish.reader(t)); len(rest) > 0 {
			t.Errorf("the publish was answered %q", rest)
		}
	})

	t.Run("SIGHUP", func(t *testing.T) { testHangup(t, binary) })
	t.Run("a log that nobody reads", func(t *testing.T) { testStuckLog(t, binary) })
	t.Run("commands that nobody waits for", func(t *testing.T) { testForsakenCommands(t, binary) })
	t.Run("a log whose reader has gone", func(t *testing.T) { testLostReader(t, binary) })

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, test := range []struct {
		args    string
		environ string
		status  int
		want    string // in the output
	}{
		{"--help", "", 0, "--resume-window="},
		{"--version", "", 0, "belfry "},
		{"--addr=" + taken.Addr().String(), "", 1, "address already in use"},
		{"--insecure --addr=nowhere.invalid:0", "", 1, "cannot serve"},
		{"--addr=:0", "", 2, "belfry key create"},
		{"--addr=127.0.0.1:0 --admin-addr=0.0.0.0:0", "", 2, "admin_addr=0.0.0.0:0 lets other machines in"},
		{"--addr=8000", "", 2, "--addr"},
		{"--resume-window=soon", "", 2, "--resume-window"},
		{"--max-message=0 --couriers=-1", "", 2, "--couriers"},
		{"--max-message=0 --couriers=-1", "", 2, "--max-message"},
		{"--no-such-flag", "", 2, "--no-such-flag"},
		{"no-such-command", "", 2, "no-such-command"},
		{"--default-topics=a..b", "", 2, `topic "a..b"`},
		{"--default-topics=$canary", "", 2, "default_topics"},
		{"", "BELFRY_PING_INTERVAL=1", 2, "BELFRY_PING_INTERVAL"},
	} {
		cmd := exec.Command(binary, strings.Fields(test.args)...)
		cmd.Env = append(os.Environ(), test.environ)
		out, _ := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != test.status || !bytes.Contains(out, []byte(test.want)) {
			t.Errorf("belfry %s: %v, want status %d and %q:\n%s", test.args, cmd.ProcessState, test.status, test.want, out)
		}
	}
}

// A process is the program running as one of its own.
type process struct {
	*exec.Cmd
	done chan struct{} // closed when it has ended
}

func startBinary(t *testing.T, binary string, flags ...string) (*testBroker, *process) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 4*patience)
	p := &process{exec.CommandContext(ctx, binary, slices.Concat([]string{"--addr=127.0.0.1:0"}, unhurried, flags)...), make(chan struct{})}
	out, err := p.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	b := newTestBroker()
	go func() {
		defer close(p.done)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			b.Write(lines.Bytes())
		}
		_ = p.Wait() // how it ended is for the test to judge
	}()
	t.Cleanup(func() {
		cancel()
		<-p.done
		b.http.CloseIdleConnections()
	})
	select {
	case b.addr = <-b.listening:
	case <-p.done:
		t.Fatalf("the program has ended: %v", b.log())
	}
	return b, p
}

func (p *process) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := p.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// wait returns how the process has ended.
func (p *process) wait(t *testing.T) *os.ProcessState {
	t.Helper()
	<-p.done
	return p.ProcessState
}
