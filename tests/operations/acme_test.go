package operations_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"belfry/tests/harness"
)

// An acmeIssuer is as much of an ACME server (RFC 8555) as issues one certificate
// after one challenge. Nobody's signatures are checked.
type acmeIssuer struct {
	*httptest.Server
	t      *testing.T
	broker atomic.Pointer[string] // where the name leads
	valid  atomic.Bool            // the challenge was met
	orders atomic.Int32
	key    *ecdsa.PrivateKey
	root   *x509.Certificate
	issued []byte // PEM
}

func newACMEIssuer(t *testing.T) *acmeIssuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "issuer"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	i := &acmeIssuer{t: t, key: key}
	if i.root, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	i.Server = httptest.NewServer(i)
	t.Cleanup(i.Close)
	return i
}

// ServeHTTP implements [http.Handler].
func (i *acmeIssuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Replay-Nonce", "nonce")
	var signed struct{ Payload string }
	_ = json.NewDecoder(r.Body).Decode(&signed) // a GET has none
	status := map[bool]string{false: "pending", true: "valid"}[i.valid.Load()]
	challenge := map[string]any{"type": "tls-alpn-01", "url": i.URL + "/challenge", "token": "token", "status": status}
	name := map[string]any{"type": "dns", "value": acmeName}
	order := map[string]any{
		"status": map[string]string{"pending": "pending", "valid": "ready"}[status], "identifiers": []any{name},
		"authorizations": []string{i.URL + "/authorization"}, "finalize": i.URL + "/finalize",
	}
	answer := map[string]any{}
	switch r.URL.Path {
	case "/":
		for _, name := range []string{"newNonce", "newAccount", "newOrder", "revokeCert", "keyChange"} {
			answer[name] = i.URL + "/" + name
		}
	case "/newAccount":
		w.Header().Set("Location", i.URL+"/account")
		w.WriteHeader(http.StatusCreated)
		answer["status"] = "valid"
	case "/newOrder":
		i.orders.Add(1)
		w.Header().Set("Location", i.URL+"/order")
		w.WriteHeader(http.StatusCreated)
		answer = order
	case "/order":
		answer = order
	case "/authorization":
		answer = map[string]any{"status": status, "identifier": name, "challenges": []any{challenge}}
	case "/challenge":
		if err := i.check(); err != nil {
			i.t.Errorf("the challenge is not met: %v", err)
		}
		i.valid.Store(true)
		answer = challenge
	case "/finalize":
		if err := i.issue(signed.Payload); err != nil {
			i.t.Error(err)
		}
		w.Header().Set("Location", i.URL+"/order")
		order["status"], order["certificate"] = "valid", i.URL+"/certificate"
		answer = order
	case "/certificate":
		_, _ = w.Write(i.issued)
		return
	}
	_ = json.NewEncoder(w).Encode(answer) // who is gone fails itself
}

const acmeName = "events.belfry.test"

// check asks for the name as RFC 8737 has it (section 3).
func (i *acmeIssuer) check() error {
	conn, err := tls.Dial("tcp", *i.broker.Load(), &tls.Config{
		ServerName: acmeName, NextProtos: []string{"acme-tls/1"}, InsecureSkipVerify: true,
	})
	if err != nil {
		return err
	}
	defer conn.Close()
	state := conn.ConnectionState()
	leaf := state.PeerCertificates[0]
	proof := slices.ContainsFunc(leaf.Extensions, func(e pkix.Extension) bool {
		return e.Critical && e.Id.Equal(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 31})
	})
	if state.NegotiatedProtocol != "acme-tls/1" || !proof || len(leaf.DNSNames) != 1 || leaf.DNSNames[0] != acmeName {
		return fmt.Errorf("got %q and a certificate of %v", state.NegotiatedProtocol, leaf.DNSNames)
	}
	return nil
}

func (i *acmeIssuer) issue(payload string) error {
	var request struct{ CSR string }
	text, _ := base64.RawURLEncoding.DecodeString(payload)
	err := json.Unmarshal(text, &request)
	der, _ := base64.RawURLEncoding.DecodeString(request.CSR)
	csr, failed := x509.ParseCertificateRequest(der)
	if err := errors.Join(err, failed); err != nil {
		return err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(2), DNSNames: csr.DNSNames, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour)}
	der, err = x509.CreateCertificate(rand.Reader, template, i.root, csr.PublicKey, i.key)
	i.issued = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return err
}

// TestACME: the broker gets its certificate when the first client comes, keeps it
// for the next start, and gets none for names that are not its own.
func TestACME(t *testing.T) {
	t.Parallel()
	issuer := newACMEIssuer(t)
	pool := x509.NewCertPool()
	pool.AddCert(issuer.root)
	dir := t.TempDir()
	for range 2 {
		b := harness.NewBroker()
		b.UseTLS(&tls.Config{RootCAs: pool, ServerName: acmeName})
		b.Run(t, "--tls-acme-hosts="+acmeName, "--tls-acme-dir="+dir, "--tls-acme-url="+issuer.URL+"/", "--tls-acme-email=us@belfry.test")
		issuer.broker.Store(&b.Addr)
		w := b.Wire(t, b.Register(t, `{"user_id": 1}`))
		b.Publish(t, harness.Event("cats", "purr"))
		w.Expect(t, "purr")
		at := w.Conn.(*tls.Conn).ConnectionState().PeerCertificates[0].NotAfter
		if got := b.Metric(t, "belfry_tls_certificate_expiry_timestamp_seconds"); got != float64(at.Unix()) {
			t.Errorf("the metric says that it expires at %v, want %v", got, at.Unix())
		}
		for _, name := range []string{"other.belfry.test", "localhost", ""} {
			conn, err := tls.Dial("tcp", b.Addr, &tls.Config{ServerName: name, InsecureSkipVerify: true})
			if err == nil {
				conn.Close()
				t.Errorf("there is a certificate of %q", name)
			}
		}
		w.Close()
		b.HTTP.CloseIdleConnections()
		b.Stop()
	}
	if got := issuer.orders.Load(); got != 1 {
		t.Errorf("it was asked for %d certificates, want one", got)
	}
}
