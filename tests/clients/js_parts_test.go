package clients_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"belfry/client/js"
	"belfry/tests/harness"
)

// TestJavaScriptParts runs what the JavaScript client tests by itself.
func TestJavaScriptParts(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), harness.Installed(t, "node"), "--test", "client/js/").CombinedOutput()
	if err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
	if !bytes.Contains(out, []byte("pass 153")) {
		t.Errorf("not all tests were run:\n%s", out)
	}
}

// TestJavaScriptInNode: without a WebSocket, as in Node 20, the client takes streams;
// once it is closed the process ends.
func TestJavaScriptInNode(t *testing.T) {
	t.Parallel()
	b := harness.Start(t)
	node := harness.Installed(t, "node")
	for _, socket := range []string{"", "if (!globalThis.WebSocket) process.exit(0);"} {
		code := socket
		if code == "" {
			code = "delete globalThis.WebSocket;"
		}
		code += fmt.Sprintf(`
			const { connect } = await import('./client/js/belfry.js');
			const client = connect('http://%s/ws');
			const sub = client.subscribe('n', ({ data }) => {
				console.log(JSON.stringify(data));
				client.close();
			});
			while (!sub.cursor) await new Promise((over) => setTimeout(over, 5));
			client.publish('n', 'a\u2028b\u2029c').catch(() => {});`, b.Addr)
		out, err := exec.CommandContext(t.Context(), node, "--input-type=module", "-e", code).CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != "\"a\u2028b\u2029c\"" && (socket == "" || got != "") {
			t.Errorf("%v: %q", err, got)
		}
	}
}

// maxScript is how large the client may be, compressed, in bytes.
const maxScript = 8 << 10

func TestScriptIsSmallAndCurrent(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("client/js/belfry.js")
	if err != nil {
		t.Fatal(err)
	}
	if sum := fmt.Sprintf("%x", sha256.Sum256(source))[:16]; !strings.Contains(string(js.Script[:100]), sum) {
		t.Error("client/js/belfry.min.js is not made of belfry.js as it is; run go generate ./client/js")
	}
	var small bytes.Buffer
	z, _ := gzip.NewWriterLevel(&small, gzip.BestCompression) // which is a level
	_, _ = z.Write(js.Script)                                 // to memory
	_ = z.Close()
	if small.Len() >= maxScript {
		t.Errorf("compressed, the client has %d bytes, want less than %d", small.Len(), maxScript)
	}
}

// TestScript: the broker serves it, with a tag, to pages that it permits.
func TestScript(t *testing.T) {
	t.Parallel()
	b := harness.Start(t)
	got := b.Call(t, "GET", "/belfry.js", "", "Origin", "http://localhost:1234")
	tag := got.Header.Get("Etag")
	if got.Status != 200 || got.Body != string(js.Script) || len(tag) != 34 {
		t.Fatalf("%d, tag %s, %d bytes", got.Status, tag, len(got.Body))
	}
	for name, want := range map[string]string{
		"Content-Type": "text/javascript; charset=utf-8", "Cache-Control": "no-cache",
		"Access-Control-Allow-Origin": "http://localhost:1234", "X-Content-Type-Options": "nosniff",
	} {
		if value := got.Header.Get(name); value != want {
			t.Errorf("%s: %s, want %s", name, value, want)
		}
	}
	for _, test := range []struct {
		tags   string
		status int
	}{{tag, 304}, {`"old", W/` + tag, 304}, {"*", 304}, {`"old"`, 200}, {strings.Trim(tag, `"`), 200}} {
		if got := b.Call(t, "GET", "/belfry.js", "", "If-None-Match", test.tags); got.Status != test.status || got.Header.Get("Etag") != tag {
			t.Errorf("If-None-Match: %s: %d with tag %s", test.tags, got.Status, got.Header.Get("Etag"))
		}
	}
	b.Call(t, "POST", "/belfry.js", "").Problem(t, 405, "method_not_allowed")
	b.Call(t, "GET", "/belfry.js", "", "Origin", "http://evil.example").Problem(t, 403, "origin_not_allowed")
}

// TestPackage: npm pack makes a package that contains its exports.
func TestPackage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pack := exec.CommandContext(t.Context(), harness.Installed(t, "npm"), "pack", "--json", "--pack-destination", dir)
	pack.Dir = "client/js"
	pack.Env = append(os.Environ(), "npm_config_cache="+dir, "npm_config_update_notifier=false")
	out, err := pack.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var packed []struct {
		Filename string
		Files    []struct{ Path string }
	}
	if err := json.Unmarshal(out, &packed); err != nil || len(packed) != 1 {
		t.Fatalf("%v: %s", err, out)
	}
	var files []string
	for _, f := range packed[0].Files {
		files = append(files, f.Path)
	}
	if got := strings.Join(files, " "); got != "LICENSE belfry.d.ts belfry.js belfry.min.js package.json" {
		t.Errorf("the package has %s", got)
	}
	if _, err := os.Stat(filepath.Join(dir, packed[0].Filename)); err != nil {
		t.Error(err)
	}
	exports := exec.CommandContext(t.Context(), harness.Installed(t, "node"), "--input-type=module", "-e",
		"import * as all from 'belfry'; console.log(Object.keys(all).sort().join(' '))")
	exports.Dir = "client/js" // where the package has its own name
	if out, err := exports.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "BelfryError connect" {
		t.Errorf("%v: %s", err, out)
	}
}
