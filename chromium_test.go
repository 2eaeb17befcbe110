package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// Chromium takes seconds of a processor to start, so tests share one. Each has a
// context of its own in it: pages share neither connections nor anything kept.

// chromium is that browser, from when the first test wants it.
var chromium sharedBrowser

type sharedBrowser struct {
	once sync.Once
	addr string    // where a connection is a client
	in   io.Closer // it ends with its input
	cmd  *exec.Cmd // nil: it has not been started
	err  error
}

func (c *sharedBrowser) start(node, program string) (err error) {
	c.cmd = exec.Command(node, "testdata/clients/browser.mjs", program)
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
	limit := time.AfterFunc(strangersPatience, func() { _ = c.cmd.Process.Kill() }) // it may have ended
	defer limit.Stop()
	line, err := bufio.NewReader(out).ReadString('\n')
	c.addr = strings.TrimSpace(line)
	return err
}

func (c *sharedBrowser) end() {
	if c.cmd == nil || c.cmd.Process == nil {
		return
	}
	limit := time.AfterFunc(patience, func() { _ = c.cmd.Process.Kill() })
	defer limit.Stop()
	c.in.Close()
	_ = c.cmd.Wait() // what it had to say it has said
}

// chromiumPlays has Chromium play a client: a module of testdata/clients says how.
func chromiumPlays(t *testing.T, module string, args ...string) *stranger {
	t.Helper()
	npm(t, "playwright-core")
	node, program := installed(t, "node"), installed(t, "chromium", "chromium-browser", "google-chrome")
	chromium.once.Do(func() { chromium.err = chromium.start(node, program) })
	if chromium.err != nil {
		t.Fatalf("Chromium does not start: %v", chromium.err)
	}
	conn, err := net.Dial("tcp", chromium.addr)
	if err != nil {
		t.Fatal(err)
	}
	part, err := json.Marshal(append([]string{module}, args...))
	if err == nil {
		_, err = conn.Write(append(part, '\n'))
	}
	if err != nil {
		t.Fatal(err)
	}
	s := &stranger{t: t, lines: bufio.NewScanner(conn), tell: conn, limit: time.AfterFunc(strangersPatience, func() { conn.Close() })}
	s.lines.Buffer(nil, 1<<20)
	t.Cleanup(func() {
		defer conn.Close()
		defer s.limit.Stop()
		if t.Failed() {
			return
		}
		s.limit.Reset(strangersPatience)
		err := conn.(*net.TCPConn).CloseWrite()
		for s.lines.Scan() {
			t.Errorf("behind the end the client says %.200s", s.lines.Bytes())
		}
		if err := errors.Join(err, s.lines.Err()); err != nil {
			t.Errorf("the client ended: %v", err)
		}
	})
	return s
}
