package main

import (
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

// What holds over plain sockets holds over TLS: the same tests, with brokers
// that have a certificate and clients that check it.

// TestOverTLS runs them: start, which they call, looks at the test's name.
func TestOverTLS(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]func(*testing.T){
		"Story": TestStory, "Takeover": TestTakeover, "AddAndRemoveTopic": TestAddAndRemoveTopic,
		"ComeBack": TestComeBack, "NoHole": TestNoHole, "Gap": TestGap,
		"SlowConsumer": TestSlowConsumer, "TakeoverFromSlow": TestTakeoverFromSlow, "DeafPeer": TestDeafPeer,
		"SlowV1": TestSlowV1, "SilentV1": TestSilentV1, "ManyReplays": TestManyReplays, "SlowEventStream": TestSlowEventStream,
		"ProtocolDocument": TestProtocolDocument,
		"EventStreamHTTP2": TestEventStreamHTTP2, "QuietHTTP2": TestQuietHTTP2, "SlowHTTP2": TestSlowHTTP2, "OverHTTP2": TestOverHTTP2, "LeaveHTTP2": TestLeaveHTTP2,
		"StreamsTakeOver": TestStreamsTakeOver,
		"NpmWS":           TestNpmWS, "PythonWebsockets": TestPythonWebsockets, "Chromium": TestChromium, "Curl": TestCurl,
		"NpmEventSource": TestNpmEventSource, "ChromiumEventSource": TestChromiumEventSource, "CurlEventStream": TestCurlEventStream,
		"NpmWSv1": TestNpmWSv1, "ChromiumV1": TestChromiumV1, "PythonWebsocketsV1": TestPythonWebsocketsV1,
	} {
		t.Run(name, test)
	}
}

func isOverTLS(t *testing.T) bool { return strings.HasPrefix(t.Name(), "TestOverTLS/") }

// A testCertificate is one for 127.0.0.1 and localhost that is its own issuer.
type testCertificate struct {
	cert, key []byte // PEM
	pool      *x509.CertPool
}

func newTestCertificate(names ...string) testCertificate {
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
	return testCertificate{
		cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
		pool: pool,
	}
}

// anyCertificate is for all tests that do not care.
var anyCertificate = sync.OnceValue(func() testCertificate { return newTestCertificate() })

// write puts a certificate into the files that flags name.
func (c testCertificate) write(t testing.TB, dir string) (flags []string) {
	t.Helper()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, text := range map[string][]byte{cert: c.cert, key: c.key} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return []string{"--tls-cert-file=" + cert, "--tls-key-file=" + key}
}

// trusting is for clients of a broker that has the certificate.
func (c testCertificate) trusting() *tls.Config {
	return &tls.Config{RootCAs: c.pool, ServerName: "localhost"}
}

// startTLS runs the program with a certificate until the test ends.
func startTLS(t *testing.T, flags ...string) *testBroker {
	t.Helper()
	b := newTestBroker()
	b.useTLS(anyCertificate().trusting())
	b.run(t, append(anyCertificate().write(t, t.TempDir()), flags...)...)
	return b
}

// environment is that of programs that others wrote: over TLS they trust the
// brokers' certificate.
func environment(t *testing.T) []string {
	t.Helper()
	if !isOverTLS(t) {
		return os.Environ()
	}
	dir := t.TempDir()
	anyCertificate().write(t, dir)
	file := filepath.Join(dir, "cert.pem")
	return append(os.Environ(), "NODE_EXTRA_CA_CERTS="+file, "SSL_CERT_FILE="+file, "CURL_CA_BUNDLE="+file)
}

// url returns where something of the broker is; scheme is http or ws.
func (b *testBroker) url(scheme, path string) string { return b.urlAt(scheme, b.addr, path) }

func (b *testBroker) urlAt(scheme, addr, path string) string {
	if b.tls != nil {
		scheme += "s"
	}
	return scheme + "://" + addr + path
}

// secured returns a client's end of a connection to the broker.
func (b *testBroker) secured(conn net.Conn) net.Conn {
	if b.tls == nil {
		return conn
	}
	return tls.Client(conn, b.tls)
}

// tcpOf returns the socket of a connection.
func tcpOf(conn net.Conn) *net.TCPConn {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	return conn.(*net.TCPConn)
}
