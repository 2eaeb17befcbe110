package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Clients that others wrote play the same part: they connect to the URL that
// they are given, ask for the topics cats and dogs.>, and print a line of JSON
// for all that happens. At the event "leave" they end their connection, and
// come back when they are told to by a line.

// A said is one line of theirs.
type said struct {
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

// A stranger is such a client.
type stranger struct {
	t     *testing.T
	lines *bufio.Scanner
	tell  io.Writer
}

// meet starts a client as a process.
func meet(t *testing.T, program string, args ...string) *stranger {
	t.Helper()
	return meetFor(t, 4*patience, program, args...)
}

// meetFor starts a client that may take longer.
func meetFor(t *testing.T, limit time.Duration, program string, args ...string) *stranger {
	t.Helper()
	ctx, kill := context.WithTimeout(context.Background(), limit)
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stderr, cmd.Env = os.Stderr, environment(t)
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
	s := &stranger{t: t, lines: bufio.NewScanner(out), tell: in}
	s.lines.Buffer(nil, 1<<20)
	t.Cleanup(func() {
		defer kill()
		if t.Failed() {
			kill()
		}
		in.Close()
		for s.lines.Scan() {
			t.Errorf("behind the end the client says %.200s", s.lines.Bytes())
		}
		if err := cmd.Wait(); err != nil && !t.Failed() {
			t.Errorf("the client ended: %v", err)
		}
	})
	return s
}

// says checks the client's next lines.
func (s *stranger) says(want ...said) {
	s.t.Helper()
	for _, w := range want {
		if got := s.next(); got != w {
			s.t.Fatalf("the client says %.200s, want %.400s", s.lines.Bytes(), fmt.Sprintf("%+v", w))
		}
	}
}

// next returns the client's next line.
func (s *stranger) next() (got said) {
	s.t.Helper()
	if !s.lines.Scan() {
		s.t.Fatalf("the client ended: %v", s.lines.Err())
	}
	if err := json.Unmarshal(s.lines.Bytes(), &got); err != nil {
		s.t.Fatalf("%v: %.200s", err, s.lines.Bytes())
	}
	return got
}

// installed returns the path of the first program that is there, or leaves the
// test out.
func installed(t *testing.T, programs ...string) string {
	t.Helper()
	for _, name := range programs {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	leaveOut(t, "%s is not installed", strings.Join(programs, " nor "))
	return ""
}

// leaveOut skips a test whose client is missing. Where everything can be
// installed, that is a failure.
func leaveOut(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf(format, args...)
	}
	t.Skipf("left out: "+format+"; make deps installs it where it can", args...)
}

// npm leaves the test out unless a package is there.
func npm(t *testing.T, name string) {
	t.Helper()
	if _, err := os.Stat("testdata/clients/node_modules/" + name); err != nil {
		leaveOut(t, "npm %s is not installed", name)
	}
}

func TestNpmWS(t *testing.T) {
	t.Parallel()
	npm(t, "ws")
	node := installed(t, "node")
	testStranger(t, func(t *testing.T, url string) *stranger { return meet(t, node, "testdata/clients/ws.js", url) })
}

func TestPythonWebsockets(t *testing.T) {
	t.Parallel()
	python := installed(t, "/usr/bin/python3", "python3") // Debian's modules are for Debian's Python
	if exec.Command(python, "-c", "import websockets").Run() != nil {
		leaveOut(t, "python3-websockets is not installed")
	}
	testStranger(t, func(t *testing.T, url string) *stranger {
		return meet(t, python, "testdata/clients/python_websockets.py", url)
	})
}

func TestChromium(t *testing.T) {
	t.Parallel()
	npm(t, "playwright-core")
	node, browser := installed(t, "node"), installed(t, "chromium", "chromium-browser", "google-chrome")
	testStranger(t, func(t *testing.T, url string) *stranger {
		return meet(t, node, "testdata/clients/chromium.mjs", url, browser)
	})
}

// testStranger has three of a kind go through all that can happen to one.
func testStranger(t *testing.T, meet func(t *testing.T, url string) *stranger) {
	for _, end := range []said{
		{Code: 4000, Reason: "unregistered"},
		{Code: 4001, Reason: "replaced"},
		{Code: 1012, Reason: "draining"},
	} {
		t.Run(end.Reason, func(t *testing.T) {
			t.Parallel()
			b := start(t, "--ping-interval=50ms", "--pong-timeout=10s", "--allowed-origins=*")
			r := b.register(t, `{"user_id":1,"topics":[]}`)
			s := meet(t, r.URL)
			s.says(said{Open: true})
			eventually(t, "the client's topics", func() bool { return b.publish(t, event("dogs.first", "one")).Queued == 1 })
			long := strings.Repeat("grüße \u2028 \U0001F431 ", 2500)
			b.publish(t, event("cats", long))
			b.publish(t, `{"topic":"cats","user_id":1,"message":{"n": 1.50, "s": "\u0001"}}`)
			b.publish(t, `{"topic":"cats","user_id":2,"message":"for somebody else"}`)
			b.publish(t, event("birds", "not asked for"))
			b.publish(t, event("cats", "leave"))
			s.says(said{Message: "one"}, said{Message: long}, said{Message: `{"n":1.50,"s":"\u0001"}`}, said{Away: true})
			b.away(t)
			for i := range 3 {
				b.publish(t, event("dogs.a.b", fmt.Sprint("missed ", i)))
			}
			if _, err := io.WriteString(s.tell, "\n"); err != nil {
				t.Fatal(err)
			}
			s.says(said{Open: true}, said{Message: "missed 0"}, said{Message: "missed 1"}, said{Message: "missed 2"})
			eventually(t, "a ping and its pong", func() bool { return b.metric(t, "belfry_writes_total") > 12 })
			switch end.Reason {
			case "unregistered":
				b.unregister(t, r)
			case "replaced":
				b.connect(t, r).leave()
			default:
				b.stop()
			}
			s.says(end)
		})
	}
}

func TestCurl(t *testing.T) {
	t.Parallel()
	curl := installed(t, "curl")
	b := start(t)
	call := func(args ...string) string {
		t.Helper()
		cmd := exec.Command(curl, append([]string{"-sS", "-w", " %{http_code} %{content_type}"}, args...)...)
		cmd.Env = environment(t)
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	var r registration
	got := call("-d", `{"user_id": 1, "topic": "cats"}`, b.url("http", "/register"))
	if err := json.NewDecoder(strings.NewReader(got)).Decode(&r); err != nil || !strings.HasSuffix(got, " 200 application/json") {
		t.Fatal(got)
	}
	p := b.connect(t, r)
	large := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(large, bytes.Repeat([]byte("x"), 2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ args, want string }{
		{`-d {"topic":"cats","message":"are-awesome"} ADDR/publish`, `"matched":1,"queued":1,"scope":"node","duplicate":false}` + "\n 200 application/json"},
		{`-d {"topic":"cats.*","message":1} ADDR/publish`, " 400 application/problem+json"},
		{`-d {"topic":"cats","message":1}} ADDR/publish`, " 400 application/problem+json"},
		{`-d {"topic":"$cats","message":1} ADDR/publish`, " 403 application/problem+json"},
		{`-d {"user_id":1.5} ADDR/register`, " 400 application/problem+json"},
		{`-d {"client_id":"0","topic":"cats"} ADDR/add_topic`, " 404 application/problem+json"},
		{`-H Content-Type:text/xml -d <a/> ADDR/publish`, " 415 application/problem+json"},
		// Behind Expect: 100-continue; over HTTP/2 an older curl may lose the answer to what it still sends.
		{`--http1.1 -d @LARGE ADDR/publish`, " 413 application/problem+json"},
		{`ADDR/nowhere`, " 404 application/problem+json"},
		{`-T harness_test.go ADDR/publish`, " 405 application/problem+json"},
		{`-X DELETE ADDR/register/` + r.ClientID, `{"removed":true}` + "\n 200 application/json"},
		{`-X DELETE ADDR/register/` + r.ClientID, `{"removed":false}` + "\n 200 application/json"},
		{`ADDR/ws/` + r.ClientID, " 404 application/problem+json"},
		{`ADDR/health`, " 200 application/json"},
	} {
		args := strings.Fields(strings.NewReplacer("ADDR", b.url("http", ""), "LARGE", large).Replace(c.args))
		if got := call(args...); !strings.HasSuffix(got, c.want) {
			t.Errorf("curl %s:\n%s", c.args, got)
		}
	}
	p.expect(t, "are-awesome")
	p.closed(t, 4000, "unregistered")
}
