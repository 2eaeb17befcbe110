package harness

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// Clients that others wrote play the same part: they connect to the URL that
// they are given, ask for the topics cats and dogs.>, and print a line of JSON
// for all that happens. At the event "leave" they end their connection, and
// come back when they are told to by a line.

// A Said is one line of theirs.
type Said struct {
	Open    bool   `json:"open"`
	Message string `json:"message"`
	Away    bool   `json:"away"` // has left; waits for a line
	Code    int    `json:"code"` // of the Close frame that ended the connection
	Reason  string `json:"reason"`
	Unclean bool   `json:"unclean"`
	Error   string `json:"error"`

	// Of those that come back with a cursor:
	Cursor  string `json:"cursor"`
	Replay  bool   `json:"replay"` // the message is one of a replay
	Topics  string `json:"topics"` // of the connection, or of the gap
	Ack     int    `json:"ack"`    // the ref of what was done
	Live    int    `json:"live"`   // the ref of the replay that is over
	Gap     string `json:"gap"`    // its reason
	From    string `json:"from"`
	To      string `json:"to"`
	Closing string `json:"closing"` // the reason
	Again   bool   `json:"again"`   // it was told to come back
	Stopped bool   `json:"stopped"` // an EventSource does not come back

	Expiring bool `json:"expiring"` // its token is about to end
}

// A Stranger is such a client.
type Stranger struct {
	T     *testing.T
	Lines *bufio.Scanner
	Tell  io.WriteCloser
	Limit *time.Timer // kills it when it has had nothing to say for too long
}

// StrangersPatience bounds what a program of somebody else may take to say
// something: a browser has to start, and waits itself.
const StrangersPatience = 3 * Patience

// Meet starts a client as a process.
func Meet(t *testing.T, program string, args ...string) *Stranger {
	t.Helper()
	ctx, kill := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stderr, cmd.Env = os.Stderr, Environment(t)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &Stranger{T: t, Lines: bufio.NewScanner(out), Tell: in, Limit: time.AfterFunc(StrangersPatience, kill)}
	s.Lines.Buffer(nil, 1<<20)
	t.Cleanup(func() {
		defer kill()
		defer s.Limit.Stop()
		if t.Failed() {
			kill()
		}
		in.Close()
		for s.Lines.Scan() {
			t.Errorf("after the end the client says %.200s", s.Lines.Bytes())
		}
		if err := cmd.Wait(); err != nil && !t.Failed() {
			t.Errorf("the client ended: %v", err)
		}
	})
	return s
}

// Says checks the client's next lines.
func (s *Stranger) Says(want ...Said) {
	s.T.Helper()
	for _, w := range want {
		if got := s.Next(); got != w {
			s.T.Fatalf("the client says %.200s, want %.400s", s.Lines.Bytes(), fmt.Sprintf("%+v", w))
		}
	}
}

// Next returns the client's next line.
func (s *Stranger) Next() (got Said) {
	s.T.Helper()
	s.Limit.Reset(StrangersPatience)
	if !s.Lines.Scan() {
		s.T.Fatalf("the client ended, or has said nothing for %v: %v", StrangersPatience, s.Lines.Err())
	}
	if err := json.Unmarshal(s.Lines.Bytes(), &got); err != nil {
		s.T.Fatalf("%v: %.200s", err, s.Lines.Bytes())
	}
	return got
}

// Programs that are Chromium. Without a window it takes half the time, but a page of it is
// never hidden by another.
var (
	ChromiumWithTabs = []string{"chromium", "chromium-browser", "google-chrome"}
	HeadlessChromium = append([]string{"chromium-headless-shell"}, ChromiumWithTabs...)
)

// Installed returns the path of the first program that is there, or leaves the
// test out.
func Installed(t *testing.T, programs ...string) string {
	t.Helper()
	for _, name := range programs {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	LeaveOut(t, "%s is not installed", strings.Join(programs, " nor "))
	return ""
}

// LeaveOut skips a test whose client is missing. Where everything can be
// installed, that is a failure.
func LeaveOut(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf(format, args...)
	}
	t.Skipf("left out: "+format+"; make deps installs it where it can", args...)
}

// Npm leaves the test out unless a package is there.
func Npm(t *testing.T, name string) {
	t.Helper()
	if _, err := os.Stat("tests/testdata/clients/node_modules/" + name); err != nil {
		LeaveOut(t, "npm %s is not installed", name)
	}
}

// Tell publishes an event, and returns what a client should say of it.
func Tell(b *Broker, t *testing.T, topic, text string) Said {
	t.Helper()
	return Said{Message: text, Cursor: b.Publish(t, Event(topic, text)).Cursor}
}

// Beginning returns the cursor at which the log of an event with a cursor
// begins.
func Beginning(cursor string) string { return cursor[:12] + "000000000000" }

// coming reports whether a line tells of a connection and not of an event.
func (got Said) coming() bool { return got.Open || got.Away || got.Code == 1006 }

// Storm publishes while the client is cut again and again.
func (s *Stranger) Storm(b *Broker, p *proxy) (last Said) {
	s.T.Helper()
	var want []Said
	for i := range 300 {
		if i%50 == 25 {
			p.Cut()
		}
		want = append(want, Tell(b, s.T, "cats", fmt.Sprint("number ", i)))
	}
	cuts := 0
	for _, w := range want {
		got := s.Next()
		for ; got.coming(); got = s.Next() {
			if got.Open {
				cuts++
			}
		}
		if got != w {
			s.T.Fatalf("the client says %+v, want %+v", got, w)
		}
	}
	if cuts == 0 {
		s.T.Error("the client was not cut")
	}
	return want[len(want)-1]
}

// Bring tells a client its token, and the next.
func (s *Stranger) Bring(token, next string) {
	s.T.Helper()
	if _, err := io.WriteString(s.Tell, token+" "+next+"\n"); err != nil {
		s.T.Fatal(err)
	}
}

// Chromium takes seconds of a processor to start, so tests share one. Each has a
// context of its own in it: pages share neither connections nor anything kept.

// Chromium is that browser, from when the first test wants it.
var Chromium sharedBrowser

type sharedBrowser struct {
	Once sync.Once
	Addr string    // where a connection is a client
	in   io.Closer // it ends with its input
	cmd  *exec.Cmd // nil: it has not been started
	Err  error
}

func (c *sharedBrowser) Start(node, program string) (err error) {
	c.cmd = exec.Command(node, "tests/testdata/clients/browser.mjs", program)
	c.cmd.Stderr = os.Stderr
	in, err := c.cmd.StdinPipe()
	if err != nil {
		return err
	}
	c.in = in
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := c.cmd.Start(); err != nil {
		return err
	}
	limit := time.AfterFunc(StrangersPatience, func() { _ = c.cmd.Process.Kill() }) // it may have ended
	defer limit.Stop()
	line, err := bufio.NewReader(out).ReadString('\n')
	c.Addr = strings.TrimSpace(line)
	return err
}

func (c *sharedBrowser) end() {
	if c.cmd == nil || c.cmd.Process == nil {
		return
	}
	limit := time.AfterFunc(Patience, func() { _ = c.cmd.Process.Kill() })
	defer limit.Stop()
	c.in.Close()
	_ = c.cmd.Wait() // what it had to say it has said
}
