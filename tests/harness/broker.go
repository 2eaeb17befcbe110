// Package harness runs the broker in the test's process, and has what tests of the whole
// program need: peers of all kinds, certificates, tokens, other people's clients.
package harness

import (
	"belfry/cli/app"
	"belfry/cli/serve"
	"belfry/config"
	"context"
	"crypto/tls"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// Main runs the tests of a package, from the module's folder. They fail if a goroutine is left.
func Main(m *testing.M) {
	if err := os.Chdir(Root); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(theTests{m})
}

// Root is the module's folder.
var Root = func() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}()

// theTests are all tests of a package, and what they share.
type theTests struct{ *testing.M }

func (m theTests) Run() (status int) {
	// Most of them wait, for a process or for a time-out: more of them may run than
	// there are processors. -parallel says otherwise.
	if err := flag.Set("test.parallel", strconv.Itoa(2*runtime.GOMAXPROCS(0))); err != nil {
		panic(err)
	}
	defer Chromium.end()
	return m.M.Run()
}

// Unhurried are the program's time-outs where a test does not say otherwise: so
// long that no test depends on them, however busy the machine is. A test that is
// about one sets it.
var Unhurried = []string{
	"--ping-interval=1h", "--pong-timeout=1h", "--heartbeat=1h", "--close-timeout=1m", "--resume-window=1h", "--dedupe-window=1h",
	"--publish-timeout=1m", "--header-timeout=1h", "--body-timeout=1h", "--write-timeout=1h", "--idle-timeout=1h", "--drain=1h",
}

// A Broker is the program, running in this process on a free port.
type Broker struct {
	Addr string     // host:port
	Unix string     // the path of a socket to reach it by, instead
	Stop func() int // ends the program as SIGTERM does, and waits for its status
	HTTP http.Client
	TLS  *tls.Config // of clients; nil: there is no TLS

	Listening chan string    // tells addr, once; of capacity 1
	hangups   chan os.Signal // has the program read its configuration again

	panics atomic.Int64 // that were logged, as all are that are counted

	mu   sync.Mutex
	logs []string
}

func NewBroker() *Broker {
	return &Broker{
		HTTP:      http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}, Timeout: Patience},
		Listening: make(chan string, 1),
		hangups:   make(chan os.Signal),
	}
}

// Start runs the program with extra flags until the test ends. It logs at
// debug level, as lines of JSON.
func Start(t *testing.T, flags ...string) *Broker {
	t.Helper()
	if IsOverTLS(t) {
		return StartTLS(t, flags...)
	}
	b := NewBroker()
	b.Run(t, flags...)
	return b
}

// StartAt runs the program by another clock.
func StartAt(t *testing.T, clock func() time.Time, flags ...string) *Broker {
	t.Helper()
	b := NewBroker()
	b.runAs(t, func(ctx context.Context, args []string) int {
		command, err := config.ParseCommand(args, nil, "", io.Discard, b)
		if err != nil {
			return 2
		}
		again := func(running config.Config) (config.Config, []string, error) { return config.Reload(running, args, nil) }
		return serve.Run(ctx, b.hangups, command.(config.Config), again, b, clock)
	}, flags...)
	return b
}

// Run runs the program until the test ends.
func (b *Broker) Run(t *testing.T, flags ...string) {
	t.Helper()
	b.runAs(t, func(ctx context.Context, args []string) int {
		return app.Run(ctx, b.hangups, args, nil, io.Discard, b)
	}, flags...)
}

func (b *Broker) runAs(t *testing.T, program func(ctx context.Context, args []string) int, flags ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	status := make(chan int, 1)
	args := slices.Concat([]string{"--addr=127.0.0.1:0", "--log-level=debug", "--log-format=json"}, Unhurried, flags)
	go func() { status <- program(ctx, args) }()
	b.Stop = sync.OnceValue(func() int { cancel(); return <-status })
	select {
	case b.Addr = <-b.Listening:
	case s := <-status:
		t.Fatalf("the program ended with status %d: %v", s, b.Log())
	case <-time.After(Patience):
		t.Fatal("the program does not listen")
	}
	t.Cleanup(func() {
		b.HTTP.CloseIdleConnections()
		if s := b.Stop(); s != 0 {
			t.Errorf("the program ended with status %d", s)
		}
		if n := b.panics.Load(); n != 0 {
			t.Errorf("the program has recovered from %d panics: %v", n, b.Log())
		}
	})
}

// UseTLS has all calls go over TLS.
func (b *Broker) UseTLS(client *tls.Config) {
	b.TLS = client
	b.HTTP.Transport.(*http.Transport).TLSClientConfig = client.Clone() // it adds protocols
}

// Write takes a line that the program logs.
func (b *Broker) Write(line []byte) (int, error) {
	b.mu.Lock()
	b.logs = append(b.logs, strings.TrimSuffix(string(line), "\n"))
	b.mu.Unlock()
	var entry struct{ Msg, Addr string }
	switch _ = json.Unmarshal(line, &entry); entry.Msg {
	case "listening":
		b.Listening <- entry.Addr
	case serve.PanicMessage:
		b.panics.Add(1)
	}
	return len(line), nil
}

// Log returns the lines logged so far.
func (b *Broker) Log() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.logs...)
}
