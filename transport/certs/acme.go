package certs

import (
	"crypto/tls"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

// useACME gets certificates when they are asked for (RFC 8555), and shows that
// the names are the broker's on the same port (TLS-ALPN-01, RFC 8737).
func (c *Certificates) useACME(opts Options) {
	manager := &autocert.Manager{
		Prompt:     autocert.AcceptTOS,
		Cache:      autocert.DirCache(opts.ACMEDir),
		HostPolicy: autocert.HostWhitelist(opts.ACMEHosts...),
		Email:      opts.ACMEEmail,
		Client:     &acme.Client{DirectoryURL: opts.ACMEURL}, // "" is Let's Encrypt
	}
	var mu sync.Mutex
	expiries := make(map[string]time.Time) // by name: those of acme_hosts only
	c.Config.NextProtos = append(c.Config.NextProtos, acme.ALPNProto)
	c.Config.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		cert, err := manager.GetCertificate(hello)
		if err == nil && !slices.Contains(hello.SupportedProtos, acme.ALPNProto) {
			mu.Lock()
			defer mu.Unlock()
			expiries[cert.Leaf.DNSNames[0]] = cert.Leaf.NotAfter
		}
		return cert, err
	}
	c.expiry = func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		if len(expiries) == 0 {
			return time.Time{}
		}
		return slices.MinFunc(slices.Collect(maps.Values(expiries)), time.Time.Compare)
	}
}
