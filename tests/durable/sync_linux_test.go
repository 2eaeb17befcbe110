package durable_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"belfry/tests/harness"
)

// TestSynced: by what the kernel sees, no receipt and no event leaves before the disk has
// synced twice after the publish came: the events, and then what makes them count.
func TestSynced(t *testing.T) {
	t.Parallel()
	strace := harness.Installed(t, "strace")
	binary, trace := build(t), filepath.Join(t.TempDir(), "trace")
	cmd := exec.Command(strace, slices.Concat([]string{"-f", "-qq", "-e", "trace=read,write,fdatasync", "-s", "64", "-o", trace,
		binary, "--addr=127.0.0.1:0", "--log-level=info"}, harness.Unhurried, kept(t.TempDir(), "--close-timeout=100ms"))...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	b, done := harness.NewBroker(), make(chan struct{})
	go func() {
		defer close(done)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			b.Write(lines.Bytes())
		}
		_ = cmd.Wait() // it was told to end
	}()
	t.Cleanup(func() {
		b.HTTP.CloseIdleConnections()
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // if it has not ended
		<-done
	})
	select {
	case b.Addr = <-b.Listening:
	case <-done:
		t.Skipf("left out: strace may not trace here: %v", b.Log())
	}
	const publishes = 20
	s := b.Stream(t, "/sse?topic=cats")
	for n := range publishes {
		b.Publish(t, harness.Event("cats", fmt.Sprint("number ", n)))
		s.Expect("message", fmt.Sprint("number ", n))
	}
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-done
	checkTrace(t, trace, publishes)
}

// The server may read the first byte of a request apart.
var (
	synced   = regexp.MustCompile(`fdatasync(\(\d+\)| resumed>\)) += 0`)
	asked    = regexp.MustCompile(`"P?OST /publish`)
	answered = regexp.MustCompile(`write\(\d+, "HTTP/1\.1 200 OK`)
	told     = regexp.MustCompile(`write\(\d+, "[0-9a-f]+\\r\\ndata: number `)
)

// checkTrace reads what the kernel has seen of publishes, one after another.
func checkTrace(t *testing.T, name string, publishes int) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	syncs, receipts, events, under := 0, 0, 0, false
	for line := range strings.Lines(string(text)) {
		switch {
		case asked.MatchString(line):
			syncs, under = 0, true
		case synced.MatchString(line):
			syncs++
		case answered.MatchString(line) && under:
			if receipts++; syncs < 2 {
				t.Errorf("a receipt leaves after %d syncs: %s", syncs, line)
			}
			under = false
		case told.MatchString(line):
			if events++; syncs < 2 {
				t.Errorf("an event leaves after %d syncs: %s", syncs, line)
			}
		}
	}
	if receipts != publishes || events != publishes {
		t.Errorf("%d receipts and %d events were seen, of %d publishes", receipts, events, publishes)
	}
}
