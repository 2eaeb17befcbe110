package clients_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"belfry/tests/harness"
)

func TestNpmWS(t *testing.T) {
	t.Parallel()
	harness.Npm(t, "ws")
	node := harness.Installed(t, "node")
	testStranger(t, func(t *testing.T, url string) *harness.Stranger {
		return harness.Meet(t, node, "tests/testdata/clients/ws.js", url)
	})
}

func TestPythonWebsockets(t *testing.T) {
	t.Parallel()
	python := harness.Installed(t, "/usr/bin/python3", "python3") // Debian's modules are for Debian's Python
	if exec.Command(python, "-c", "import websockets").Run() != nil {
		harness.LeaveOut(t, "python3-websockets is not installed")
	}
	testStranger(t, func(t *testing.T, url string) *harness.Stranger {
		return harness.Meet(t, python, "tests/testdata/clients/python_websockets.py", url)
	})
}

func TestChromium(t *testing.T) {
	t.Parallel()
	testStranger(t, func(t *testing.T, url string) *harness.Stranger { return chromiumPlays(t, "chromium.mjs", url) })
}

// testStranger has three of a kind go through all that can happen to one.
func testStranger(t *testing.T, meet func(t *testing.T, url string) *harness.Stranger) {
	for _, end := range []harness.Said{
		{Code: 4000, Reason: "unregistered"},
		{Code: 4001, Reason: "replaced"},
		{Code: 1012, Reason: "draining"},
	} {
		t.Run(end.Reason, func(t *testing.T) {
			t.Parallel()
			b := harness.Start(t, "--ping-interval=50ms", "--allowed-origins=*")
			r := b.Register(t, `{"user_id":1,"topics":[]}`)
			s := meet(t, r.URL)
			s.Says(harness.Said{Open: true})
			harness.Eventually(t, "the client's topics", func() bool { return b.Publish(t, harness.Event("dogs.first", "one")).Queued == 1 })
			long := strings.Repeat("grüße \u2028 \U0001F431 ", 2500)
			b.Publish(t, harness.Event("cats", long))
			b.Publish(t, `{"topic":"cats","user_id":1,"message":{"n": 1.50, "s": "\u0001"}}`)
			b.Publish(t, `{"topic":"cats","user_id":2,"message":"for somebody else"}`)
			b.Publish(t, harness.Event("birds", "not asked for"))
			b.Publish(t, harness.Event("cats", "leave"))
			s.Says(harness.Said{Message: "one"}, harness.Said{Message: long}, harness.Said{Message: `{"n":1.50,"s":"\u0001"}`}, harness.Said{Away: true})
			b.Away(t)
			for i := range 3 {
				b.Publish(t, harness.Event("dogs.a.b", fmt.Sprint("missed ", i)))
			}
			if _, err := io.WriteString(s.Tell, "\n"); err != nil {
				t.Fatal(err)
			}
			s.Says(harness.Said{Open: true}, harness.Said{Message: "missed 0"}, harness.Said{Message: "missed 1"}, harness.Said{Message: "missed 2"})
			harness.Eventually(t, "a ping and its pong", func() bool { return b.Metric(t, "belfry_writes_total") > 12 })
			switch end.Reason {
			case "unregistered":
				b.Unregister(t, r)
			case "replaced":
				b.Connect(t, r).Leave()
			default:
				b.Stop()
			}
			s.Says(end)
		})
	}
}

func TestCurl(t *testing.T) {
	t.Parallel()
	curl := harness.Installed(t, "curl")
	b := harness.Start(t)
	call := func(args ...string) string {
		t.Helper()
		cmd := exec.Command(curl, append([]string{"-sS", "-w", " %{http_code} %{content_type}"}, args...)...)
		cmd.Env = harness.Environment(t)
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	var r harness.Registration
	got := call("-d", `{"user_id": 1, "topic": "cats"}`, b.URL("http", "/register"))
	if err := json.NewDecoder(strings.NewReader(got)).Decode(&r); err != nil || !strings.HasSuffix(got, " 200 application/json") {
		t.Fatal(got)
	}
	p := b.Connect(t, r)
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
		// After Expect: 100-continue; over HTTP/2 an older curl may lose the answer to what it still sends.
		{`--http1.1 -d @LARGE ADDR/publish`, " 413 application/problem+json"},
		{`ADDR/nowhere`, " 404 application/problem+json"},
		{`-T README.md ADDR/publish`, " 405 application/problem+json"},
		{`-X DELETE ADDR/register/` + r.ClientID, `{"removed":true}` + "\n 200 application/json"},
		{`-X DELETE ADDR/register/` + r.ClientID, `{"removed":false}` + "\n 200 application/json"},
		{`ADDR/ws/` + r.ClientID, " 404 application/problem+json"},
		{`ADDR/health`, " 200 application/json"},
	} {
		args := strings.Fields(strings.NewReplacer("ADDR", b.URL("http", ""), "LARGE", large).Replace(c.args))
		if got := call(args...); !strings.HasSuffix(got, c.want) {
			t.Errorf("curl %s:\n%s", c.args, got)
		}
	}
	p.Expect(t, "are-awesome")
	p.Closed(t, 4000, "unregistered")
}
