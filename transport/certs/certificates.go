package certs

import (
	"crypto/tls"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// certificateLook is how often files with a certificate are looked at.
const Interval = 10 * time.Second

// certOptions say where certificates come from: two files, or an issuer. None is no TLS.
type Options struct {
	CertFile, KeyFile string // PEM

	ACMEHosts []string // the names to get certificates for
	ACMEDir   string   // where they are kept
	ACMEEmail string   // whom the issuer may write to; may be ""
	ACMEURL   string   // of the issuer's directory (RFC 8555); "" is Let's Encrypt
}

func (o Options) enabled() bool { return o.CertFile != "" || len(o.ACMEHosts) > 0 }

// Certificates are what the broker proves its names with: one in files, or some
// of an ACME issuer. Nil ones are those of a broker that does not speak TLS.
type Certificates struct {
	Config *tls.Config
	files  *certificateFiles // nil: they come by ACME
	expiry func() time.Time  // of the first that expires; zero: there is none yet
}

// newCertificates reads the certificate, if there is to be one in files. It fails
// if that cannot be used.
func New(opts Options, log *zap.Logger) (*Certificates, error) {
	if !opts.enabled() {
		return nil, nil
	}
	c := &Certificates{Config: &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}}
	if len(opts.ACMEHosts) > 0 {
		c.useACME(opts)
		return c, nil
	}
	f := &certificateFiles{certFile: opts.CertFile, keyFile: opts.KeyFile, log: log}
	use, err := f.load()
	if err != nil {
		return nil, err
	}
	use()
	c.files = f
	c.Config.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return f.current.Load(), nil }
	c.expiry = func() time.Time { return f.current.Load().Leaf.NotAfter }
	return c, nil
}

// Load reads the files again, and returns what puts in use what is in them. It changes
// nothing.
func (c *Certificates) Load() (use func(), err error) {
	if c == nil || c.files == nil {
		return func() {}, nil
	}
	return c.files.load()
}

// Look reads the files again if they have changed.
func (c *Certificates) Look() {
	if c != nil && c.files != nil {
		c.files.look()
	}
}

var certificateExpiry = prometheus.NewDesc("belfry_tls_certificate_expiry_timestamp_seconds",
	"When the first of the TLS certificates in use expires, in seconds of Unix time.", nil, nil)

// Describe implements [prometheus.Collector].
func (c *Certificates) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- certificateExpiry
}

// Collect implements [prometheus.Collector].
func (c *Certificates) Collect(metrics chan<- prometheus.Metric) {
	if c == nil {
		return
	}
	if at := c.expiry(); !at.IsZero() {
		metrics <- prometheus.MustNewConstMetric(certificateExpiry, prometheus.GaugeValue, float64(at.Unix()))
	}
}

// CertificateFiles are a certificate and its key in PEM files.
type certificateFiles struct {
	certFile, keyFile string
	log               *zap.Logger
	current           atomic.Pointer[tls.Certificate] // with its Leaf
	seen              atomic.Pointer[[2]fileStamp]    // of what was read last, used or not
}

// A fileStamp changes with a file.
type fileStamp struct {
	changed time.Time
	size    int64
	pipe    bool // or a device: who reads it again may wait for ever
}

// load reads what is in the files now, and returns what puts it in use.
func (f *certificateFiles) load() (use func(), err error) {
	seen := f.stamps() // before: what changes meanwhile is read by the next look
	for i, name := range []string{f.certFile, f.keyFile} {
		if f.current.Load() != nil && seen[i].pipe {
			return nil, fmt.Errorf("TLS file %s: want a regular file, which can be read again", name)
		}
	}
	pair, err := tls.LoadX509KeyPair(f.certFile, f.keyFile)
	if err != nil {
		return nil, fmt.Errorf("TLS certificate %s with key %s: %w", f.certFile, f.keyFile, err)
	}
	return func() {
		f.seen.Store(&seen)
		f.current.Store(&pair)
		about := f.log.Info
		if time.Now().After(pair.Leaf.NotAfter) {
			about = f.log.Warn
		}
		about("TLS certificate", zap.Strings("names", pair.Leaf.DNSNames), zap.Time("expires", pair.Leaf.NotAfter))
	}, nil
}

// look reads the files if they have changed.
func (f *certificateFiles) look() {
	seen := f.stamps()
	if seen == *f.seen.Load() {
		return
	}
	use, err := f.load()
	if err != nil {
		f.seen.Store(&seen) // it is told of once
		f.log.Warn("the TLS certificate stays as it was", zap.Error(err))
		return
	}
	use()
}

func (f *certificateFiles) stamps() (both [2]fileStamp) {
	for i, name := range []string{f.certFile, f.keyFile} {
		if info, err := os.Stat(name); err == nil { // one that is gone has changed
			both[i] = fileStamp{info.ModTime(), info.Size(), !info.Mode().IsRegular()}
		}
	}
	return both
}
