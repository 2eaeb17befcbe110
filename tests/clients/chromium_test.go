package clients_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"net"
	"testing"
	"time"

	"belfry/tests/harness"
)

// chromiumPlays has Chromium play a client: a module of tests/testdata/clients says how.
func chromiumPlays(t *testing.T, module string, args ...string) *harness.Stranger {
	t.Helper()
	harness.Npm(t, "playwright-core")
	node, program := harness.Installed(t, "node"), harness.Installed(t, harness.HeadlessChromium...)
	harness.Chromium.Once.Do(func() { harness.Chromium.Err = harness.Chromium.Start(node, program) })
	if harness.Chromium.Err != nil {
		t.Fatalf("Chromium does not start: %v", harness.Chromium.Err)
	}
	conn, err := net.Dial("tcp", harness.Chromium.Addr)
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
	s := &harness.Stranger{T: t, Lines: bufio.NewScanner(conn), Tell: conn, Limit: time.AfterFunc(harness.StrangersPatience, func() { conn.Close() })}
	s.Lines.Buffer(nil, 1<<20)
	t.Cleanup(func() {
		defer conn.Close()
		defer s.Limit.Stop()
		if t.Failed() {
			return
		}
		s.Limit.Reset(harness.StrangersPatience)
		err := conn.(*net.TCPConn).CloseWrite()
		for s.Lines.Scan() {
			t.Errorf("after the end the client says %.200s", s.Lines.Bytes())
		}
		if err := errors.Join(err, s.Lines.Err()); err != nil {
			t.Errorf("the client ended: %v", err)
		}
	})
	return s
}
