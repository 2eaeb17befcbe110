package certs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"belfry/tests/harness"
	"belfry/transport/certs"
)

// TestCertificateFiles: files that change are read again; what cannot be used
// is told once, and changes nothing.
func TestCertificateFiles(t *testing.T) {
	t.Parallel()
	f := &harness.CertificateFolder{T: t, Dir: t.TempDir(), Changed: time.Now()}
	first, second, third := harness.NewTestCertificate("first"), harness.NewTestCertificate("second"), harness.NewTestCertificate("third")
	synctest.Test(t, func(t *testing.T) {
		core, logged := observer.New(zapcore.WarnLevel)
		f.Use(first)
		c, err := certs.New(f.Config(), zap.New(core))
		if err != nil {
			t.Fatal(err)
		}
		steps := []struct {
			change       func()
			want, warned string
		}{
			{func() {}, "first localhost", ""},
			{func() { f.Use(second) }, "second localhost", ""},
			{func() { f.Write(map[string][]byte{"cert.pem": third.Cert}) }, "second localhost", "private key does not match"},
			{func() {}, "second localhost", ""},
			{func() { f.Write(map[string][]byte{"key.pem": third.Key}) }, "third localhost", ""},
			{func() { os.Remove(filepath.Join(f.Dir, "cert.pem")) }, "third localhost", "no such file"},
			{func() { f.Use(first) }, "first localhost", ""},
		}
		for i, step := range steps {
			step.change()
			c.Look()
			warned := fmt.Sprint(logged.TakeAll())
			if got := harness.CertifiedNames(t, c.Config); got != step.want || !strings.Contains(warned, step.warned) || (step.warned == "") != (warned == "[]") {
				t.Errorf("step %d: the certificate is that of %s, and the log has %s", i, got, warned)
			}
		}
	})
}
