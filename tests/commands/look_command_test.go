package commands_test

import (
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"belfry/cli/serve"
	"belfry/tests/harness"
)

// TestHealthCommand: the status shows the broker's health.
func TestHealthCommand(t *testing.T) {
	t.Parallel()
	b := harness.Start(t)
	for args, want := range map[string]string{"health": "ok: version ", "health --ready": "ready\n", "health --live": "ok\n"} {
		if out, errs := belfry(b, t, 0, "", strings.Fields(args)...); !strings.HasPrefix(out, want) || errs != "" {
			t.Errorf("%s: %s%s", args, out, errs)
		}
	}
	belfry(b, t, 2, "", "health", "--ready", "--live")
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/health/ready" {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(503)
			_, _ = w.Write([]byte(`{"code":"draining","detail":"later"}`))
			return
		}
		http.Redirect(w, r, "http://elsewhere.example/", http.StatusFound)
	}))
	defer other.Close()
	for args, want := range map[string]string{
		"health --ready":                "the broker refuses: draining (503): later\n",
		"health":                        "HTTP status 302 Found, not from a broker\n",
		"health --url http://" + closed: "cannot reach the broker at http://" + closed + ": ",
	} {
		j := begin(t, setting{environ: []string{"BELFRY_URL=" + other.URL}}, strings.Fields(args)...)
		j.wait(t, 1)
		if errs := j.err.String(); !strings.HasPrefix(errs, want) || j.out.String() != "" {
			t.Errorf("%s: %q, want %q", args, errs, want)
		}
	}
}

// TestCommandsElsewhere: commands reach a broker at a unix socket, and one whose
// certificate they are told to trust.
func TestCommandsElsewhere(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	b := harness.Start(t, "--addr=unix:"+path)
	for _, args := range []string{"publish cats x", "subscribe cats --last 1 --count 1", "health", "top --once --interval 10ms", "bench --connections 2 --rate 50 --duration 20ms"} {
		j := begin(t, setting{environ: []string{"BELFRY_URL=unix:" + path}}, strings.Fields(args)...)
		j.wait(t, 0)
	}
	_ = b
	secure := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(`{"status":"ok"}`))
	}))
	secure.Config.ErrorLog = nil
	secure.StartTLS()
	defer secure.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := &pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}
	if err := os.WriteFile(ca, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	for status, flags := range map[int][]string{0: {"--ca=" + ca}, 1: nil, 2: {"--ca=" + ca, "--insecure-tls"}} {
		j := begin(t, setting{environ: []string{"BELFRY_URL=" + secure.URL}}, append([]string{"health", "--live"}, flags...)...)
		j.wait(t, status)
	}
	j := begin(t, setting{environ: []string{"BELFRY_URL=" + secure.URL}}, "health", "--insecure-tls")
	j.wait(t, 0)
}

// TestTopCommand: it redraws within the size of the terminal, says when the broker is
// away, and stops without a trace.
func TestTopCommand(t *testing.T) {
	t.Parallel()
	b := startAlone(t)
	out, errs := belfry(b, t, 0, "", "top", "--interval", "10ms") // no terminal
	if lines := strings.Count(out, "\n"); lines != 10 || strings.Contains(out, "\x1b") || errs != "" {
		t.Errorf("%d lines: %s%s", lines, out, errs)
	}
	j := begin(t, setting{terminal: true, environ: here(b, nil).environ}, "top", "--interval", "10ms")
	b.Publish(t, harness.Event("cats", "x"))
	j.says(t, &j.out, "1 in all")
	b.Stop()
	j.says(t, &j.out, "cannot reach the broker at http://"+b.Addr)
	successor(b, t)
	j.says(t, &j.out, "0 in all")
	j.stop(t, 0)
	text := j.out.String()
	if !strings.HasPrefix(text, "\x1b[?25l\x1b[Hbelfry ") || !strings.HasSuffix(text, "\x1b[J\x1b[?25h") {
		t.Errorf("%q", text)
	}
	for line := range strings.SplitSeq(strings.TrimPrefix(text, "\x1b[?25l"), "\n") {
		if line = strings.NewReplacer("\x1b[H", "", "\x1b[K", "", "\x1b[J", "", "\x1b[?25h", "").Replace(line); len(line) > 70 {
			t.Errorf("wider than the terminal: %q", line)
		}
	}
	if strings.Contains(text, "\nmemory") {
		t.Error("it is higher than the terminal")
	}
	belfry(b, t, 1, "", "top", "--url", "http://"+closed)
}

// TestTopElsewhere: if the figures are at another address, top says so.
func TestTopElsewhere(t *testing.T) {
	t.Parallel()
	b := harness.Start(t, "--admin-addr=127.0.0.1:0")
	for _, url := range []string{"http://" + b.Addr, "http://" + b.Addr + "/x"} {
		_, errs := belfry(b, t, 1, "", "top", "--once", "--url", url)
		if !strings.Contains(errs, "not_found (404)") || !strings.Contains(errs, "if the broker has an admin_addr, give that one: --url http://ADMIN_ADDR") {
			t.Errorf("%s: %s", url, errs)
		}
	}
}

// TestVersionCommand: the build of the program.
func TestVersionCommand(t *testing.T) {
	t.Parallel()
	j := begin(t, setting{}, "version", "--json")
	j.wait(t, 0)
	var v map[string]any
	if err := json.Unmarshal([]byte(j.out.String()), &v); err != nil || v["version"] != serve.Version() || v["go"] == "" || v["platform"] == "" || len(v) != 5 {
		t.Error(j.out.String(), err)
	}
	j = begin(t, setting{}, "version")
	j.wait(t, 0)
	if !strings.HasPrefix(j.out.String(), "belfry "+serve.Version()+"\nrevision ") {
		t.Error(j.out.String())
	}
}

// TestCompletionCommand: shells that are installed take the scripts, and offer what
// there is.
func TestCompletionCommand(t *testing.T) {
	t.Parallel()
	script := func(shell string) string {
		j := begin(t, setting{}, "completion", shell)
		j.wait(t, 0)
		return j.out.String()
	}
	const ask = `
COMP_WORDS=(%s) COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_belfry
echo "${COMPREPLY[@]}"
`
	for line, want := range map[string]string{
		"belfry pu":                  "publish",
		"belfry key ''":              "create",
		"belfry token create --sub":  "--subscribe",
		"belfry publish cats --li":   "--lines",
		"belfry completion z":        "zsh",
		"belfry --history-ev":        "--history-events",
		"belfry publish --file READ": "README.md",
	} {
		shell := exec.CommandContext(t.Context(), harness.Installed(t, "bash"))
		shell.Stdin = strings.NewReader(script("bash") + strings.Replace(ask, "%s", line, 1))
		if got, err := shell.Output(); err != nil || strings.TrimSpace(string(got)) != want {
			t.Errorf("%s: got %q, want %q (%v)", line, got, want, err)
		}
	}
	for _, shell := range []string{"zsh", "fish"} {
		text := script(shell)
		if !strings.Contains(text, "publish") || !strings.Contains(text, "history-events") {
			t.Errorf("%s: %s", shell, text)
		}
		if path, err := exec.LookPath(shell); err == nil {
			check := exec.CommandContext(t.Context(), path, "-n")
			check.Stdin = strings.NewReader(text)
			if out, err := check.CombinedOutput(); err != nil {
				t.Errorf("%s: %v: %s", shell, err, out)
			}
		}
	}
	begin(t, setting{}, "completion", "tcsh").wait(t, 2)
}
