package operations_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"belfry/tests/harness"
)

// terminate begins the shutdown, and returns when the broker no longer accepts
// connections.
func terminate(b *harness.Broker, t *testing.T) {
	t.Helper()
	go b.Stop()
	deaf(b, t)
}

// ends shuts the broker down and checks that it ends in order.
func ends(b *harness.Broker, t *testing.T) {
	t.Helper()
	ended := make(chan int, 1)
	go func() { ended <- b.Stop() }()
	select {
	case status := <-ended:
		if status != 0 {
			t.Errorf("the exit status is %d", status)
		}
	case <-time.After(harness.Patience):
		t.Fatal("the program does not end")
	}
}

func deaf(b *harness.Broker, t *testing.T) {
	t.Helper()
	harness.Eventually(t, "new connections are refused", func() bool {
		conn, err := net.Dial("tcp", b.Addr)
		if err == nil {
			conn.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	})
}

func TestShutdown(t *testing.T) {
	t.Parallel()
	b := harness.Start(t)
	var peers []*harness.Peer
	for range 3 {
		peers = append(peers, b.Connect(t, b.Register(t, `{"user_id": 1}`)))
	}
	w := b.Wire(t, b.Register(t, `{"user_id": 2}`))
	b.Register(t, `{"user_id": 3}`)
	publish := b.SlowPublish(t, harness.Event("cats", "in flight"))
	b.Publish(t, harness.Event("cats", "before"))

	terminate(b, t)
	if got := publish.Finish(t); got.Matched != 5 || got.Queued != 4 {
		t.Errorf("the publish in flight: %+v", got)
	}

	for _, p := range peers {
		p.Expect(t, "before", "in flight")
		p.Closed(t, 1012, "draining")
	}
	w.Expect(t, "before", "in flight")
	w.Closed(t, 1012, "draining")
	ends(b, t)
}

// TestShutdownDeliversWhatWaits: a slow client that reads gets everything before its Close
// frame.
func TestShutdownDeliversWhatWaits(t *testing.T) {
	t.Parallel()
	b := harness.Start(t)
	slow := harness.SlowReader(t, b)
	const published = 90
	for i := range published {
		b.Publish(t, harness.Event("cats", harness.Padded(i+1)))
	}
	terminate(b, t)
	slow.ReadToClose(1012, "draining")
	slow.Send(t, harness.Farewell(1012, ""))
	slow.Ended(t)
	if slow.Last != published {
		t.Errorf("of %d events %d have come", published, slow.Last)
	}
	ends(b, t)
}

// TestShutdownDespiteOthers: a client that reads nothing and a publisher that sends
// nothing delay the shutdown no longer than their time-outs. All other time-outs are an
// hour.
func TestShutdownDespiteOthers(t *testing.T) {
	t.Parallel()
	b := harness.Start(t, "--close-timeout=50ms", "--drain=50ms")
	deaf := harness.SlowReader(t, b)
	quick := b.Connect(t, b.Register(t, `{"user_id": 2}`))
	const published = 90
	for i := range published {
		b.Publish(t, harness.Event("cats", harness.Padded(i+1)))
	}
	for i := range published {
		quick.Expect(t, harness.Padded(i+1))
	}
	publish := b.SlowPublish(t, harness.Event("cats", "never"))

	ends(b, t)
	quick.Closed(t, 1012, "draining")
	if rest, err := io.ReadAll(publish.Reread(t)); len(rest) > 0 {
		t.Errorf("the publish that was cut off was answered %q, %v", rest, err)
	}
	if _, err := io.Copy(io.Discard, deaf.Reread(t)); err == nil {
		t.Error("the client that read nothing was closed in order")
	}
}

// TestBinary: the shipped program, with real signals.
func TestBinary(t *testing.T) {
	t.Parallel()
	binary := filepath.Join(t.TempDir(), "belfry")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}

	t.Run("SIGTERM", func(t *testing.T) {
		b, process := startBinary(t, binary)
		p := b.Connect(t, b.Register(t, `{"user_id": 1}`))
		publish := b.SlowPublish(t, harness.Event("cats", "in flight"))
		process.signal(t, syscall.SIGTERM)
		deaf(b, t)
		if got := publish.Finish(t); got.Queued != 1 {
			t.Errorf("the publish in flight: %+v", got)
		}
		p.Expect(t, "in flight")
		p.Closed(t, 1012, "draining")
		if state := process.wait(t); state.ExitCode() != 0 {
			t.Errorf("the program ended with %v", state)
		}
	})

	t.Run("SIGTERM with clients of all kinds", func(t *testing.T) { testShutdownOfAllKinds(t, binary) })

	t.Run("SIGINT, then SIGTERM", func(t *testing.T) {
		b, process := startBinary(t, binary)
		publish := b.SlowPublish(t, harness.Event("cats", "never"))
		process.signal(t, syscall.SIGINT)
		deaf(b, t)
		// The program stops catching signals a moment after the first, so a later one ends
		// it. It is not SIGINT, which background jobs of a shell ignore.
		harness.Eventually(t, "the program has ended", func() bool {
			_ = process.Process.Signal(syscall.SIGTERM) // fails when it has ended
			return process.ended()
		})
		if state := process.wait(t); state.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
			t.Errorf("the program ended with %v", state)
		}
		if rest, _ := io.ReadAll(publish.Reread(t)); len(rest) > 0 {
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

func startBinary(t *testing.T, binary string, flags ...string) (*harness.Broker, *process) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 4*harness.Patience)
	p := &process{exec.CommandContext(ctx, binary, slices.Concat([]string{"--addr=127.0.0.1:0"}, harness.Unhurried, flags)...), make(chan struct{})}
	out, err := p.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	b := harness.NewBroker()
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
		b.HTTP.CloseIdleConnections()
	})
	select {
	case b.Addr = <-b.Listening:
	case <-p.done:
		t.Fatalf("the program has ended: %v", b.Log())
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
