package docs_test

import (
	"bufio"
	"io"
	"os/exec"
	"strings"
	"testing"

	"belfry/tests/harness"
)

// TestReadme types the first event of the README into a shell, and waits until it is there.
func TestReadme(t *testing.T) {
	t.Parallel()
	harness.Installed(t, "curl")
	b := harness.Start(t)
	var lines []string
	blocks, _ := blocksOf(read(t, "README.md"))
	for _, block := range blocks {
		for line := range strings.Lines(block.code) {
			if strings.Contains(line, "curl") {
				lines = append(lines, strings.ReplaceAll(line, "127.0.0.1:8000", b.Addr))
			}
		}
	}
	if len(lines) != 3 {
		t.Fatalf("the README has %d lines with curl, want 3", len(lines))
	}
	shell := exec.CommandContext(t.Context(), harness.Installed(t, "bash"))
	in, err := shell.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := shell.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = shell.Wait() }) // its curl ends with the broker
	write := func(s string) {
		t.Helper()
		if _, err := io.WriteString(in, s); err != nil {
			t.Fatal(err)
		}
	}
	write(lines[0] + lines[1])
	harness.Eventually(t, "the second line connects", func() bool { return b.Census(t).Connected == 1 })
	write(lines[2])
	in.Close()
	var got strings.Builder
	words := bufio.NewReader(out)
	for !strings.Contains(got.String(), "\ndata: are awesome\nid: ") || !strings.Contains(got.String(), `"queued":1`) {
		c, err := words.ReadByte()
		if err != nil {
			t.Fatalf("%v; printed: %q", err, got.String())
		}
		got.WriteByte(c)
	}
	b.Stop()
}
