package config

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/alecthomas/kong"
)

// Secret is a text that is never printed.
type Secret []byte

func (Secret) String() string { return "(secret)" }

const (
	maxKeyFile = 64 << 10
	minSecret  = 32   // required by RFC 7518 for HS256
	minRSA     = 2048 // likewise; above maxRSA each check is slow
	maxRSA     = 8192
)

// tokenKeys reads the files with the keys for tokens.
func (in *input) tokenKeys(jwt *JWT, parsed *kong.Context) {
	const secretFlag, publicFlag = "jwt-secret-file", "jwt-public-keys"
	if name := jwt.SecretFile; name != "" && !in.wrong[secretFlag] {
		content, mode, err := in.readFile(name, maxKeyFile)
		if err == nil {
			jwt.Secret, err = secretOf(content)
		}
		if err != nil {
			in.problem(secretFlag, "%s: %w", in.written(secretFlag, parsed), err)
		}
		in.file.warn(name, mode, true)
	}
	for _, name := range jwt.PublicKeys {
		if in.wrong[publicFlag] {
			break
		}
		content, mode, err := in.readFile(name, maxKeyFile)
		if err == nil {
			err = jwt.addKeys(content)
		}
		if err != nil {
			in.problem("", "%s: %s: %w", in.written(publicFlag, parsed), name, err)
		}
		in.file.warn(name, mode, false)
	}
	asked := len(jwt.Audience) > 0 || jwt.Issuer != "" || jwt.MaxAge > 0
	if asked && jwt.SecretFile == "" && len(jwt.PublicKeys) == 0 && jwt.JWKSURL == "" {
		in.file.warnings = append(in.file.warnings, "no token is accepted: set jwt.secret_file, jwt.public_keys or jwt.jwks_url")
	}
}

// secretOf returns a file's secret, without the line end that editors and echo add.
func secretOf(content []byte) (Secret, error) {
	secret := bytes.TrimSuffix(bytes.TrimSuffix(content, []byte("\n")), []byte("\r"))
	if len(secret) < minSecret {
		return nil, fmt.Errorf("want a secret of at least %d bytes, not %d", minSecret, len(secret))
	}
	return secret, nil
}

// addKeys adds the public keys of a PEM file.
func (jwt *JWT) addKeys(content []byte) error {
	found := false
	for {
		block, rest := pem.Decode(content)
		if block == nil {
			break
		}
		key, err := publicKey(block)
		if err != nil {
			return err
		}
		found, content = true, rest
		jwt.Keys = append(jwt.Keys, key)
	}
	if !found {
		return errors.New("want public keys or certificates in the PEM format")
	}
	return nil
}

func publicKey(block *pem.Block) (crypto.PublicKey, error) {
	var key crypto.PublicKey
	var err error
	switch block.Type {
	case "PUBLIC KEY":
		key, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		key, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		var certificate *x509.Certificate
		if certificate, err = x509.ParseCertificate(block.Bytes); err == nil {
			key = certificate.PublicKey
		}
	default:
		return nil, fmt.Errorf("want public keys or certificates, not a %.40q", block.Type)
	}
	if err != nil {
		return nil, err
	}
	return key, fit(key)
}

var errUnfit = fmt.Errorf("want keys for RS256 (%d to %d bits), ES256 (P-256) or EdDSA (Ed25519)", minRSA, maxRSA)

// fit fails for keys that are too weak or of another algorithm.
func fit(key crypto.PublicKey) error {
	switch key := key.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); minRSA <= bits && bits <= maxRSA {
			return nil
		}
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P256() {
			return nil
		}
	case ed25519.PublicKey:
		return nil
	}
	return errUnfit
}
