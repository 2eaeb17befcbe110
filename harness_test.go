package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A testBroker is the program, running in this process on a free port.
type testBroker struct {
	addr string     // host:port
	stop func() int // ends the program as SIGTERM does, and waits for its status
	http http.Client

	mu   sync.Mutex
	logs []string
}

// start runs the program with extra flags until the test ends. It logs at
// debug level, as lines of JSON.
func start(t *testing.T, flags ...string) *testBroker {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out, in := io.Pipe()
	status := make(chan int, 1)
	args := append([]string{"--addr=127.0.0.1:0", "--log-level=debug", "--log-format=json"}, flags...)
	go func() {
		status <- run(ctx, args, nil, io.Discard, in)
		in.Close()
	}()
	b := &testBroker{http: http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}, Timeout: patience}}
	b.stop = sync.OnceValue(func() int { cancel(); return <-status })
	listening := make(chan string, 1)
	go b.follow(out, listening)
	select {
	case b.addr = <-listening:
	case s := <-status:
		t.Fatalf("the program ended with status %d: %v", s, b.log())
	case <-time.After(patience):
		t.Fatal("the program does not listen")
	}
	t.Cleanup(func() {
		b.http.CloseIdleConnections()
		if s := b.stop(); s != 0 {
			t.Errorf("the program ended with status %d", s)
		}
	})
	return b
}

// follow keeps the log and tells the address that it names.
func (b *testBroker) follow(r io.Reader, listening chan<- string) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		b.mu.Lock()
		b.logs = append(b.logs, lines.Text())
		b.mu.Unlock()
		var line struct{ Msg, Addr string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "listening" {
			listening <- line.Addr
		}
	}
}

// log returns the lines logged so far.
func (b *testBroker) log() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.logs...)
}
