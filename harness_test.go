package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"belfry/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(theTests{m}) }

// theTests are all tests of the package, and what they share.
type theTests struct{ *testing.M }

func (m theTests) Run() (status int) {
	// Most of them wait, for a process or for a time-out: more of them may run than
	// there are processors. -parallel says otherwise.
	if err := flag.Set("test.parallel", strconv.Itoa(2*runtime.GOMAXPROCS(0))); err != nil {
		panic(err)
	}
	defer chromium.end()
	return m.M.Run()
}

// unhurried are the program's time-outs where a test does not say otherwise: so
// long that no test depends on them, however busy the machine is. A test that is
// about one sets it.
var unhurried = []string{
	"--ping-interval=1h", "--pong-timeout=1h", "--heartbeat=1h", "--close-timeout=1m", "--resume-window=1h", "--dedupe-window=1h",
	"--publish-timeout=1m", "--header-timeout=1h", "--body-timeout=1h", "--write-timeout=1h", "--idle-timeout=1h", "--drain=1h",
}

// A testBroker is the program, running in this process on a free port.
type testBroker struct {
	addr string     // host:port
	unix string     // the path of a socket to reach it by, instead
	stop func() int // ends the program as SIGTERM does, and waits for its status
	http http.Client
	tls  *tls.Config // of clients; nil: there is no TLS

	listening chan string    // tells addr, once; of capacity 1
	hangups   chan os.Signal // has the program read its configuration again

	panics atomic.Int64 // that were logged, as all are that are counted

	mu   sync.Mutex
	logs []string
}

func newTestBroker() *testBroker {
	return &testBroker{
		http:      http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}, Timeout: patience},
		listening: make(chan string, 1),
		hangups:   make(chan os.Signal),
	}
}

// start runs the program with extra flags until the test ends. It logs at
// debug level, as lines of JSON.
func start(t *testing.T, flags ...string) *testBroker {
	t.Helper()
	if isOverTLS(t) {
		return startTLS(t, flags...)
	}
	b := newTestBroker()
	b.run(t, flags...)
	return b
}

// startAt runs the program by another clock.
func startAt(t *testing.T, clock func() time.Time, flags ...string) *testBroker {
	t.Helper()
	b := newTestBroker()
	b.runAs(t, func(ctx context.Context, args []string) int {
		command, err := config.ParseCommand(args, nil, "", io.Discard, b)
		if err != nil {
			return 2
		}
		again := func(running config.Config) (config.Config, []string, error) { return config.Reload(running, args, nil) }
		return runBroker(ctx, b.hangups, command.(config.Config), again, b, clock)
	}, flags...)
	return b
}

// run runs the program until the test ends.
func (b *testBroker) run(t *testing.T, flags ...string) {
	t.Helper()
	b.runAs(t, func(ctx context.Context, args []string) int {
		return run(ctx, b.hangups, args, nil, io.Discard, b)
	}, flags...)
}

func (b *testBroker) runAs(t *testing.T, program func(ctx context.Context, args []string) int, flags ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	status := make(chan int, 1)
	args := slices.Concat([]string{"--addr=127.0.0.1:0", "--log-level=debug", "--log-format=json"}, unhurried, flags)
	go func() { status <- program(ctx, args) }()
	b.stop = sync.OnceValue(func() int { cancel(); return <-status })
	select {
	case b.addr = <-b.listening:
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
		if n := b.panics.Load(); n != 0 {
			t.Errorf("the program has recovered from %d panics: %v", n, b.log())
		}
	})
}

// useTLS has all calls go over TLS.
func (b *testBroker) useTLS(client *tls.Config) {
	b.tls = client
	b.http.Transport.(*http.Transport).TLSClientConfig = client.Clone() // it adds protocols
}

// idleBroker returns a broker by the defaults that does not run.
func idleBroker(t *testing.T) *broker {
	t.Helper()
	cfg, err := config.Parse(nil, nil, "", io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	log := newLogger(logOptionsOf(cfg), io.Discard)
	t.Cleanup(log.close)
	b, err := newBroker(cfg, log, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Write takes a line that the program logs.
func (b *testBroker) Write(line []byte) (int, error) {
	b.mu.Lock()
	b.logs = append(b.logs, strings.TrimSuffix(string(line), "\n"))
	b.mu.Unlock()
	var entry struct{ Msg, Addr string }
	switch _ = json.Unmarshal(line, &entry); entry.Msg {
	case "listening":
		b.listening <- entry.Addr
	case panicMessage:
		b.panics.Add(1)
	}
	return len(line), nil
}

// log returns the lines logged so far.
func (b *testBroker) log() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.logs...)
}
