package harness

import (
	"belfry/transport/certs"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// OverTLS runs tests again, with brokers that have a certificate and clients that check it:
// [Start], which they call, looks at the test's name.
func OverTLS(t *testing.T, tests map[string]func(*testing.T)) {
	t.Parallel()
	for name, test := range tests {
		t.Run(name, test)
	}
}

// IsOverTLS reports whether a test is one that [OverTLS] runs.
func IsOverTLS(t *testing.T) bool { return strings.HasPrefix(t.Name(), "TestOverTLS/") }

// A TestCertificate is one for 127.0.0.1 and localhost that is its own issuer.
type TestCertificate struct {
	Cert, Key []byte // PEM
	pool      *x509.CertPool
}

func NewTestCertificate(names ...string) TestCertificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "belfry test"},
		NotBefore:    time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		DNSNames: append(names, "localhost"), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IsCA:        true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return TestCertificate{
		Cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		Key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
		pool: pool,
	}
}

// anyCertificate is for all tests that do not care.
var anyCertificate = sync.OnceValue(func() TestCertificate { return NewTestCertificate() })

// write puts a certificate into the files that flags name.
func (c TestCertificate) write(t testing.TB, dir string) (flags []string) {
	t.Helper()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, text := range map[string][]byte{cert: c.Cert, key: c.Key} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return []string{"--tls-cert-file=" + cert, "--tls-key-file=" + key}
}

// Trusting is for clients of a broker that has the certificate.
func (c TestCertificate) Trusting() *tls.Config {
	return &tls.Config{RootCAs: c.pool, ServerName: "localhost"}
}

// StartTLS runs the program with a certificate until the test ends.
func StartTLS(t *testing.T, flags ...string) *Broker {
	t.Helper()
	b := NewBroker()
	b.UseTLS(anyCertificate().Trusting())
	b.Run(t, append(anyCertificate().write(t, t.TempDir()), flags...)...)
	return b
}

// Environment is that of programs that others wrote: over TLS they trust the
// brokers' certificate.
func Environment(t *testing.T) []string {
	t.Helper()
	if !IsOverTLS(t) {
		return os.Environ()
	}
	dir := t.TempDir()
	anyCertificate().write(t, dir)
	file := filepath.Join(dir, "cert.pem")
	return append(os.Environ(), "NODE_EXTRA_CA_CERTS="+file, "SSL_CERT_FILE="+file, "CURL_CA_BUNDLE="+file)
}

// URL returns where something of the broker is; scheme is http or ws.
func (b *Broker) URL(scheme, path string) string { return b.URLAt(scheme, b.Addr, path) }

func (b *Broker) URLAt(scheme, addr, path string) string {
	if b.TLS != nil {
		scheme += "s"
	}
	return scheme + "://" + addr + path
}

// Secured returns a client's end of a connection to the broker.
func (b *Broker) Secured(conn net.Conn) net.Conn {
	if b.TLS == nil {
		return conn
	}
	return tls.Client(conn, b.TLS)
}

// TcpOf returns the socket of a connection.
func TcpOf(conn net.Conn) *net.TCPConn {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	return conn.(*net.TCPConn)
}

// A CertificateFolder is where a certificate comes from.
type CertificateFolder struct {
	T       *testing.T
	Dir     string
	Changed time.Time // of what was written last
}

func (f *CertificateFolder) Config() certs.Options {
	return certs.Options{CertFile: filepath.Join(f.Dir, "cert.pem"), KeyFile: filepath.Join(f.Dir, "key.pem")}
}

// Write writes files that are newer than those before.
func (f *CertificateFolder) Write(files map[string][]byte) {
	f.T.Helper()
	f.Changed = f.Changed.Add(time.Second)
	for name, text := range files {
		name = filepath.Join(f.Dir, name)
		if err := os.WriteFile(name, text, 0o600); err != nil {
			f.T.Fatal(err)
		}
		if err := os.Chtimes(name, f.Changed, f.Changed); err != nil {
			f.T.Fatal(err)
		}
	}
}

func (f *CertificateFolder) Use(c TestCertificate) {
	f.T.Helper()
	f.Write(map[string][]byte{"cert.pem": c.Cert, "key.pem": c.Key})
}

// CertifiedNames is whose the certificate in use is.
func CertifiedNames(t *testing.T, use *tls.Config) string {
	t.Helper()
	cert, err := use.GetCertificate(&tls.ClientHelloInfo{})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(cert.Leaf.DNSNames, " ")
}
