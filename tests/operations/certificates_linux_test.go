package operations_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"belfry/tests/harness"
)

// TestCertificatePipe: a pipe in place of a certificate's file makes nobody wait. The
// certificate stays, and the broker ends in time.
func TestCertificatePipe(t *testing.T) {
	t.Parallel()
	f := &harness.CertificateFolder{T: t, Dir: t.TempDir(), Changed: time.Now()}
	use := harness.NewTestCertificate()
	f.Use(use)
	b := harness.Start(t, "--tls-cert-file="+f.Config().CertFile, "--tls-key-file="+f.Config().KeyFile)
	b.UseTLS(use.Trusting())
	if err := os.Remove(filepath.Join(f.Dir, "key.pem")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(f.Dir, "key.pem"), 0o600); err != nil {
		t.Fatal(err)
	}
	if line := harness.HangUp(b, t); !strings.Contains(line, "has not been changed") || !strings.Contains(line, "want a regular file") {
		t.Error(line)
	}
}
