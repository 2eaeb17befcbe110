package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// A certificateFolder is where a certificate comes from.
type certificateFolder struct {
	t       *testing.T
	dir     string
	changed time.Time // of what was written last
}

func (f *certificateFolder) config() certOptions {
	return certOptions{CertFile: filepath.Join(f.dir, "cert.pem"), KeyFile: filepath.Join(f.dir, "key.pem")}
}

// write writes files that are newer than those before.
func (f *certificateFolder) write(files map[string][]byte) {
	f.t.Helper()
	f.changed = f.changed.Add(time.Second)
	for name, text := range files {
		name = filepath.Join(f.dir, name)
		if err := os.WriteFile(name, text, 0o600); err != nil {
			f.t.Fatal(err)
		}
		if err := os.Chtimes(name, f.changed, f.changed); err != nil {
			f.t.Fatal(err)
		}
	}
}

func (f *certificateFolder) use(c testCertificate) {
	f.t.Helper()
	f.write(map[string][]byte{"cert.pem": c.cert, "key.pem": c.key})
}

// certifiedNames is whose the certificate in use is.
func certifiedNames(t *testing.T, use *tls.Config) string {
	t.Helper()
	cert, err := use.GetCertificate(&tls.ClientHelloInfo{})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(cert.Leaf.DNSNames, " ")
}

// TestCertificateFiles: files that change are read again; what cannot be used
// is told once, and changes nothing.
func TestCertificateFiles(t *testing.T) {
	t.Parallel()
	f := &certificateFolder{t: t, dir: t.TempDir(), changed: time.Now()}
	first, second, third := newTestCertificate("first"), newTestCertificate("second"), newTestCertificate("third")
	synctest.Test(t, func(t *testing.T) {
		core, logged := observer.New(zapcore.WarnLevel)
		f.use(first)
		c, err := newCertificates(f.config(), zap.New(core))
		if err != nil {
			t.Fatal(err)
		}
		steps := []struct {
			change       func()
			want, warned string
		}{
			{func() {}, "first localhost", ""},
			{func() { f.use(second) }, "second localhost", ""},
			{func() { f.write(map[string][]byte{"cert.pem": third.cert}) }, "second localhost", "private key does not match"},
			{func() {}, "second localhost", ""},
			{func() { f.write(map[string][]byte{"key.pem": third.key}) }, "third localhost", ""},
			{func() { os.Remove(filepath.Join(f.dir, "cert.pem")) }, "third localhost", "no such file"},
			{func() { f.use(first) }, "first localhost", ""},
		}
		for i, step := range steps {
			step.change()
			c.look()
			warned := fmt.Sprint(logged.TakeAll())
			if got := certifiedNames(t, c.config); got != step.want || !strings.Contains(warned, step.warned) || (step.warned == "") != (warned == "[]") {
				t.Errorf("step %d: the certificate is that of %s, and the log has %s", i, got, warned)
			}
		}
	})
}

// TestBadCertificate: a broker does not start with what it could not use.
func TestBadCertificate(t *testing.T) {
	t.Parallel()
	one, other := newTestCertificate(), newTestCertificate()
	for want, files := range map[string]map[string][]byte{
		"private key does not match": {"cert.pem": one.cert, "key.pem": other.key},
		"no such file":               {"cert.pem": one.cert},
		"failed to find any PEM":     {"cert.pem": []byte("x"), "key.pem": one.key},
	} {
		f := &certificateFolder{t: t, dir: t.TempDir(), changed: time.Now()}
		f.write(files)
		b := newTestBroker()
		cfg := f.config()
		args := []string{"--addr=127.0.0.1:0", "--log-format=json", "--tls-cert-file=" + cfg.CertFile, "--tls-key-file=" + cfg.KeyFile}
		status := run(t.Context(), nil, args, nil, io.Discard, b)
		if log := fmt.Sprint(b.log()); status != 2 || !strings.Contains(log, want) || !strings.Contains(log, cfg.CertFile) {
			t.Errorf("status %d, log %s; want %q", status, log, want)
		}
	}
}

// TestCertificateReload: new connections are shown the certificate that was read
// last, and nobody is dropped for it.
func TestCertificateReload(t *testing.T) {
	t.Parallel()
	f := &certificateFolder{t: t, dir: t.TempDir(), changed: time.Now()}
	both := [2]testCertificate{newTestCertificate("one"), newTestCertificate("two")}
	f.use(both[0])
	files := f.config()
	b := start(t, "--tls-cert-file="+files.CertFile, "--tls-key-file="+files.KeyFile)
	either := both[0].trusting()
	either.RootCAs.AppendCertsFromPEM(both[1].cert)
	b.useTLS(either)

	early := b.socket(t, opening("/ws?topic=cats"))
	early.accepted(t)
	const reloads = 20
	for i := range reloads {
		use := both[(i+1)%2]
		f.use(use)
		b.hangUp(t)
		trusted := x509.NewCertPool()
		trusted.AppendCertsFromPEM(use.cert)
		late := &testBroker{addr: b.addr, tls: &tls.Config{RootCAs: trusted, ServerName: "localhost"}}
		w := late.socket(t, opening("/ws?topic=cats"))
		w.accepted(t)
		b.publish(t, event("cats", fmt.Sprint(i)))
		w.expect(t, fmt.Sprint(i))
		early.expect(t, fmt.Sprint(i))
	}
	f.write(map[string][]byte{"key.pem": []byte("broken")})
	if line := b.hangUp(t); !strings.Contains(line, "configuration has not been changed") || !strings.Contains(line, "TLS certificate") {
		t.Errorf("a broken key is read: %s", line)
	}
	pair, err := tls.X509KeyPair(both[0].cert, both[0].key) // the last that was used
	if err != nil {
		t.Fatal(err)
	}
	want := pair.Leaf.NotAfter.Unix()
	if got := b.metric(t, "belfry_tls_certificate_expiry_timestamp_seconds"); got != float64(want) {
		t.Errorf("the metric says that it expires at %v, want %v", got, want)
	}
}
