package clients_test

import (
	"bufio"
	"encoding/json"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"belfry/tests/harness"
)

// A curling is curl under way, with what it prints.
type curling struct {
	t    *testing.T
	cmd  *exec.Cmd
	text *bufio.Reader
}

func curl(t *testing.T, args ...string) *curling {
	t.Helper()
	// Over TLS it would speak HTTP/2, which couriers do not.
	cmd := exec.CommandContext(t.Context(), harness.Installed(t, "curl"), append([]string{"-sN", "--http1.1"}, args...)...)
	cmd.Env = harness.Environment(t)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() }) // once more, unless the test has failed
	return &curling{t, cmd, bufio.NewReader(out)}
}

// silent is a heartbeat, or the beginning of a stream.
var silent = regexp.MustCompile(`(?m)^(retry: .*\nevent: welcome\ndata: .*|event: heartbeat)\nid: .*\n\n`)

// event returns the next event, but heartbeats and the welcome, as it was sent.
func (c *curling) event() string {
	c.t.Helper()
	for {
		var event strings.Builder
		for !strings.HasSuffix(event.String(), "\n\n") {
			line, err := c.text.ReadString('\n')
			if err != nil {
				c.t.Fatalf("curl ended after %q: %v", event.String()+line, err)
			}
			event.WriteString(line)
		}
		if !silent.MatchString(event.String()) {
			return event.String()
		}
	}
}

func (c *curling) expect(want ...string) {
	c.t.Helper()
	for _, w := range want {
		if got := c.event(); got != w {
			c.t.Fatalf("got %q, want %q", got, w)
		}
	}
}

// ended checks that curl prints only heartbeats from now on, and ends with that status.
func (c *curling) ended(status int) {
	c.t.Helper()
	rest, err := io.ReadAll(c.text)
	if err != nil || strings.TrimSpace(silent.ReplaceAllString(string(rest), "")) != "" {
		c.t.Errorf("at last came %q, %v", rest, err)
	}
	_ = c.cmd.Wait()
	if got := c.cmd.ProcessState.ExitCode(); got != status {
		c.t.Errorf("curl ended with status %d, want %d", got, status)
	}
}

func TestCurlEventStream(t *testing.T) {
	t.Parallel()
	b, next := harness.Start(t, resumeFlags...), harness.Start(t, resumeFlags...)
	p := harness.NewProxy(t, b.Addr)
	url := b.URLAt("http", p.Addr, "/sse?topic=cats&topic=a%2Fb")
	live := curl(t, url)
	harness.Eventually(t, "curl is connected", func() bool { return b.Census(t).Connected == 1 })
	_, one := b.Told(t, "cats", "one")
	at, two := b.Told(t, "a/b", "two: \U0001F431")
	live.expect(one, two)
	p.Cut()
	live.ended(56) // failure in receiving network data

	b.Told(t, "birds", "not asked for")
	_, three := b.Told(t, "cats", "three")
	_, four := b.Told(t, "a/b", "four")
	again := curl(t, "-H", "Last-Event-ID: "+at, url)
	again.expect(three, four)
	at, five := b.Told(t, "cats", "five")
	again.expect(five)
	again.cmd.Process.Kill()
	again.ended(-1)
	for _, parameter := range []string{"&after=", "&last_event_id="} {
		after := at
		var six string
		at, six = b.Told(t, "cats", "six")
		c := curl(t, url+parameter+after)
		c.expect(six)
		c.cmd.Process.Kill()
		c.ended(-1)
	}

	last := curl(t, "-H", "Last-Event-ID: "+at, "-H", "Accept: text/event-stream", url+"&after=the+header+wins")
	_, seven := b.Told(t, "cats", "seven")
	last.expect(seven)
	b.Stop()
	if got := last.event(); !strings.HasPrefix(got, `event: closing`+"\n"+`data: {"reason":"draining","reconnect_after_ms":`) {
		t.Errorf("the broker says farewell with %q", got)
	}
	last.ended(0)

	p.Lead(next.Addr)
	zero, eight := next.Told(t, "cats", "eight")
	other := curl(t, "-H", "Last-Event-ID: "+at, url)
	other.expect(`event: gap`+"\n"+`data: {"topics":["cats","a/b"],"from":"`+at+`","to":"`+harness.Beginning(zero)+`","reason":"restarted"}`+"\n\n", eight)
	_, nine := next.Told(t, "cats", "nine")
	other.expect(nine)
	next.Stop()
	other.event()
	other.ended(0)
}

// texts returns the messages, and where to go on.
func (c *curling) texts() (texts, at string) {
	c.t.Helper()
	var h harness.History
	if err := json.NewDecoder(c.text).Decode(&h); err != nil {
		c.t.Fatal(err)
	}
	c.ended(0)
	var all []string
	for _, e := range h.Events {
		if e.Topic != h.Topic {
			c.t.Errorf("of %s came an event of %s", h.Topic, e.Topic)
		}
		all = append(all, e.Data)
	}
	return strings.Join(all, " "), h.Cursor
}

func TestCurlHistory(t *testing.T) {
	t.Parallel()
	b := harness.Start(t, "--history-events=3", "--max-wait=1m")
	p := harness.NewProxy(t, b.Addr)
	url := p.Addr + "/topics/a%2Fb/events"
	read := func(query, want string) (at string) {
		t.Helper()
		texts, at := curl(t, url+query).texts()
		if texts != want {
			t.Errorf("%s: got %q, want %q", query, texts, want)
		}
		return at
	}
	at := read("", "")
	for _, text := range []string{"one", "two", "three"} {
		b.Told(t, "a/b", text)
		b.Told(t, "cats", "not asked for")
	}
	read("", "one two three")
	read("?last=2", "two three")
	first := at
	at = read("?after="+at, "one two three")
	read("?after="+at, "")
	read("?wait=0s&after="+at, "")
	read("?wait=10ms&after="+at, "")

	t.Log("a poll waits, is cut, and misses nothing when it is made again")
	waiting := func() bool { return b.Metric(t, "belfry_polls") == 1 }
	poll := curl(t, url+"?wait=1m&after="+at)
	harness.Eventually(t, "the poll waits", waiting)
	b.Told(t, "cats", "not asked for")
	p.Cut()
	poll.ended(56)
	b.Told(t, "a/b", "four")
	at = read("?wait=1m&after="+at, "four")
	poll = curl(t, url+"?wait=1m&after="+at)
	harness.Eventually(t, "the poll waits", waiting)
	if got := b.Publish(t, harness.Event("a/b", "five")); got.Matched != 0 {
		t.Errorf("a poll is counted as a client: %+v", got)
	}
	if texts, _ := poll.texts(); texts != "five" {
		t.Errorf("the poll got %q, want five", texts)
	}

	t.Log("what is gone is gone")
	got, _ := io.ReadAll(curl(t, "-w", " %{http_code} %{content_type}", url+"?after="+first).text)
	if !strings.Contains(string(got), `"code":"gap"`) || !strings.HasSuffix(string(got), " 410 application/problem+json") {
		t.Errorf("got %s", got)
	}
}
