package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestCertificatePipe: a pipe in the place of a certificate's file keeps nobody waiting
// for what it may say. The certificate stays, and the broker ends when it is told to.
func TestCertificatePipe(t *testing.T) {
	t.Parallel()
	f := &certificateFolder{t: t, dir: t.TempDir(), changed: time.Now()}
	use := newTestCertificate()
	f.use(use)
	b := start(t, "--tls-cert-file="+f.config().CertFile, "--tls-key-file="+f.config().KeyFile)
	b.useTLS(use.trusting())
	if err := os.Remove(filepath.Join(f.dir, "key.pem")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(f.dir, "key.pem"), 0o600); err != nil {
		t.Fatal(err)
	}
	if line := b.hangUp(t); !strings.Contains(line, "has not been changed") || !strings.Contains(line, "want a regular file") {
		t.Error(line)
	}
}
