package operations_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"belfry/cli/app"
	"belfry/tests/harness"
)

// TestBadCertificate: a broker does not start with what it could not use.
func TestBadCertificate(t *testing.T) {
	t.Parallel()
	one, other := harness.NewTestCertificate(), harness.NewTestCertificate()
	for want, files := range map[string]map[string][]byte{
		"private key does not match": {"cert.pem": one.Cert, "key.pem": other.Key},
		"no such file":               {"cert.pem": one.Cert},
		"failed to find any PEM":     {"cert.pem": []byte("x"), "key.pem": one.Key},
	} {
		f := &harness.CertificateFolder{T: t, Dir: t.TempDir(), Changed: time.Now()}
		f.Write(files)
		b := harness.NewBroker()
		cfg := f.Config()
		args := []string{"--addr=127.0.0.1:0", "--log-format=json", "--tls-cert-file=" + cfg.CertFile, "--tls-key-file=" + cfg.KeyFile}
		status := app.Run(t.Context(), nil, args, nil, io.Discard, b)
		if log := fmt.Sprint(b.Log()); status != 2 || !strings.Contains(log, want) || !strings.Contains(log, cfg.CertFile) {
			t.Errorf("status %d, log %s; want %q", status, log, want)
		}
	}
}

// TestCertificateReload: new connections see the newest certificate, and no connection is
// dropped.
func TestCertificateReload(t *testing.T) {
	t.Parallel()
	f := &harness.CertificateFolder{T: t, Dir: t.TempDir(), Changed: time.Now()}
	both := [2]harness.TestCertificate{harness.NewTestCertificate("one"), harness.NewTestCertificate("two")}
	f.Use(both[0])
	files := f.Config()
	b := harness.Start(t, "--tls-cert-file="+files.CertFile, "--tls-key-file="+files.KeyFile)
	either := both[0].Trusting()
	either.RootCAs.AppendCertsFromPEM(both[1].Cert)
	b.UseTLS(either)

	early := b.Socket(t, harness.Opening("/ws?topic=cats"))
	early.Accepted(t)
	const reloads = 20
	for i := range reloads {
		use := both[(i+1)%2]
		f.Use(use)
		harness.HangUp(b, t)
		trusted := x509.NewCertPool()
		trusted.AppendCertsFromPEM(use.Cert)
		late := &harness.Broker{Addr: b.Addr, TLS: &tls.Config{RootCAs: trusted, ServerName: "localhost"}}
		w := late.Socket(t, harness.Opening("/ws?topic=cats"))
		w.Accepted(t)
		b.Publish(t, harness.Event("cats", fmt.Sprint(i)))
		w.Expect(t, fmt.Sprint(i))
		early.Expect(t, fmt.Sprint(i))
	}
	f.Write(map[string][]byte{"key.pem": []byte("broken")})
	if line := harness.HangUp(b, t); !strings.Contains(line, "configuration has not been changed") || !strings.Contains(line, "TLS certificate") {
		t.Errorf("a broken key is read: %s", line)
	}
	pair, err := tls.X509KeyPair(both[0].Cert, both[0].Key) // the last that was used
	if err != nil {
		t.Fatal(err)
	}
	want := pair.Leaf.NotAfter.Unix()
	if got := b.Metric(t, "belfry_tls_certificate_expiry_timestamp_seconds"); got != float64(want) {
		t.Errorf("the metric says that it expires at %v, want %v", got, want)
	}
}
