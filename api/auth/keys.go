package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"fmt"

	"github.com/golang-jwt/jwt/v5"
)

// The sizes of keys. Below the minimum a key is weak (RFC 7518 sections 3.2 and 3.3).
// Above the maximum a signature takes too long to check.
const (
	minSecret = 32   // bytes
	minRSA    = 2048 // bits
	maxRSA    = 8192
)

// publicMethods are the algorithms with public keys.
var publicMethods = []jwt.SigningMethod{jwt.SigningMethodRS256, jwt.SigningMethodES256, jwt.SigningMethodEdDSA}

// A namedKey verifies signatures of one algorithm.
type namedKey struct {
	name   string // the key id; "" if there is none
	method jwt.SigningMethod
	key    any               // a crypto.PublicKey, or the secret of HS256
	print  [sha256.Size]byte // identifies the key without keeping it
}

// newPublicKey returns a public key with its one algorithm. It fails for keys that are too
// weak or of another type.
func newPublicKey(name string, key crypto.PublicKey) (namedKey, error) {
	method, err := methodOf(key)
	if err != nil {
		return namedKey{name: name}, err
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	return namedKey{name, method, key, sha256.Sum256(der)}, err
}

// fits reports whether a key is for an algorithm and, unless name is "", has that name.
func (k *namedKey) fits(name string, method jwt.SigningMethod) bool {
	return k.method == method && (name == "" || name == k.name)
}

// fitting returns the keys that fit an algorithm and a name.
func fitting(all []namedKey, name string, method jwt.SigningMethod) (keys []namedKey) {
	for i := range all {
		if all[i].fits(name, method) {
			keys = append(keys, all[i])
		}
	}
	return keys
}

// methodOf returns the one algorithm of a public key. It fails for keys that are too weak
// or of another type.
func methodOf(key crypto.PublicKey) (jwt.SigningMethod, error) {
	switch key := key.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < minRSA || bits > maxRSA {
			return nil, fmt.Errorf("an RSA key of %d bits; want %d to %d", bits, minRSA, maxRSA)
		}
		return jwt.SigningMethodRS256, nil
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() {
			return nil, fmt.Errorf("a key on the curve %s; want P-256", key.Curve.Params().Name)
		}
		return jwt.SigningMethodES256, nil
	case ed25519.PublicKey:
		if len(key) == ed25519.PublicKeySize {
			return jwt.SigningMethodEdDSA, nil
		}
	}
	return nil, fmt.Errorf("a key of type %T; want RSA, P-256 or Ed25519", key)
}
